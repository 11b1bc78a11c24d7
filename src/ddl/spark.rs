//! Spark SQL: tables over the files, and views over exactly the files that the newest manifests name.

use super::format_clauses::clauses;
use super::quoting::{SPARK, block, hadoop_folder_address, one_line};
use super::table::{DdlTable, NO_COMPLETE_VIEW};
use super::type_names::TypeNames;
use crate::cycle::SyncMode;
use crate::layout;
use crate::schema::ExportColumn;
use crate::store::Location;

/// The comment and settings before all tables.
pub(super) const HEADER: &str = "\
-- Spark. <table> reads every file under data/; <table>_complete follows the manifests: of each cycle the
-- files of its greatest revision, of a snapshot those of its newest cycle.
-- After a new cycle: ALTER TABLE <table> RECOVER PARTITIONS where there are partitions, then
-- REFRESH TABLE <table> and REFRESH TABLE <table>_manifests.
-- Timestamps are instants; this shows them as they were exported.
SET spark.sql.session.timeZone = UTC;
";

/// Returns the statements of one table.
pub(super) fn table(table: &DdlTable, location: &Location) -> String {
    let name = SPARK.name(table.name.as_str());
    let inside = TYPE_NAMES.inside(table.format);
    let partitions = table.partition_by.columns();
    let inside_columns = table.schema.columns().iter();
    let columns: Vec<String> = inside_columns
        .map(|column| definition(column, &inside))
        .chain(
            partitions
                .iter()
                .map(|column| definition(column, &TYPE_NAMES)),
        )
        .collect();
    let folder = hadoop_folder_address(location, &layout::table_folder(&table.name));

    let mut text = format!("CREATE TABLE IF NOT EXISTS {name} {}\n", block(&columns));
    text += clauses(table.format).spark_source;
    if !partitions.is_empty() {
        let name_of = |column: &ExportColumn| SPARK.name(&column.name);
        let names: Vec<String> = partitions.iter().map(name_of).collect();
        text += &format!("PARTITIONED BY ({})\n", names.join(", "));
    }
    text += &format!("LOCATION {}", SPARK.text(&folder));
    if !table.description.is_empty() {
        text += &format!("\nCOMMENT {}", SPARK.text(&one_line(&table.description)));
    }
    text += ";\n";
    if table.files().is_empty() {
        // Spark fails on a folder that does not exist.
        return text + "-- There is no file yet: print this again when there are rows.\n";
    }
    if !partitions.is_empty() {
        text += &format!("ALTER TABLE {name} RECOVER PARTITIONS;\n");
    }
    if !table.reads_all_files() {
        let complete = SPARK.name(&format!("{}_complete", table.name));
        text += &SPARK.comment(NO_COMPLETE_VIEW);
        return text + &format!("DROP VIEW IF EXISTS {complete};\n");
    }
    text + &complete_view(table, location)
}

fn definition(column: &ExportColumn, types: &TypeNames) -> String {
    format!("{} {}", SPARK.name(&column.name), types.of(&column.kind))
}

fn complete_view(table: &DdlTable, location: &Location) -> String {
    let name = table.name.as_str();
    let manifests = SPARK.name(&format!("{name}_manifests"));
    let complete = SPARK.name(&format!("{name}_complete"));
    let manifest_folder = layout::manifest_folder(&table.name);
    let folder = SPARK.text(&hadoop_folder_address(location, &manifest_folder));
    let newest = match table.sync_mode {
        SyncMode::Incremental => "PARTITION BY `cycle`.`id` ORDER BY `revision` DESC",
        SyncMode::Snapshot => "ORDER BY `cycle`.`id` DESC, `revision` DESC",
    };
    let columns: Vec<String> = table
        .all_columns()
        .map(|column| SPARK.name(&column.name))
        .collect();
    let table_folder = format!("{}/", layout::table_folder(&table.name));
    let data = SPARK.text(&table_folder);
    let below = SPARK.text(&format!("/{table_folder}"));
    // Spark returns the address of a file as a URI, where `+` is not a space.
    let path = format!(
        "concat({data}, url_decode(replace(substring_index(_metadata.file_path, {below}, -1), '+', '%2B')))"
    );
    format!(
        "CREATE TABLE IF NOT EXISTS {manifests} (
  `cycle` STRUCT<`id`: STRING>,
  `revision` BIGINT,
  `files` ARRAY<STRUCT<`path`: STRING>>
)
USING json
OPTIONS (multiLine 'true', mode 'FAILFAST')
LOCATION {folder};
CREATE OR REPLACE VIEW {complete} AS
SELECT {}
FROM {}
WHERE {path} IN (
  SELECT `file`.`path`
  FROM (
    SELECT explode(`files`) AS `file`
    FROM (SELECT `files`, row_number() OVER ({newest}) AS `age` FROM {manifests})
    WHERE `age` = 1
  )
);
",
        columns.join(", "),
        SPARK.name(name),
    )
}

const TYPE_NAMES: TypeNames = TypeNames {
    boolean: "BOOLEAN",
    int32: "INT",
    int64: "BIGINT",
    float64: "DOUBLE",
    string: "STRING",
    binary: "BINARY",
    date: "DATE",
    timestamp: "TIMESTAMP",
    decimal: |precision, scale| format!("DECIMAL({precision}, {scale})"),
    list: |item| format!("ARRAY<{item}>"),
    field: |name, kind| format!("{}: {kind}", SPARK.name(name)),
    record: |fields| format!("STRUCT<{fields}>"),
};
