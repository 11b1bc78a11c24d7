//! The reading of JSON files, and the errors that end it.

use std::io::Write;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion::common::ScalarValue;
use datafusion::execution::object_store::ObjectStoreUrl;
use flate2::write::GzEncoder;
use futures::StreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::catalog::tests::*;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn people() -> World {
    World::new().declare(
        "people",
        "CREATE EXTERNAL TABLE people (
            id VARCHAR NOT NULL, n BIGINT, client STRUCT<title VARCHAR, tags VARCHAR[]>
        ) STORED AS JSON PARTITIONED BY (date DATE) LOCATION 'people/'",
    )
}

#[tokio::test]
async fn every_compression_line_end_and_missing_field() {
    let world = people()
        .raw(
            "people/date=2026-01-01/a.json",
            "\u{feff}{\"id\":\"a\",\"n\":1}\r\n\r\n{\"id\":\"b\"}",
        )
        .raw(
            "people/date=2026-01-02/b.json.gz",
            [
                gzip("{\"id\":\"c\",\"client\":{\"title\":\"x\",\"more\":1}}\n{\"id"),
                gzip("\":\"d\",\"new\":{}}\n"),
            ]
            .concat(),
        )
        .raw(
            "people/date=2026-01-02/c.json.zst",
            zstd::stream::encode_all(&b"{\"id\":\"e\",\"client\":{\"tags\":[\"p\",null]}}"[..], 0)
                .unwrap(),
        );
    let answer = world.query("SELECT * FROM people").await.unwrap();
    assert_eq!(
        answer.rows(),
        [
            "a|1||2026-01-01",
            "b|||2026-01-01",
            "c||{title: x, tags: }|2026-01-02",
            "d|||2026-01-02",
            "e||{title: , tags: [p, ]}|2026-01-02",
        ]
    );
    let scan = &answer.scans[0];
    assert_eq!(
        (scan.files.len(), scan.rows_read, scan.rows_rejected),
        (3, 5, 0)
    );
    assert_eq!(
        scan.bytes,
        scan.files.iter().map(|file| file.size).sum::<u64>()
    );
    assert_eq!(scan.digest, snapshot::digest(&scan.files));
    assert!(scan.files.iter().all(|file| file.etag.is_some()));
}

#[tokio::test]
async fn projections_in_any_order_and_without_columns() {
    let world = people()
        .raw(
            "people/date=2026-01-01/a.json",
            "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n",
        )
        .raw("people/date=2026-01-02/a.json", "{\"id\":\"c\",\"n\":3}\n");
    for (sql, rows) in [
        (
            "SELECT date, n, id FROM people WHERE n > 2",
            vec!["2026-01-02|3|c"],
        ),
        ("SELECT count(*) FROM people", vec!["3"]),
        (
            "SELECT date, count(*) FROM people GROUP BY date",
            vec!["2026-01-01|2", "2026-01-02|1"],
        ),
        (
            "SELECT client['title'] AS t, client.tags FROM people WHERE id = 'a'",
            vec!["|"],
        ),
    ] {
        let answer = world.query(sql).await.unwrap();
        assert_eq!(answer.rows(), rows, "{sql}");
        assert_eq!(answer.scans[0].rows_read, 3);
    }
}

#[tokio::test]
async fn a_bad_line_is_named_by_file_and_number() {
    for (content, reason) in [
        (
            "{\"id\":\"a\"}\n\n{\"id\":7}\n{\n",
            "line 3: field `id`: a string is expected, found a number",
        ),
        (
            "{\"id\":\"a\"}\n{\"n\":1}",
            "line 2: required field `id` is missing or null",
        ),
        (
            "{\"id\":\"a\"}\n{\"id\":\"b",
            "line 2: the JSON object does not end on its line",
        ),
    ] {
        let world = people()
            .raw("people/date=2026-01-01/a.json", "{\"id\":\"a\"}\n")
            .raw("people/date=2026-01-01/b.json.gz", gzip(content));
        let error = world.query("SELECT * FROM people").await.err().unwrap();
        assert_eq!(error.kind(), crate::error::ErrorKind::Data);
        assert_eq!(
            world.without_path(&error),
            format!("error: `file:///raw/people/date=2026-01-01/b.json.gz` {reason}")
        );
    }
}

#[tokio::test]
async fn errors_keep_their_kind_through_operators_that_share_them() {
    let world = people().raw("people/date=2026-01-01/a.json", "{\"id\":7}\n");
    let (ctx, _) = world.session().await.unwrap();
    for sql in [
        "SELECT id, count(*) FROM people GROUP BY id",
        "SELECT * FROM people JOIN people AS other USING (id)",
        "SELECT id FROM people UNION ALL SELECT id FROM people ORDER BY id",
    ] {
        let plan = physical_plan(&ctx, sql).await.unwrap();
        let error = collect(plan, ctx.task_ctx()).await.unwrap_err();
        let DataFusionError::External(root) = error.find_root() else {
            panic!("{error:?}");
        };
        let root: &Error = root.downcast_ref().unwrap();
        assert_eq!(root.kind(), crate::error::ErrorKind::Data, "{sql}");
    }
}

#[tokio::test]
async fn only_fields_that_are_read_have_to_fit() {
    let world = people().raw(
        "people/date=2026-01-01/a.json",
        "{\"id\":\"a\",\"n\":\"x\"}",
    );
    assert_eq!(
        world.query("SELECT id FROM people").await.unwrap().rows(),
        ["a"]
    );
    let error = world.error("SELECT n FROM people").await;
    assert!(error.contains("field `n`: "), "{error}");
}

#[tokio::test]
async fn compressed_files_that_are_cut_off_or_none_are_errors() {
    let whole = gzip("{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    let world = people().raw("people/date=2026-01-01/a.gz", &whole[..whole.len() - 9]);
    let error = world.error("SELECT * FROM people").await;
    assert!(
        error.starts_with("error: `file:///raw/people/date=2026-01-01/a.gz` is cut off"),
        "{error}"
    );
    let damaged = people().raw("people/date=2026-01-01/a.gz", [&[0], &whole[1..]].concat());
    let error = damaged.error("SELECT * FROM people").await;
    let expected =
        "error: `file:///raw/people/date=2026-01-01/a.gz` has the name of a compressed file";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_file_that_changes_or_goes_under_the_run_is_an_error() {
    let key = "people/date=2026-01-01/a.json";
    let world = people().raw(key, "{\"id\":\"a\"}\n");
    let (ctx, _) = world.session().await.unwrap();
    let plan = physical_plan(&ctx, "SELECT * FROM people").await.unwrap();
    let changed = world.raw(key, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    let error = ours(collect(plan.clone(), ctx.task_ctx()).await.unwrap_err());
    let text = changed.without_path(&error);
    assert!(text.starts_with("error: source file `file:///raw/people/date=2026-01-01/a.json` changed while it was read"), "{text}");
    std::fs::remove_file(changed.path(&format!("raw/{key}"))).unwrap();
    let plan = physical_plan(&ctx, "SELECT 1 FROM people").await;
    assert_eq!(
        collect(plan.unwrap(), ctx.task_ctx()).await.unwrap().len(),
        0
    );
}

/// Opens a session over a store that responds with streams, as S3 does.
async fn in_memory(files: &[(&str, &str)]) -> (SessionContext, Arc<InMemory>, World) {
    let store = Arc::new(InMemory::new());
    for (key, content) in files {
        let content = PutPayload::from((*content).to_owned());
        store.put(&(*key).into(), content).await.unwrap();
    }
    let world = World::new().declare(
        "t",
        "CREATE EXTERNAL TABLE t (id INT) STORED AS JSON LOCATION 'mem://bucket/t/'",
    );
    let (ctx, _) = world.session().await.unwrap();
    let url = Url::parse("mem://bucket").unwrap();
    ctx.register_object_store(&url, Arc::clone(&store) as Arc<dyn ObjectStore>);
    (ctx, store, world)
}

#[tokio::test]
async fn streams_are_read_conditionally_on_their_etags() {
    let many: String = (0..200_000)
        .map(|id| format!("{{\"id\":{id}}}\n"))
        .collect();
    let (ctx, store, _world) = in_memory(&[("t/a.json", &many), ("t/b.json", "{\"id\":-1}")]).await;
    let plan = physical_plan(&ctx, "SELECT count(*), sum(id) FROM t")
        .await
        .unwrap();
    let rows = collect(plan.clone(), ctx.task_ctx()).await.unwrap();
    let answer = pretty_format_batches(&rows).unwrap().to_string();
    assert!(answer.contains("| 200001   | 19999899999 |"), "{answer}");

    let plan = physical_plan(&ctx, "SELECT id FROM t").await.unwrap();
    store
        .put(&"t/b.json".into(), "{\"id\":-2}".into())
        .await
        .unwrap();
    let error = ours(collect(plan, ctx.task_ctx()).await.unwrap_err());
    assert_eq!(
        error.to_string(),
        "source file `mem://bucket/t/b.json` changed while it was read"
    );

    let plan = physical_plan(&ctx, "SELECT id FROM t").await.unwrap();
    store.delete(&"t/b.json".into()).await.unwrap();
    let error = ours(collect(plan, ctx.task_ctx()).await.unwrap_err());
    assert_eq!(
        error.to_string(),
        "source file `mem://bucket/t/b.json` was deleted before it was read"
    );
}

#[tokio::test]
async fn dropping_the_stream_ends_its_tasks() {
    let many: String = (0..500_000)
        .map(|id| format!("{{\"id\":{id}}}\n"))
        .collect();
    let (ctx, store, _world) = in_memory(&[("t/a.json", &many)]).await;
    let plan = physical_plan(&ctx, "SELECT id FROM t").await.unwrap();
    let mut stream = plan.execute(0, ctx.task_ctx()).unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert!(first.num_rows() > 0);
    drop((stream, plan, ctx));
    // The tasks hold the store until they end.
    for _ in 0..500 {
        if Arc::strong_count(&store) == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the tasks still hold the store");
}

#[tokio::test]
async fn rows_of_large_files_keep_their_order_in_batches_of_the_sessions_size() {
    let many: String = (0..300_000)
        .map(|id| format!("{{\"id\":{id}}}\n"))
        .collect();
    let (ctx, _, _world) = in_memory(&[("t/a.json", &many)]).await;
    let plan = physical_plan(&ctx, "SELECT id FROM t").await.unwrap();
    let batches = collect(plan, ctx.task_ctx()).await.unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 8192));
    let ids: Vec<i32> = batches
        .iter()
        .flat_map(|batch| {
            let column = batch.column(0).as_primitive::<Int32Type>();
            column.values().to_vec()
        })
        .collect();
    assert_eq!(ids, (0..300_000).collect::<Vec<i32>>());
}

#[tokio::test]
async fn fixed_tables_read_what_they_are_given() {
    let store = Arc::new(InMemory::new());
    let mut files = Vec::new();
    for day in [1, 2] {
        let key = format!("data/day={day}/data-000000000000.json.gz").into();
        let rows = gzip(&format!("{{\"id\":\"{day}\"}}\n{{\"id\":null}}\n"));
        store.put(&key, rows.into()).await.unwrap();
        let meta = store.head(&key).await.unwrap();
        files.push((meta, vec![ScalarValue::Int32(Some(day))]));
    }
    let ctx = SessionContext::new();
    ctx.register_object_store(&Url::parse("mem://out").unwrap(), store);
    let table = FixedTable::new(
        ObjectStoreUrl::parse("mem://out").unwrap(),
        files,
        SourceFormat::Json(Compression::Auto),
        Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, true)])),
        vec![Field::new("day", DataType::Int32, false)],
    );
    ctx.register_table("published", Arc::new(table)).unwrap();
    let rows = |sql: &'static str| {
        let ctx = ctx.clone();
        async move {
            let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
            pretty_format_batches(&batches).unwrap().to_string()
        }
    };
    assert!(
        rows("SELECT count(*), count(id), sum(day) FROM published")
            .await
            .contains("| 4        | 2                   | 6")
    );
    assert!(
        rows("SELECT count(*) FROM published WHERE day = 2")
            .await
            .contains("| 2        |")
    );
}
