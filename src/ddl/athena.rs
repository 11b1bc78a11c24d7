//! Athena: external tables in the Glue catalog, with partition projection where the folders allow it.
//!
//! JSON is read with the OpenX SerDe: it reads nested types, ignores the case of the keys of nested
//! objects (Glue stores all names in lower case, including `publishedAt`) and has an option to fail on a
//! malformed line. Athena does not document for any JSON SerDe that it reads RFC 3339 with six digits,
//! so instants are declared as text there, and a view parses them.

use super::format_clauses::clauses;
use super::quoting::{ATHENA, ATHENA_QUERY, block, folder_address, one_line};
use super::table::{DdlTable, is_hexadecimal};
use super::type_names::TypeNames;
use crate::cycle::SyncMode;
use crate::format::FileFormat;
use crate::layout;
use crate::schema::{ColumnType, ExportColumn};
use crate::store::Location;

/// The comment and settings before all tables.
pub(super) const HEADER: &str = "\
-- Athena (engine 3) with the Glue catalog. Run the statements one by one.
-- Glue stores names in lower case. Athena shows timestamps of external tables in milliseconds.
-- Athena cannot read the manifests (one JSON document over many lines), so there is no view of complete
-- cycles: wait for the manifest of a cycle before you read the cycle.
";

/// Returns the statements of one table.
pub(super) fn table(table: &DdlTable, location: &Location) -> String {
    let name = ATHENA.name(table.name.as_str());
    let types = types_in(table.format);
    let definition =
        |column: &ExportColumn| format!("{} {}", ATHENA.name(&column.name), types.of(&column.kind));
    let columns: Vec<String> = table.schema.columns().iter().map(definition).collect();
    let partitions = table.partition_by.columns();
    let partitioned: Vec<String> = partitions.iter().map(partition_definition).collect();
    let folder = folder_address(location, &layout::table_folder(&table.name));
    let projection = projection(table, &folder);

    let mut text = format!(
        "CREATE EXTERNAL TABLE IF NOT EXISTS {name} {}\n",
        block(&columns)
    );
    if !table.description.is_empty() {
        text += &format!("COMMENT {}\n", ATHENA.text(&one_line(&table.description)));
    }
    if !partitioned.is_empty() {
        text += &format!("PARTITIONED BY ({})\n", partitioned.join(", "));
    }
    text += clauses(table.format).athena_storage;
    text += &format!("LOCATION {}", ATHENA.text(&folder));
    if let Some(properties) = &projection {
        text += &format!("\nTBLPROPERTIES {}", block(properties));
    }
    text += ";\n";
    if !partitions.is_empty() && projection.is_none() {
        text +=
            "-- Partitions of these types cannot be projected: repeat this after every cycle.\n";
        text += &format!("MSCK REPAIR TABLE {name};\n");
    }
    if table.sync_mode == SyncMode::Incremental && partitions.is_empty() {
        text += &ATHENA.comment("All cycles are in one folder: every query reads all of them.");
    }
    text + &typed_view(table)
}

/// Returns the properties of partition projection, or `None` if a partition column cannot be projected.
///
/// All values of integers called year, month, day or hour, and of dates, are known beforehand. Text
/// would have to be listed here again and again, or given in every query. The folder for NULL is in no range.
fn projection(table: &DdlTable, folder: &str) -> Option<Vec<String>> {
    let columns = table.partition_by.columns();
    if columns.is_empty() {
        return None;
    }
    let mut properties = vec![("projection.enabled".to_owned(), "true".to_owned())];
    let mut template = folder.to_owned();
    for column in columns {
        if table.has_hive_null(&column.name) {
            return None;
        }
        let (kind, range) = match (column.name.as_str(), &column.kind) {
            (name, ColumnType::Int32 | ColumnType::Int64) => ("integer", integers(table, name)?),
            (_, ColumnType::Date) => ("date", format!("{},NOW+1DAY", table.first_cycle())),
            _ => return None,
        };
        let of = |property: &str| format!("projection.{}.{property}", column.name);
        properties.push((of("type"), kind.to_owned()));
        properties.push((of("range"), range));
        if kind == "date" {
            properties.push((of("format"), "yyyy-MM-dd".to_owned()));
        }
        // Without `digits`, month 1 is `1`, as in the folders.
        template += &format!("{0}=${{{0}}}/", column.name);
    }
    properties.push(("storage.location.template".to_owned(), template));
    let property = |(name, value): (String, String)| {
        format!("{} = {}", ATHENA.text(&name), ATHENA.text(&value))
    };
    Some(properties.into_iter().map(property).collect())
}

fn integers(table: &DdlTable, column: &str) -> Option<String> {
    Some(match column {
        "year" => {
            let (first, last) = table.years(column);
            format!("{first},{last}")
        }
        "month" => "1,12".to_owned(),
        "day" => "1,31".to_owned(),
        "hour" => "0,23".to_owned(),
        _ => return None,
    })
}

fn partition_definition(column: &ExportColumn) -> String {
    format!(
        "{} {}",
        ATHENA.name(&column.name),
        TYPE_NAMES.of(&column.kind)
    )
}

/// Returns a view that parses text columns at the top level, or nothing if there are none; instants
/// inside structs stay text.
fn typed_view(table: &DdlTable) -> String {
    let is_text = |column: &ExportColumn| {
        let timestamp_is_text = table.format.info().timestamp_is_text;
        let is_text_timestamp = timestamp_is_text && column.kind == ColumnType::Timestamp;
        is_text_timestamp || is_hexadecimal(column, table.format)
    };
    if !table.schema.columns().iter().any(is_text) {
        return String::new();
    }
    let inside = table.schema.columns().iter().map(|column| {
        let name = ATHENA_QUERY.name(&column.name);
        match &column.kind {
            ColumnType::Timestamp => {
                format!("  CAST(from_iso8601_timestamp_nanos({name}) AS timestamp) AS {name}")
            }
            ColumnType::Binary => format!("  from_hex({name}) AS {name}"),
            _ => format!("  {name}"),
        }
    });
    let partition_columns = table.partition_by.columns().iter();
    let outside = partition_columns.map(|column| format!("  {}", ATHENA_QUERY.name(&column.name)));
    let columns: Vec<String> = inside.chain(outside).collect();
    format!(
        "-- Instants are text in JSON, to the microsecond. This view has them as timestamps.\n\
         CREATE OR REPLACE VIEW {} AS\nSELECT\n{}\nFROM {};\n",
        ATHENA_QUERY.name(&format!("{}_typed", table.name)),
        columns.join(",\n"),
        ATHENA_QUERY.name(table.name.as_str()),
    )
}

/// Returns the types of columns inside files of a format.
fn types_in(format: FileFormat) -> TypeNames {
    let timestamp = match format.info().timestamp_is_text {
        false => TYPE_NAMES.timestamp,
        true => TYPE_NAMES.string,
    };
    TypeNames {
        timestamp,
        ..TYPE_NAMES.inside(format)
    }
}

const TYPE_NAMES: TypeNames = TypeNames {
    boolean: "boolean",
    int32: "int",
    int64: "bigint",
    float64: "double",
    string: "string",
    binary: "binary",
    date: "date",
    timestamp: "timestamp",
    decimal: |precision, scale| format!("decimal({precision},{scale})"),
    list: |item| format!("array<{item}>"),
    field: |name, kind| format!("{}:{kind}", ATHENA.name(name)),
    record: |fields| format!("struct<{fields}>"),
};
