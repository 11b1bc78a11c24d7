//! Snowflake: a stage over the prefix, tables, and `COPY` of exactly the files that the manifests name.

use super::format_clauses::clauses;
use super::quoting::{SNOWFLAKE, address, block, one_line};
use super::table::{DdlTable, is_hexadecimal};
use crate::cycle::SyncMode;
use crate::format::FileFormat;
use crate::layout::HIVE_NULL;
use crate::schema::{ColumnType, ExportColumn};
use crate::store::Location;

/// The maximum number of names in `FILES`.
const MAX_FILES: usize = 1000;

/// The column with the file of each row, by which the rows that a later revision replaces are found.
const FILE_COLUMN: &str = "_DAYPORT_FILE";

const STAGE: &str = "DAYPORT_EXPORT";

/// Returns the comment and settings before all tables.
pub(super) fn header(location: &Location, tables: &[DdlTable]) -> String {
    let mut text = SNOWFLAKE.comment(
        "Snowflake. Replace INTEGRATION with a storage integration that may read the export.\n\
         The COPY statements name the files of the newest manifests, so only complete cycles are loaded.\n\
         Print them again after a cycle: what is loaded already is skipped, for as long as Snowflake\n\
         remembers it (64 days); a snapshot is replaced whole.\n\
         Before a revised cycle is loaded, delete what it replaces, by the files of the older manifest:\n\
         DELETE FROM <table> WHERE _DAYPORT_FILE IN (…), with the keys as they are in the bucket.\n\
         Names are in upper case, so they need no quotes unless they are words of SQL.",
    );
    text += "ALTER SESSION SET TIMEZONE = 'UTC';\n";
    for format in FileFormat::ALL {
        if tables.iter().any(|table| table.format == format) {
            let format = clauses(format);
            text += &format!(
                "CREATE FILE FORMAT IF NOT EXISTS {} {};\n",
                SNOWFLAKE.name(format.snowflake_name),
                format.snowflake_options
            );
        }
    }
    let url = SNOWFLAKE.text(&address(location, ""));
    text += &format!(
        "CREATE STAGE IF NOT EXISTS {} URL = {url} STORAGE_INTEGRATION = INTEGRATION;\n",
        SNOWFLAKE.name(STAGE)
    );
    text
}

/// Returns the statements of one table.
pub(super) fn table(table: &DdlTable) -> String {
    let name = identifier(table.name.as_str());
    let definition =
        |column: &ExportColumn| format!("{} {}", identifier(&column.name), type_of(column));
    let file_column = format!("{} VARCHAR", SNOWFLAKE.name(FILE_COLUMN));
    let definitions = table.all_columns().map(definition);
    let columns: Vec<String> = definitions.chain([file_column]).collect();
    let mut text = format!("CREATE TABLE IF NOT EXISTS {name} {}", block(&columns));
    if !table.description.is_empty() {
        text += &format!(
            "\nCOMMENT = {}",
            SNOWFLAKE.text(&one_line(&table.description))
        );
    }
    text += ";\n";
    let has_text_partition = table
        .partition_by
        .columns()
        .iter()
        .any(|column| column.kind == ColumnType::String);
    if has_text_partition {
        text += "-- Partition values stand in keys percent-encoded where they have special characters.\n";
    }
    let files = table.files();
    if files.is_empty() {
        return text + "-- There is no file to load yet.\n";
    }
    let replace = table.sync_mode == SyncMode::Snapshot;
    if replace {
        text += &format!("BEGIN;\nDELETE FROM {name};\n");
    }
    for chunk in files.chunks(MAX_FILES) {
        let paths = chunk.iter().map(|file| SNOWFLAKE.text(&file.path));
        text += &copy(table, &name, &paths.collect::<Vec<_>>(), replace);
    }
    if replace {
        text += "COMMIT;\n";
    }
    text
}

fn copy(table: &DdlTable, name: &str, files: &[String], force: bool) -> String {
    let inside = table
        .schema
        .columns()
        .iter()
        .map(|column| value(table, column));
    let partitions = table.partition_by.columns().iter();
    let partitions = partitions.map(|column| partition_value(table, column));
    let file = ["METADATA$FILENAME".to_owned()];
    let values: Vec<String> = inside.chain(partitions).chain(file).collect();
    format!(
        "COPY INTO {name} FROM (\n  SELECT\n    {}\n  FROM @{}\n)\nFILES = {}\nFILE_FORMAT = (FORMAT_NAME = {}){};\n",
        values.join(",\n    "),
        SNOWFLAKE.name(STAGE),
        block(files),
        SNOWFLAKE.text(clauses(table.format).snowflake_name),
        // A snapshot's table has just been emptied, so that files must load even if they did before.
        if force { "\nFORCE = TRUE" } else { "" },
    )
}

fn value(table: &DdlTable, column: &ExportColumn) -> String {
    let member = format!("$1:{}", SNOWFLAKE.name(&column.name));
    if is_hexadecimal(column, table.format) {
        return format!("TO_BINARY({member}::VARCHAR, 'HEX')");
    }
    format!("{member}::{}", type_of(column))
}

fn partition_value(table: &DdlTable, column: &ExportColumn) -> String {
    let pattern = SNOWFLAKE.text(&format!("/{}=([^/]+)/", escaped_pattern(&column.name)));
    let mut text = format!("REGEXP_SUBSTR(METADATA$FILENAME, {pattern}, 1, 1, 'e', 1)");
    if table.has_hive_null(&column.name) {
        text = format!("NULLIF({text}, {})", SNOWFLAKE.text(HIVE_NULL));
    }
    format!("{text}::{}", type_of(column))
}

/// Escapes a name in a regular expression, where it stands for itself.
fn escaped_pattern(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_punctuation() && c != '_' {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Quotes a name in upper case, the case of names without quotes; some names are Snowflake's keywords.
fn identifier(name: &str) -> String {
    SNOWFLAKE.name(&name.to_uppercase())
}

/// Returns the type of a column. Structs and lists are semi-structured: their fields have types where
/// they are used.
fn type_of(column: &ExportColumn) -> String {
    match &column.kind {
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Int32 => "NUMBER(10, 0)".to_owned(),
        ColumnType::Int64 => "NUMBER(19, 0)".to_owned(),
        ColumnType::Float64 => "FLOAT".to_owned(),
        ColumnType::String => "VARCHAR".to_owned(),
        ColumnType::Binary => "BINARY".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP_TZ(6)".to_owned(),
        ColumnType::Decimal { precision, scale } => {
            format!("NUMBER({precision}, {})", (*scale).max(0))
        }
        ColumnType::List(_) => "ARRAY".to_owned(),
        ColumnType::Struct(_) => "OBJECT".to_owned(),
    }
}
