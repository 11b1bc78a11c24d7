//! BigQuery: external tables over S3, through an Omni connection.

use super::format_clauses::clauses;
use super::quoting::{BIGQUERY, address, block, folder_address, one_line};
use super::table::DdlTable;
use super::type_names::TypeNames;
use crate::layout;
use crate::schema::{ColumnType, ExportColumn};
use crate::store::Location;

/// The comment and settings before all tables.
pub(super) const HEADER: &str = "\
-- BigQuery, over S3 with BigQuery Omni. Replace DATASET (it must be in the connection's region) and
-- `aws-REGION.CONNECTION`; the connection's role must be allowed to read data/. Copied to Cloud Storage,
-- the same tables are read without the line WITH CONNECTION, from gs:// addresses.
-- BigQuery cannot read the manifests (one JSON document over many lines), so there is no view of
-- complete cycles: wait for the manifest of a cycle before you read the cycle. A NULL list is an empty list.
";

/// The maximum fraction digits of `NUMERIC`, and digits before them.
const NUMERIC: (i16, i16) = (9, 29);

/// Returns the statements of one table.
pub(super) fn table(table: &DdlTable, location: &Location) -> String {
    let nested = table
        .schema
        .columns()
        .iter()
        .find(|column| has_list_of_lists(&column.kind));
    if let Some(column) = nested {
        return BIGQUERY.comment(&format!(
            "BigQuery has no lists of lists, and the column `{}` has one: nothing can be stated.",
            column.name
        ));
    }
    let types = TYPE_NAMES.inside(table.format);
    let definition = |column: &ExportColumn| {
        format!("{} {}", BIGQUERY.name(&column.name), types.of(&column.kind))
    };
    let columns: Vec<String> = table.schema.columns().iter().map(definition).collect();
    let folder = layout::table_folder(&table.name);
    let files = format!("{}*", folder_address(location, &folder));
    let format = clauses(table.format);
    let mut options = vec![
        format!("format = '{}'", format.bigquery_format),
        format!("uris = [{}]", BIGQUERY.text(&files)),
        format.bigquery_option.to_owned(),
    ];

    let name = BIGQUERY.name(&format!("DATASET.{}", table.name));
    let mut text = format!(
        "CREATE OR REPLACE EXTERNAL TABLE {name} {}\n",
        block(&columns)
    );
    let partitions = table.partition_by.columns();
    if !partitions.is_empty() {
        let definitions: Vec<String> = partitions.iter().map(partition_definition).collect();
        text += &format!("WITH PARTITION COLUMNS ({})\n", definitions.join(", "));
        let prefix = address(location, folder.as_ref());
        options.push(format!(
            "hive_partition_uri_prefix = {}",
            BIGQUERY.text(&prefix)
        ));
    }
    if !table.description.is_empty() {
        let description = BIGQUERY.text(&one_line(&table.description));
        options.push(format!("description = {description}"));
    }
    text += &format!(
        "WITH CONNECTION `aws-REGION.CONNECTION`\nOPTIONS {};\n",
        block(&options)
    );
    text
}

/// Returns the definition of a partition column; keys of folders can have only these types.
fn partition_definition(column: &ExportColumn) -> String {
    let kind = match column.kind {
        ColumnType::Int32 | ColumnType::Int64 => TYPE_NAMES.int64,
        ColumnType::Date => TYPE_NAMES.date,
        ColumnType::Timestamp => TYPE_NAMES.timestamp,
        _ => TYPE_NAMES.string,
    };
    format!("{} {kind}", BIGQUERY.name(&column.name))
}

fn has_list_of_lists(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::List(item) => {
            matches!(item.kind, ColumnType::List(_)) || has_list_of_lists(&item.kind)
        }
        ColumnType::Struct(fields) => fields.iter().any(|field| has_list_of_lists(&field.kind)),
        _ => false,
    }
}

const TYPE_NAMES: TypeNames = TypeNames {
    boolean: "BOOL",
    int32: "INT64",
    int64: "INT64",
    float64: "FLOAT64",
    string: "STRING",
    binary: "BYTES",
    date: "DATE",
    timestamp: "TIMESTAMP",
    decimal: |precision, scale| {
        let whole = i16::from(precision) - i16::from(scale);
        let fits = i16::from(scale) <= NUMERIC.0 && whole <= NUMERIC.1;
        let name = if fits { "NUMERIC" } else { "BIGNUMERIC" };
        // A negative scale is a number of zeros.
        format!(
            "{name}({}, {})",
            whole + i16::from(scale.max(0)),
            scale.max(0)
        )
    },
    list: |item| format!("ARRAY<{item}>"),
    field: |name, kind| format!("{} {kind}", BIGQUERY.name(name)),
    record: |fields| format!("STRUCT<{fields}>"),
};
