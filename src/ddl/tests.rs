//! Each dialect over a partitioned table with every type, a snapshot, and what is not published yet.

mod hostile;

use super::table::{TableFile, TableOrigin};
use super::*;
use crate::cycle::SyncMode;
use crate::layout::{FileFormat, HIVE_NULL, NullPartitions, Partition};
use crate::manifest::Manifest;
use crate::schema::{ColumnType, ExportColumn, ExportSchema};

fn column(name: &str, kind: ColumnType) -> ExportColumn {
    ExportColumn {
        name: name.to_owned(),
        kind,
        nullable: true,
    }
}

fn list(item: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(column("element", item)))
}

fn schema(columns: &[ExportColumn]) -> ExportSchema {
    let text = serde_json::to_string(columns).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn file(path: &str, values: &[(&str, &str)]) -> TableFile {
    let values = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    TableFile {
        path: path.to_owned(),
        partition: Partition::new(values.collect()).unwrap(),
    }
}

fn published(cycles: usize, files: Vec<TableFile>) -> TableOrigin {
    TableOrigin::Manifests {
        first: "2025-12-31".parse().unwrap(),
        last: "2026-01-01".parse().unwrap(),
        cycles,
        files,
        unread_files: 0,
    }
}

/// Partitioned by year, month and day, with every type, reserved words and both cases.
fn views(format: FileFormat) -> DdlTable {
    let extension = format.extension();
    DdlTable {
        name: "views".parse().unwrap(),
        description: "What was seen.\nIt's a \\ test; -- not a comment".to_owned(),
        sync_mode: SyncMode::Incremental,
        format,
        null_partitions: NullPartitions::default(),
        partition_by: schema(&[
            column("year", ColumnType::Int32),
            column("month", ColumnType::Int32),
            column("day", ColumnType::Int32),
        ]),
        schema: schema(&[
            column("time", ColumnType::Timestamp),
            column("date", ColumnType::Date),
            column("publishedAt", ColumnType::Timestamp),
            column("is_new", ColumnType::Boolean),
            column("order", ColumnType::Int32),
            column("line_item_id", ColumnType::Int64),
            column("score", ColumnType::Float64),
            column(
                "price",
                ColumnType::Decimal {
                    precision: 12,
                    scale: 2,
                },
            ),
            column("digest", ColumnType::Binary),
            column("segments", list(ColumnType::Int64)),
            column(
                "properties",
                ColumnType::Struct(vec![
                    column("url", ColumnType::String),
                    column("publishedAt", ColumnType::Timestamp),
                    column(
                        "keys",
                        list(ColumnType::Struct(vec![
                            column("key", ColumnType::String),
                            column("value", list(ColumnType::String)),
                        ])),
                    ),
                ]),
            ),
        ]),
        origin: published(
            2,
            vec![
                file(
                    &format!("data/views/year=2025/month=12/day=31/data-000000000000.{extension}"),
                    &[("year", "2025"), ("month", "12"), ("day", "31")],
                ),
                file(
                    &format!("data/views/year=2026/month=1/day=1/data-000000000000.{extension}"),
                    &[("year", "2026"), ("month", "1"), ("day", "1")],
                ),
            ],
        ),
    }
}

fn sites(format: FileFormat) -> DdlTable {
    let extension = format.extension();
    DdlTable {
        name: "sites".parse().unwrap(),
        description: String::new(),
        sync_mode: SyncMode::Snapshot,
        format,
        null_partitions: NullPartitions::default(),
        partition_by: schema(&[]),
        schema: schema(&[
            column("domain", ColumnType::String),
            column("last_seen", ColumnType::Timestamp),
        ]),
        origin: published(
            2,
            vec![file(
                &format!("data/sites/data-000000000000.{extension}"),
                &[],
            )],
        ),
    }
}

/// By a date and a text, which Athena cannot project, and not published.
fn clicks() -> DdlTable {
    DdlTable {
        name: "clicks".parse().unwrap(),
        description: "Clicks.".to_owned(),
        sync_mode: SyncMode::Incremental,
        format: FileFormat::Parquet,
        null_partitions: NullPartitions::default(),
        partition_by: schema(&[
            column("date", ColumnType::Date),
            column("site", ColumnType::String),
        ]),
        schema: schema(&[column("id", ColumnType::Int64)]),
        origin: TableOrigin::Definition {
            first_due: "2026-01-16".parse().unwrap(),
        },
    }
}

fn bucket() -> Location {
    Location::parse("s3://bucket/a prefix/").unwrap()
}

macro_rules! scripts {
    ($($dialect:ident $name:ident),+) => {
        $(#[test]
        fn $name() {
            for format in [FileFormat::Parquet, FileFormat::Json] {
                let tables = [views(format), sites(format), clicks()];
                let text = script(Dialect::$dialect, &bucket(), &tables).unwrap();
                let name = format!("{}_{format}", stringify!($name));
                insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                    insta::assert_snapshot!(name, text);
                });
            }
        })+
    };
}
scripts!(Athena athena, BigQuery bigquery, DuckDb duckdb, Snowflake snowflake, Spark spark);

#[test]
fn the_folder_of_null_is_no_value() {
    let day = [("day".to_owned(), HIVE_NULL.to_owned())];
    let table = DdlTable {
        null_partitions: NullPartitions::new(day.into()),
        ..views(FileFormat::Parquet)
    };
    let text = |dialect| script(dialect, &bucket(), std::slice::from_ref(&table)).unwrap();
    let snowflake = text(Dialect::Snowflake);
    let nulls = snowflake
        .matches(", '__HIVE_DEFAULT_PARTITION__')::")
        .count();
    assert_eq!(nulls, 1, "{snowflake}");
    // A projection would have no such folder.
    let athena = text(Dialect::Athena);
    assert!(!athena.contains("projection.enabled"), "{athena}");
    assert!(athena.contains("MSCK REPAIR TABLE"), "{athena}");
}

#[test]
fn services_cannot_read_folders() {
    let folder = Location::parse("/exports").unwrap();
    for dialect in [Dialect::Athena, Dialect::BigQuery, Dialect::Snowflake] {
        let error = script(dialect, &folder, &[]).unwrap_err();
        assert!(error.hint().unwrap().contains("s3://"), "{error}");
    }
    let text = script(Dialect::Spark, &folder, &[sites(FileFormat::Json)]).unwrap();
    assert!(
        text.contains("LOCATION 'file:///exports/data/sites/'"),
        "{text}"
    );
    let text = script(Dialect::DuckDb, &folder, &[sites(FileFormat::Json)]).unwrap();
    assert!(text.contains("'/exports/data/sites/*.json.gz'"), "{text}");
}

#[test]
fn snowflake_is_given_a_thousand_files_at_a_time() {
    let mut table = sites(FileFormat::Parquet);
    let files = (0..2001).map(|number| file(&format!("data/sites/data-{number:012}.parquet"), &[]));
    table.origin = published(1, files.collect());
    let text = script(Dialect::Snowflake, &bucket(), &[table]).unwrap();
    assert_eq!(text.matches("COPY INTO").count(), 3);
    assert_eq!(text.matches(".parquet'").count(), 2001);
}

#[test]
fn bigquery_refuses_lists_of_lists() {
    let mut table = sites(FileFormat::Json);
    table.schema = schema(&[column("grid", list(list(ColumnType::Int64)))]);
    let text = script(Dialect::BigQuery, &bucket(), &[table]).unwrap();
    assert!(text.contains("-- BigQuery has no lists of lists"), "{text}");
    assert!(!text.contains("CREATE"), "{text}");
}

#[test]
fn a_format_that_changed_and_late_events_are_seen() {
    let text = include_str!("../../tests/it/manifest/v1.json");
    let parse = |text: &str| Manifest::parse(&"m".into(), text.as_bytes()).unwrap();
    let newest = parse(text);
    let mut older = newest.clone();
    older.cycle = "2026-01-14".parse::<crate::cycle::Cycle>().unwrap().into();
    older.format = FileFormat::Json;
    assert_eq!(DdlTable::published(&[]), None);
    let table = DdlTable::published(&[older.clone(), newest.clone()]).unwrap();
    let summary = table.summary();
    assert!(
        summary.contains("older file(s) are in another format"),
        "{summary}"
    );
    assert_eq!(table.files().len(), newest.files.len());

    let late = &mut older.files[0].partition;
    let values = [("year", "2019"), ("month", "1"), ("day", "1")];
    *late = file("", &values).partition;
    older.format = newest.format;
    let table = DdlTable::published(&[older, newest]).unwrap();
    assert_eq!(table.years("year"), (2019, 2036));
}
