//! The books of tables: rows read = rows exported + filtered + rejected, wherever a plan keeps rows.

#[cfg(debug_assertions)]
mod planted;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use crate::support::{
    CommandOutput, FIRST_DAY, SECOND_DAY, Sandbox, THIRD_DAY, TestDestination, lines, manifest,
};

/// JSON lines of one source, in four files.
struct Lines;

impl Lines {
    const FILES: u64 = 4;
    /// The rows of a file, without malformed lines.
    const ROWS: u64 = 600;

    /// Creates a sandbox with the source `one`. One line is malformed for every table, one only for those
    /// that read `note`.
    fn sandbox() -> Sandbox {
        let sandbox = Sandbox::empty(TestDestination::local());
        let source =
            "CREATE EXTERNAL TABLE one (id BIGINT NOT NULL, kind VARCHAR, day BIGINT, note VARCHAR,
              list BIGINT[], time TIMESTAMP(6) WITH TIME ZONE)
            STORED AS JSON LOCATION 'one/'";
        sandbox.write("sql/sources/one.sql", source);
        for file in 0..Self::FILES {
            let ids = file * Self::ROWS..(file + 1) * Self::ROWS;
            let rows = ids.map(|id| {
                let kind = if id % 4 == 0 { "rare" } else { "common" };
                let day = if id % 7 == 0 { 20 } else { 10 + file };
                let note = if id == 1 {
                    json!(7)
                } else {
                    json!(format!("note {id}"))
                };
                let list = if id % 4 == 0 {
                    json!([])
                } else {
                    json!([id, id, id])
                };
                let time = "2026-01-15T12:00:00Z";
                json!({
                    "id": id, "kind": kind, "day": day, "note": note, "list": list, "time": time,
                })
            });
            let mut text = lines(rows);
            if file == 0 {
                text.push_str("{\"id\":\n");
            }
            sandbox.write(&format!("raw/one/{file}.json"), text);
        }
        sandbox
    }
}

/// Returns a Parquet file of the numbers `id`, with row groups of this many rows.
fn parquet(ids: Range<i64>, row_group_rows: usize) -> Bytes {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("a batch");
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(row_group_rows))
        .build();
    let mut file = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("write");
    writer.close().expect("close");
    file.into()
}

const DAY: [&str; 6] = [
    "--date",
    "2026-01-15",
    "--output",
    "json",
    "--max-rejects",
    "9",
];

fn run_query(sandbox: &Sandbox, query: &str, args: &[&str]) -> CommandOutput {
    sandbox.write("sql/t.sql", format!("COPY ({query}) TO 't'"));
    sandbox.run(&[&DAY, args].concat()).exited_with(0)
}

/// Returns the balance of the table `t` in the report.
fn reported(output: &CommandOutput) -> Value {
    output.report()["tables"][0]["balance"].clone()
}

/// Returns the balance of a query over the source `one`, which the manifest has, too.
fn balance(query: &str) -> Value {
    let sandbox = Lines::sandbox();
    let reported = reported(&run_query(&sandbox, query, &[]));
    let published = manifest(&sandbox.destination, "t", "2026-01-15", 0);
    assert_eq!(published["balance"], reported);
    reported
}

#[test]
fn rows_are_counted_where_they_are_dropped() {
    let rows = Lines::FILES * Lines::ROWS;
    let books = |read: u64, rejected: u64, filtered: u64| {
        let exported = read - rejected - filtered;
        json!({ "read": read, "rejected": rejected, "filtered": filtered, "exported": exported })
    };
    // All but one line are rows, or all but two if `note` is read.
    let read = rows + 1;
    for (query, expected) in [
        ("SELECT id FROM one", books(read, 1, 0)),
        ("SELECT note FROM one", books(read, 2, 0)),
        (
            "SELECT id FROM one WHERE kind = 'rare'",
            books(read, 1, rows / 4 * 3),
        ),
        ("SELECT id FROM one WHERE id < 0", books(read, 1, rows)),
        ("SELECT id FROM one WHERE false", books(0, 0, 0)),
        ("SELECT id FROM one ORDER BY id DESC", books(read, 1, 0)),
        (
            "SELECT id FROM one UNION ALL SELECT day FROM one WHERE id % 4 = 0",
            books(2 * read, 2, rows / 4 * 3),
        ),
        // The filter is above the window function, and not in the scan.
        (
            "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM one) WHERE n <= 5",
            books(read, 1, rows - 5),
        ),
        (
            "SELECT id, count(*) OVER (PARTITION BY kind) AS n FROM one",
            books(read, 1, 0),
        ),
        (
            "SELECT column1 AS n FROM (VALUES (1), (2), (3)) WHERE column1 > 1",
            books(3, 0, 1),
        ),
        ("SELECT 1 AS n", books(1, 0, 0)),
    ] {
        assert_eq!(balance(query), expected, "{query}");
    }
}

#[test]
fn unnest_counts_the_rows_that_it_adds() {
    let query = "SELECT unnest(list) AS n FROM one WHERE id % 2 = 0";
    let rows = Lines::FILES * Lines::ROWS;
    let (lists, empty) = (rows / 4, rows / 4);
    let expected = json!({
        "read": rows + 1,
        "rejected": 1,
        "filtered": rows / 2,
        "unnested": 2 * lists - empty,
        "exported": 3 * lists,
    });
    assert_eq!(balance(query), expected);
}

#[test]
fn a_plan_that_does_not_keep_rows_says_why() {
    for (query, reason) in [
        (
            "SELECT kind, count(*) AS n FROM one GROUP BY kind",
            "it aggregates",
        ),
        ("SELECT count(*) AS n FROM one", "it aggregates"),
        ("SELECT DISTINCT kind FROM one", "it leaves out duplicates"),
        (
            "SELECT kind FROM one UNION SELECT kind FROM one",
            "it leaves out duplicates",
        ),
        (
            "SELECT a.id FROM one a JOIN one b ON a.id = b.id",
            "it joins",
        ),
        ("SELECT id FROM one LIMIT 3", "it limits"),
        ("SELECT id FROM one ORDER BY id LIMIT 3", "it limits"),
        (
            "SELECT id FROM one WHERE id IN (SELECT day FROM one)",
            "it has a subquery",
        ),
        (
            "SELECT id FROM one WHERE id = (SELECT max(id) FROM one)",
            "it has a subquery",
        ),
    ] {
        assert_eq!(
            balance(query),
            json!({ "not_countable": reason }),
            "{query}"
        );
    }
}

/// Rows of row groups that are skipped are not read, whether the scan is shared or not.
#[test]
fn pruned_row_groups_are_not_read() {
    let sandbox = Sandbox::empty(TestDestination::local());
    let source = "CREATE EXTERNAL TABLE one (id BIGINT) STORED AS PARQUET LOCATION 'one/'";
    sandbox.write("sql/sources/one.sql", source);
    sandbox.write("raw/one/0.parquet", parquet(0..4000, 1000));
    let books = |read: u64, exported: u64| json!({ "read": read, "rejected": 0, "filtered": read - exported, "exported": exported });
    let few = "SELECT id FROM one WHERE id >= 2990 AND id < 3010";
    assert_eq!(reported(&run_query(&sandbox, few, &[])), books(2000, 20));
    let more = "COPY (SELECT id FROM one WHERE id < 5) TO 'u'";
    sandbox.write("sql/u.sql", more);
    let output = run_query(&sandbox, few, &["--rerun", "t", "u"]);
    let report = output.report();
    assert_eq!(report["passes"], 1);
    let balances = [0, 1].map(|table| report["tables"][table]["balance"].clone());
    assert_eq!(balances, [books(3000, 20), books(3000, 5)]);
}

/// The volumes of all tenants are not the business of one whose rows a parameter selects.
#[test]
fn a_selection_by_a_parameter_keeps_what_it_leaves_out_to_the_report() {
    let sandbox = Lines::sandbox();
    let query = "SELECT id FROM one WHERE kind = $tenant";
    let output = run_query(&sandbox, query, &["--param", "tenant=rare"]);
    let rows = Lines::FILES * Lines::ROWS;
    let whole = json!({
        "read": rows + 1, "rejected": 1, "filtered": rows / 4 * 3, "exported": rows / 4,
    });
    assert_eq!(reported(&output), whole);
    let published = manifest(&sandbox.destination, "t", "2026-01-15", 0);
    assert_eq!(
        published["balance"],
        json!({ "rejected": 1, "exported": rows / 4 })
    );
    let log = sandbox.destination.keys_below("_dayport/log/");
    for key in log {
        let entry = String::from_utf8(sandbox.destination.read(&key).to_vec()).expect("text");
        assert!(!entry.contains("\"filtered\""), "{entry}");
    }
}

#[test]
fn every_table_of_the_fixtures_balances_or_says_why_not() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    for day in [FIRST_DAY, SECOND_DAY, THIRD_DAY] {
        let args = ["--date", day, "--output", "json"];
        let report = sandbox.run(&args).exited_with(0).report();
        let tables = report["tables"].as_array().expect("tables");
        assert_eq!(tables.len(), 10);
        for table in tables {
            let balance = &table["balance"];
            let figure = |name: &str| balance[name].as_u64();
            match table["table"].as_str() {
                Some("domains") => {
                    assert_eq!(*balance, json!({"not_countable": "it has a subquery"}))
                }
                name => {
                    let accounted = ["exported", "filtered", "rejected"].map(figure);
                    let sum: Option<u64> = accounted.into_iter().sum();
                    assert!(sum.is_some_and(|sum| sum > 0), "{name:?}: {balance}");
                    assert_eq!(figure("read"), sum, "{name:?}: {balance}");
                    assert_eq!(balance["exported"], table["rows"], "{name:?}");
                }
            }
        }
    }
}

#[test]
fn the_log_and_status_show_the_books() {
    let sandbox = Lines::sandbox();
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id FROM one WHERE kind = 'rare') TO 't'",
    );
    let args = ["--date", "2026-01-15", "--max-rejects", "9", "-v"];
    let books = "2,401 read = 600 exported + 1,800 filtered + 1 rejected";
    sandbox
        .run(&args)
        .exited_with(0)
        .stderr_has("INFO accounted table=t cycle=2026-01-15 run_id=")
        .stderr_has(&format!("balance={books}"));
    let to = sandbox.destination.url();
    sandbox
        .dayport(&["status", "--to", &to])
        .exited_with(0)
        .stdout_has(&format!("books: t 2026-01-15: {books}\n"));
    let json = sandbox.dayport(&["status", "--to", &to, "--output", "json"]);
    let status = json.succeeded().report();
    let days = status["tables"][0]["days"].as_array().expect("days");
    let day = days.iter().find(|day| day["state"] == "published");
    assert_eq!(day.expect("a day")["balance"]["filtered"], 1800);
}
