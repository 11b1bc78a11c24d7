//! Parquet sources: DataFusion's reader over the listed files.

use std::fs::File;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, StringArray, StructArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::session_state::SessionStateBuilder;

use crate::catalog::tests::*;

const EVENTS: &str = "
    CREATE EXTERNAL TABLE events (
        id BIGINT NOT NULL,
        time TIMESTAMP(6) WITH TIME ZONE,
        name VARCHAR,
        client STRUCT<title VARCHAR, os VARCHAR>
    ) STORED AS PARQUET PARTITIONED BY (date DATE, hour INT) LOCATION 'events/'
    OPTIONS ('time_column' 'time')";

/// Writes one Parquet file with row groups of ten rows.
fn write(world: &World, key: &str, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = world.path(&format!("raw/{key}"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(10))
        .build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn ids(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(range))
}

/// Returns one time a second from `start` on, in seconds since 1970.
fn times(start: i64, rows: i64) -> ArrayRef {
    let micros = (start..start + rows).map(|second| second * 1_000_000);
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

/// The time 2026-01-15T00:00:00Z, in seconds since 1970.
const DAY: i64 = 1_768_435_200;

#[tokio::test]
async fn missing_columns_and_struct_fields_are_null() {
    let world = World::new().declare("events", EVENTS);
    write(
        &world,
        "events/date=2026-01-15/hour=00/old.parquet",
        vec![("id", ids(0..1))],
    );
    let title: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let client = StructArray::from(vec![(
        Arc::new(Field::new("title", DataType::Utf8, true)),
        title,
    )]);
    write(
        &world,
        "events/date=2026-01-15/hour=1/new.parquet",
        vec![
            ("client", Arc::new(client) as ArrayRef),
            ("extra", ids(7..8)),
            ("time", times(DAY + 3600, 1)),
            ("id", ids(1..2)),
        ],
    );
    let answer = world.query("SELECT * FROM events").await.unwrap();
    assert_eq!(
        answer.rows(),
        [
            "0||||2026-01-15|0",
            "1|2026-01-15T01:00:00Z||{title: x, os: }|2026-01-15|1"
        ]
    );
    assert_eq!(answer.scans[0].rows_read, 2);
    let answer = world
        .query("SELECT client.os, client.title, hour FROM events WHERE client.title = 'x'")
        .await
        .unwrap();
    assert_eq!(answer.rows(), ["|x|1"]);
}

#[tokio::test]
async fn rows_are_counted_and_row_groups_skipped() {
    let world = World::new().declare("events", EVENTS);
    for hour in 0..3 {
        let start = hour * 3600;
        write(
            &world,
            &format!("events/date=2026-01-15/hour={hour:02}/a.parquet"),
            vec![
                ("id", ids(start..start + 100)),
                ("time", times(DAY + start, 100)),
            ],
        );
    }
    let answer = world.query("SELECT count(*) FROM events").await.unwrap();
    assert_eq!(
        (answer.rows(), answer.scans[0].rows_read),
        (vec!["300".to_owned()], 300)
    );

    // One hour by its folder, and one of its ten row groups by its statistics.
    let sql = "SELECT id FROM events WHERE time >= '2026-01-15T01:00:20Z' AND time < '2026-01-15T01:00:25Z'";
    let answer = world.query(sql).await.unwrap();
    assert_eq!(answer.rows().len(), 5);
    assert_eq!(answer.keys(), ["events/date=2026-01-15/hour=01/a.parquet"]);
    assert_eq!(answer.scans[0].rows_read, 10);

    let answer = world
        .query("SELECT id, hour FROM events WHERE hour = 2 LIMIT 3")
        .await
        .unwrap();
    assert_eq!((answer.rows().len(), answer.keys().len()), (3, 1));
    assert!(find_source(&answer.plan));
}

fn find_source(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<DataSourceExec>().is_some() || plan.children().into_iter().any(find_source)
}

#[tokio::test]
async fn a_missing_required_column_is_an_error() {
    let world = World::new().declare("events", EVENTS);
    write(
        &world,
        "events/date=2026-01-15/hour=00/a.parquet",
        vec![("time", times(DAY, 1))],
    );
    let (ctx, _) = world.session().await.unwrap();
    let plan = physical_plan(&ctx, "SELECT * FROM events").await.unwrap();
    let error = collect(plan, ctx.task_ctx()).await.unwrap_err().to_string();
    assert!(error.contains("id"), "{error}");
}

/// Finds the nearest operator of this name at or below `plan`.
fn find(plan: &Arc<dyn ExecutionPlan>, name: &str) -> Option<Arc<dyn ExecutionPlan>> {
    if plan.name() == name {
        return Some(Arc::clone(plan));
    }
    let mut children = plan.children().into_iter();
    children.find_map(|child| find(child, name))
}

/// Leaves that only other tables of a shared scan use are read, but not copied for this table.
#[tokio::test]
async fn filters_of_a_shared_scan_copy_only_the_leaves_that_the_query_uses() {
    let world = World::new().declare("events", EVENTS);
    let texts = || -> ArrayRef { Arc::new(StringArray::from(vec!["x"; 20])) };
    let member = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
    let client = StructArray::from(vec![(member("title"), texts()), (member("os"), texts())]);
    write(
        &world,
        "events/date=2026-01-15/hour=1/a.parquet",
        vec![("id", ids(0..20)), ("client", Arc::new(client))],
    );
    let (ctx, _) = world.session().await.unwrap();
    let config = ctx
        .copied_config()
        // The catalog is shared: creating the default one again would empty it.
        .with_create_default_catalog_and_schema(false)
        .with_extension(Arc::<ScanRequests>::default());
    let state = SessionStateBuilder::new_from_existing(ctx.state());
    let ctx = SessionContext::new_with_state(state.with_config(config).build());
    let sql = "SELECT id, client.title FROM events WHERE id % 2 = 0";
    let plan = physical_plan(&ctx, sql).await.unwrap();
    let scan = find(&plan, "SharedParquetExec").unwrap();
    let batches = collect(Arc::clone(&scan), ctx.task_ctx()).await.unwrap();
    let rows = concat_batches(&scan.schema(), &batches).unwrap();
    let scanned = rows.column_by_name("client").unwrap().as_struct();
    let nulls = |name| scanned.column_by_name(name).unwrap().null_count();
    assert_eq!((rows.num_rows(), nulls("title"), nulls("os")), (10, 0, 10));
}
