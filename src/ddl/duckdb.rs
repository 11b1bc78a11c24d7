//! DuckDB: views over the files, and views over exactly the files that the newest manifests name.

use super::format_clauses::clauses;
use super::quoting::{DUCKDB, address, block, folder_address, one_line};
use super::table::{DdlTable, NO_COMPLETE_VIEW, is_hexadecimal};
use super::type_names::TypeNames;
use crate::cycle::SyncMode;
use crate::layout;
use crate::schema::ExportColumn;
use crate::store::Location;

/// Returns the comment and settings before all tables.
pub(super) fn header(location: &Location) -> String {
    let mut text = DUCKDB.comment(
        "DuckDB. <table> reads every file under data/; <table>_complete follows the manifests: of each\n\
         cycle the files of its greatest revision, of a snapshot those of its newest cycle.\n\
         Timestamps are instants; SET TimeZone = 'UTC' shows them as they were exported.",
    );
    if location.s3_prefix().is_some() {
        text += "INSTALL httpfs;\nLOAD httpfs;\n";
        text += "CREATE SECRET IF NOT EXISTS (TYPE s3, PROVIDER credential_chain);\n";
    }
    text
}

/// Returns the statements of one table.
pub(super) fn table(table: &DdlTable, location: &Location) -> String {
    let name = table.name.as_str();
    let complete = format!("{name}_complete");
    let mut text = String::new();
    if table.files().is_empty() {
        // DuckDB reads the files when it creates a view, and there is none to read.
        text += &DUCKDB.comment(
            "There is no file yet: the views are empty. Print them again when there are rows.",
        );
        for view in [name, &complete] {
            text += &view_of(table, view, "", &empty_query(table));
        }
        return text;
    }
    let files = read_files(table, location);
    text += &view_of(
        table,
        name,
        "",
        &format!("SELECT\n{}\nFROM {files}", select_list(table)),
    );
    if !table.reads_all_files() {
        text += &DUCKDB.comment(NO_COMPLETE_VIEW);
        text += &format!("DROP VIEW IF EXISTS {};\n", DUCKDB.name(&complete));
        return text;
    }
    let filter = "WHERE filename IN (SELECT filename FROM named)";
    let query = format!("SELECT\n{}\nFROM {files}\n{filter}", select_list(table));
    text += &view_of(table, &complete, &named_files(table, location), &query);
    text
}

fn view_of(table: &DdlTable, name: &str, with: &str, query: &str) -> String {
    let name = DUCKDB.name(name);
    let mut text = format!("CREATE OR REPLACE VIEW {name} AS\n{with}{query};\n");
    if !table.description.is_empty() {
        let description = DUCKDB.text(&one_line(&table.description));
        text += &format!("COMMENT ON VIEW {name} IS {description};\n");
    }
    text
}

fn empty_query(table: &DdlTable) -> String {
    let typed_nulls = table.all_columns().map(|column| {
        let (name, kind) = (DUCKDB.name(&column.name), TYPE_NAMES.of(&column.kind));
        format!("  CAST(NULL AS {kind}) AS {name}")
    });
    let columns: Vec<String> = typed_nulls.collect();
    format!("SELECT\n{}\nWHERE false", columns.join(",\n"))
}

/// Returns the select list, with casts by name: a file of an older definition may lack columns, also
/// nested ones.
fn select_list(table: &DdlTable) -> String {
    let types = TYPE_NAMES.inside(table.format);
    let columns = table.all_columns().map(|column| {
        let name = DUCKDB.name(&column.name);
        if is_hexadecimal(column, table.format) {
            return format!("  unhex({name}) AS {name}");
        }
        format!("  CAST({name} AS {}) AS {name}", types.of(&column.kind))
    });
    columns.collect::<Vec<_>>().join(",\n")
}

/// Returns the call that reads all files of the table.
fn read_files(table: &DdlTable, location: &Location) -> String {
    let folder = folder_address(location, &layout::table_folder(&table.name));
    let levels = "*/".repeat(table.partition_by.columns().len());
    let extension = table.format.extension();
    let mut options = vec![DUCKDB.text(&format!("{}{levels}*.{extension}", escaped_glob(&folder)))];
    let format = clauses(table.format);
    options.push(format.duckdb_option.to_owned());
    if format.duckdb_needs_columns {
        let types = TYPE_NAMES.inside(table.format);
        let definition = |column: &ExportColumn| {
            let kind = types.of(&column.kind);
            format!("{}: {}", DUCKDB.text(&column.name), DUCKDB.text(&kind))
        };
        let columns: Vec<String> = table.schema.columns().iter().map(definition).collect();
        options.push(format!(
            "columns = {{\n    {}\n  }}",
            columns.join(",\n    ")
        ));
    }
    let partition_type = |column: &ExportColumn| {
        let kind = TYPE_NAMES.of(&column.kind);
        format!("{}: {kind}", DUCKDB.text(&column.name))
    };
    let partition_columns = table.partition_by.columns().iter();
    let partition_types: Vec<String> = partition_columns.map(partition_type).collect();
    if partition_types.is_empty() {
        options.push("hive_partitioning = false".to_owned());
    } else {
        options.push("hive_partitioning = true".to_owned());
        options.push(format!("hive_types = {{{}}}", partition_types.join(", ")));
    }
    options.push("filename = true".to_owned());
    format!("{}{}", format.duckdb_function, block(&options))
}

/// Returns the common table expression `named`: the files that make up the table now.
fn named_files(table: &DdlTable, location: &Location) -> String {
    let folder = folder_address(location, &layout::manifest_folder(&table.name));
    let manifests = DUCKDB.text(&format!("{}*.json", escaped_glob(&folder)));
    let root = DUCKDB.text(&address(location, ""));
    let newest = match table.sync_mode {
        SyncMode::Incremental => "PARTITION BY cycle.id ORDER BY revision DESC",
        SyncMode::Snapshot => "ORDER BY cycle.id DESC, revision DESC",
    };
    let columns =
        "{'cycle': 'STRUCT(id VARCHAR)', 'revision': 'BIGINT', 'files': 'STRUCT(path VARCHAR)[]'}";
    format!(
        "WITH newest AS (
  SELECT files
  FROM read_json({manifests}, format = 'unstructured', columns = {columns})
  QUALIFY row_number() OVER ({newest}) = 1
), named AS (
  SELECT {root} || unnest(files).path AS filename FROM newest
)
"
    )
}

/// Escapes the name of a folder, which is never a pattern.
fn escaped_glob(folder: &str) -> String {
    folder
        .chars()
        .map(|c| match c {
            '*' | '?' | '[' => format!("[{c}]"),
            other => other.to_string(),
        })
        .collect()
}

const TYPE_NAMES: TypeNames = TypeNames {
    boolean: "BOOLEAN",
    int32: "INTEGER",
    int64: "BIGINT",
    float64: "DOUBLE",
    string: "VARCHAR",
    binary: "BLOB",
    date: "DATE",
    timestamp: "TIMESTAMP WITH TIME ZONE",
    decimal: |precision, scale| format!("DECIMAL({precision}, {scale})"),
    list: |item| format!("{item}[]"),
    field: |name, kind| format!("{} {kind}", DUCKDB.name(name)),
    record: |fields| format!("STRUCT({fields})"),
};
