//! Shared scans: tables of a cycle read a source once, and a slow or failing table does not block the
//! others.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::support::{
    CommandOutput, Sandbox, TestDestination, check_published, decode, gzip, lines, rows,
};
use crate::world::{incompressible, set_views, view, world};

/// The number of rows, more than all batches that are buffered between a shared scan and its consumers.
const ROWS: u64 = 40_000;

/// Arguments that make chunks small, so that a source has many of them.
const ARGS: [&str; 6] = [
    "--date",
    "2026-01-15",
    "--memory-limit",
    "64MiB",
    "--output",
    "json",
];

macro_rules! of_both_formats {
    ($($name:ident,)+) => { $(mod $name {
        #[test] fn of_json() { super::$name(super::Raw::Json); }
        #[test] fn of_parquet() { super::$name(super::Raw::Parquet); }
    })+ };
}

of_both_formats!(
    tables_share_a_scan,
    a_table_that_fails_or_ends_early_leaves_the_others_alone,
    a_source_read_twice_by_one_table_is_read_twice,
    joins_in_opposite_order_do_not_deadlock,
);

#[derive(Clone, Copy)]
enum Raw {
    Json,
    Parquet,
}

impl Raw {
    fn declaration(self, name: &str) -> String {
        let format = match self {
            Raw::Json => "JSON",
            Raw::Parquet => "PARQUET",
        };
        format!(
            "CREATE EXTERNAL TABLE {name} (id BIGINT NOT NULL, kind VARCHAR, note VARCHAR)
             STORED AS {format} LOCATION '{name}/'"
        )
    }

    /// Writes two files of numbered rows; two kinds of rows alternate.
    fn write(self, sandbox: &Sandbox, name: &str) {
        for part in 0..2 {
            let ids = (0..ROWS).filter(|id| id % 2 == part);
            match self {
                Raw::Json => {
                    let rows = ids.map(|id| json!({"id": id, "kind": kind(id), "note": note(id)}));
                    let text = lines(rows);
                    sandbox.write(&format!("raw/{name}/{part}.json.gz"), gzip(&text));
                }
                Raw::Parquet => {
                    let file = parquet(&ids.collect::<Vec<_>>());
                    sandbox.write(&format!("raw/{name}/{part}.parquet"), file);
                }
            }
        }
    }

    fn sandbox(self) -> Sandbox {
        let sandbox = Sandbox::empty(TestDestination::local());
        for name in ["one", "two"] {
            sandbox.write(&format!("sql/sources/{name}.sql"), self.declaration(name));
            self.write(&sandbox, name);
        }
        sandbox
    }
}

fn kind(id: u64) -> &'static str {
    if id.is_multiple_of(4) {
        "rare"
    } else {
        "common"
    }
}

fn note(id: u64) -> String {
    incompressible(id).repeat(4)
}

fn parquet(ids: &[u64]) -> Bytes {
    let columns: [(&str, ArrayRef); 3] = [
        (
            "id",
            Arc::new(ids.iter().map(|id| *id as i64).collect::<Int64Array>()),
        ),
        (
            "kind",
            Arc::new(
                ids.iter()
                    .map(|id| Some(kind(*id)))
                    .collect::<StringArray>(),
            ),
        ),
        (
            "note",
            Arc::new(
                ids.iter()
                    .map(|id| Some(note(*id)))
                    .collect::<StringArray>(),
            ),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("write");
    writer.close().expect("close");
    file.into()
}

fn define(sandbox: &Sandbox, table: &str, query: &str) {
    let definition = format!("COPY ({query}) TO '{table}'");
    sandbox.write(&format!("sql/{table}.sql"), definition);
}

/// Returns the numbers of scans and of shared scans in the report.
fn scan_counts(output: &CommandOutput) -> (Value, Value) {
    let report = output.report();
    (report["scans"].clone(), report["passes"].clone())
}

fn count(sandbox: &Sandbox, table: &str) -> u64 {
    let published = check_published(&sandbox.destination);
    published[table][0]["rows"].as_u64().expect("a number")
}

fn tables_share_a_scan(raw: Raw) {
    let sandbox = raw.sandbox();
    define(&sandbox, "rare", "SELECT id FROM one WHERE kind = 'rare'");
    define(
        &sandbox,
        "common",
        "SELECT id, note FROM one WHERE kind = 'common'",
    );
    define(
        &sandbox,
        "kinds",
        "SELECT kind, count(*) AS n FROM one GROUP BY kind",
    );
    define(&sandbox, "other", "SELECT id FROM two");
    let output = sandbox.run(&ARGS).succeeded();
    assert_eq!(scan_counts(&output), (json!(4), json!(2)));
    assert_eq!(count(&sandbox, "rare"), ROWS / 4);
    assert_eq!(count(&sandbox, "common"), ROWS / 4 * 3);
    assert_eq!(count(&sandbox, "other"), ROWS);
    let mut common = rows(&sandbox.destination, "common");
    common.sort_by_key(|row| row["id"].as_u64());
    let expected = (0..ROWS).filter(|id| kind(*id) == "common");
    assert!(
        common
            .into_iter()
            .eq(expected.map(|id| json!({"id": id, "note": note(id)})))
    );
    // The record of each table covers everything that was read for it.
    let published = check_published(&sandbox.destination);
    for table in ["rare", "common", "kinds", "other"] {
        let source = &published[table][0]["sources"][0];
        assert_eq!(
            (&source["files"], &source["rows_read"]),
            (&json!(2), &json!(ROWS)),
            "{table}"
        );
    }
}

fn a_table_that_fails_or_ends_early_leaves_the_others_alone(raw: Raw) {
    let sandbox = raw.sandbox();
    define(&sandbox, "all", "SELECT id, note FROM one");
    define(&sandbox, "fails", "SELECT 1 / (id - 5000) AS x FROM one");
    // The table takes the first rows of the shared scan, and is then busy with another scan.
    define(
        &sandbox,
        "few",
        "SELECT count(*) AS n FROM (SELECT kind FROM one WHERE id < 100 LIMIT 3) JOIN two ON two.id >= 0",
    );
    let output = sandbox.run(&ARGS).exited_with(1);
    assert_eq!(
        output.results(),
        [
            "all 2026-01-15 published",
            "fails 2026-01-15 failed",
            "few 2026-01-15 published",
        ]
    );
    assert_eq!(count(&sandbox, "all"), ROWS);
    assert_eq!(rows(&sandbox.destination, "few"), [json!({"n": 3 * ROWS})]);
}

fn a_source_read_twice_by_one_table_is_read_twice(raw: Raw) {
    let sandbox = raw.sandbox();
    define(
        &sandbox,
        "pairs",
        "SELECT a.id, b.note FROM one a JOIN one b ON a.id = b.id AND a.kind = 'rare'",
    );
    define(&sandbox, "all", "SELECT id FROM one");
    let output = sandbox.run(&ARGS).succeeded();
    assert_eq!(scan_counts(&output), (json!(3), json!(2)));
    assert_eq!(count(&sandbox, "pairs"), ROWS / 4);
    assert_eq!(count(&sandbox, "all"), ROWS);
}

fn joins_in_opposite_order_do_not_deadlock(raw: Raw) {
    let sandbox = raw.sandbox();
    // The left side is read to its end before the right one starts.
    let join = |left: &str, right: &str| {
        format!("SELECT l.id, r.note FROM {left} l LEFT JOIN {right} r ON l.id = r.id")
    };
    define(&sandbox, "forth", &join("one", "two"));
    define(&sandbox, "back", &join("two", "one"));
    define(&sandbox, "alone", "SELECT id FROM two");
    sandbox
        .run(&["--date", "2026-01-15", "--output", "json"])
        .succeeded();
    for table in ["forth", "back", "alone"] {
        assert_eq!(count(&sandbox, table), ROWS, "{table}");
    }
}

/// A line that is malformed for one table is a row of another that does not read the malformed field.
#[test]
fn a_line_is_malformed_only_for_tables_that_read_the_wrong_field() {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("sql/sources/one.sql", Raw::Json.declaration("one"));
    let text =
        "{\"id\":1,\"note\":\"a\"}\n{\"id\":2,\"note\":7}\n{\"id\":3\n{\"id\":4,\"note\":\"d\"}\n";
    sandbox.write("raw/one/0.json", text);
    define(&sandbox, "ids", "SELECT id FROM one");
    define(&sandbox, "notes", "SELECT id, note FROM one");
    let together = [&ARGS[..], &["--max-rejects", "9"]].concat();
    let output = sandbox.run(&together).exited_with(0);
    assert_eq!(scan_counts(&output), (json!(2), json!(1)));
    let ids = |table: &str| {
        let mut ids: Vec<Value> = rows(&sandbox.destination, table)
            .into_iter()
            .map(|row| row["id"].clone())
            .collect();
        ids.sort_by_key(Value::as_u64);
        ids
    };
    assert_eq!(ids("ids"), [1, 2, 4]);
    assert_eq!(ids("notes"), [1, 4]);
    let published = check_published(&sandbox.destination);
    let rejected = |table: &str| published[table][0]["sources"][0]["rows_rejected"].clone();
    assert_eq!((rejected("ids"), rejected("notes")), (json!(1), json!(2)));
}

/// The same holds for the leaves of one column, with one table and with several.
#[test]
fn a_line_is_malformed_only_for_tables_that_use_the_wrong_leaf() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let source =
        "CREATE EXTERNAL TABLE one (id BIGINT, p STRUCT<url VARCHAR, n BIGINT, o STRUCT<x INT>>)
        STORED AS JSON LOCATION 'one/'";
    sandbox.write("sql/sources/one.sql", source);
    let text = [
        r#"{"id":1,"p":{"url":"a","n":1,"o":{"x":1}}}"#,
        r#"{"id":2,"p":{"url":"b","n":"many","o":{"x":2}}}"#,
        r#"{"id":3,"p":{"url":3,"n":3,"o":[]}}"#,
        r#"{"\u0069d":4,"p":{"url":"d","n":4,"o":7}}"#,
        r#"{"id":5,"p":"#,
    ];
    sandbox.write("raw/one/0.json", text.join("\n"));
    let tables = [
        ("urls", "SELECT id, p['url'] AS url FROM one", vec![1, 2, 4]),
        ("numbers", "SELECT id, p['n'] AS n FROM one", vec![1, 3, 4]),
        (
            "asked",
            "SELECT id FROM one WHERE p['o']['x'] > 0",
            vec![1, 2],
        ),
        ("whole", "SELECT id, p FROM one", vec![1]),
        ("ids", "SELECT id FROM one", vec![1, 2, 3, 4]),
    ];
    for (table, query, _) in &tables {
        define(&sandbox, table, query);
    }
    let lenient = [&ARGS[..], &["--max-rejects", "9"]].concat();
    let rows_and_rejects = |table: &str| {
        let mut ids: Vec<Value> = rows(&sandbox.destination, table)
            .into_iter()
            .map(|row| row["id"].clone())
            .collect();
        ids.sort_by_key(Value::as_u64);
        let rejects = &check_published(&sandbox.destination)[table][0]["rejects"][0];
        let path = rejects["path"].as_str().expect("a path");
        let lines: Vec<Value> = decode(path, &sandbox.destination.read(path))
            .into_iter()
            .map(|line| json!([line["line"], line["reason"]]))
            .collect();
        (ids, lines)
    };
    assert_eq!(
        scan_counts(&sandbox.run(&lenient).exited_with(0)),
        (json!(5), json!(1))
    );
    let mut together = Vec::new();
    for (table, _, ids) in &tables {
        let of_table = rows_and_rejects(table);
        assert_eq!(&of_table.0, ids, "{table}");
        together.push(of_table);
    }
    for ((table, _, _), together) in tables.iter().zip(together) {
        let rerun = [&lenient[..], &["--rerun", table]].concat();
        assert_eq!(
            scan_counts(&sandbox.run(&rerun).exited_with(0)),
            (json!(1), json!(1))
        );
        assert_eq!(rows_and_rejects(table), together, "{table}");
    }
}

/// A snapshot reads all days, an incremental table its own day: each gets its files from one shared
/// scan.
#[test]
fn tables_that_need_different_files_of_a_source_share_a_scan() {
    let sandbox = world(TestDestination::local());
    set_views(&sandbox, 15, &[view(15, 15), view(16, 15)]);
    let narrow = "SELECT id, date_part('year', time) AS year FROM views
        WHERE received >= $window_start AND received < $window_end AND date = '2026-01-15'";
    sandbox.write(
        "sql/narrow.sql",
        format!("COPY ({narrow}) TO 'narrow' PARTITIONED BY (year)"),
    );
    define(&sandbox, "everything", "SELECT id FROM views");
    let output = sandbox
        .run(&[
            "--date",
            "2026-01-15",
            "--output",
            "json",
            "narrow",
            "everything",
        ])
        .succeeded();
    assert_eq!(scan_counts(&output), (json!(2), json!(1)));
    assert_eq!(count(&sandbox, "everything"), 7);
    assert_eq!(count(&sandbox, "narrow"), 2);
    let published = check_published(&sandbox.destination);
    let read = |table: &str| {
        let source = &published[table][0]["sources"][0];
        (source["files"].clone(), source["rows_read"].clone())
    };
    assert_eq!(read("everything"), (json!(6), json!(7)));
    assert_eq!(read("narrow"), (json!(1), json!(2)));
}
