//! Columns of folders: placeholders that PARTITIONED BY names, Hive folders below a pattern, and the types
//! BOOLEAN and TIMESTAMP.

use serde_json::{Value, json};

use super::DAY;
use crate::support::{Sandbox, TestDestination, check_published, lines, rows, sorted};

fn sandbox(source: &str, query: &str) -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write("sql/sources/events.sql", source.to_owned());
    sandbox.write("sql/t.sql", format!("COPY ({query}) TO 't'"));
    sandbox
}

fn add(sandbox: &Sandbox, path: &str, id: i64) {
    sandbox.write(&format!("raw/{path}"), lines([json!({"id": id})]));
}

fn published(sandbox: &Sandbox) -> Vec<Value> {
    check_published(&sandbox.destination);
    sorted(rows(&sandbox.destination, "t"))
}

#[test]
fn placeholders_are_columns_if_they_are_declared() {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT, hour INT, date DATE, month VARCHAR) STORED AS JSON
         PARTITIONED BY (hour, date, month, account, region)
         LOCATION 'AWSLogs/{account}/CloudTrail/{region}-{date}/{year}/{month}/h{hour}/'",
        "SELECT id, account, region, CAST(date AS VARCHAR) AS date, month, hour FROM events
         WHERE hour = 3 AND account = 'a b'",
    );
    let folder = |account: &str, hour: &str| {
        format!("AWSLogs/{account}/CloudTrail/eu-west-1-2026-01-15/2026/01/{hour}/a.json")
    };
    add(&sandbox, &folder("a b", "h03"), 1);
    add(&sandbox, &folder("a b", "h04"), 2);
    add(&sandbox, &folder("c", "h03"), 3);
    add(&sandbox, "AWSLogs/a b/Config/eu-west-1/a.json", 4);
    // The two dates of the path are not of one month.
    add(
        &sandbox,
        "AWSLogs/a b/CloudTrail/x-2026-01-15/2026/02/h03/a.json",
        5,
    );
    sandbox.run(&["--date", DAY]).succeeded();
    let expected = json!({
        "id": 1, "account": "a b", "region": "eu-west-1", "date": "2026-01-15", "month": "01", "hour": 3
    });
    assert_eq!(published(&sandbox), [expected]);
    let manifest = &check_published(&sandbox.destination)["t"][0];
    assert_eq!(manifest["sources"][0]["files"], 1);
}

#[test]
fn the_time_of_a_path_is_no_column_unless_it_is_declared() {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT) STORED AS JSON LOCATION 'events/{year}/'",
        "SELECT * FROM events",
    );
    add(&sandbox, "events/2026/a.json", 1);
    sandbox.run(&["--date", DAY]).succeeded();
    assert_eq!(published(&sandbox), [json!({"id": 1})]);
}

#[test]
fn hive_folders_may_follow_a_pattern() {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT, time TIMESTAMP WITH TIME ZONE, date DATE, hour INT)
         STORED AS JSON PARTITIONED BY (date, hour) LOCATION 'raw-*/events/' OPTIONS ('time_column' 'time')",
        "SELECT id, hour FROM events WHERE time >= $window_start AND time < $window_end",
    );
    let row =
        |id: i64, day: u32| lines([json!({"id": id, "time": format!("2026-01-{day}T03:00:00Z")})]);
    for (place, day, id) in [("raw-a", 15, 1), ("raw-b", 15, 2), ("raw-b", 14, 3)] {
        let path = format!("raw/{place}/events/date=2026-01-{day}/Hour=03/a.json");
        sandbox.write(&path, row(id, day));
    }
    sandbox.write("raw/raw-b/events/day=2026-01-15/hour=03/a.json", row(4, 15));
    sandbox.run(&["--date", DAY]).succeeded();
    assert_eq!(
        published(&sandbox),
        [json!({"id": 1, "hour": 3}), json!({"id": 2, "hour": 3})]
    );
    let manifest = &check_published(&sandbox.destination)["t"][0];
    let source = &manifest["sources"][0];
    assert_eq!(source["files"], 2);
    assert_eq!(super::passed_over(source), ["raw-b/events/day=2026-01-15/"]);
    sandbox
        .run(&["--date", "2026-01-16"])
        .exited_with(75)
        .stdout_has("awaits events raw-*/events/date=2026-01-16");
}

#[test]
fn booleans_and_timestamps_are_columns_of_hive_folders() {
    for format in ["JSON", "PARQUET"] {
        let sandbox = sandbox(
            &format!(
                "CREATE EXTERNAL TABLE events (id BIGINT, test BOOLEAN, at TIMESTAMP(3)) STORED AS {format}
                 PARTITIONED BY (test, at) LOCATION 'events/'"
            ),
            "SELECT id, test, at FROM events WHERE NOT test AND at >= '2026-01-15T03:00:00'",
        );
        let mut file = lines([json!({"id": 1})]).into_bytes();
        if format == "PARQUET" {
            file = parquet();
        }
        for folder in [
            "test=false/at=2026-01-15 03%3A00%3A00.5",
            "test=true/at=2026-01-15 03%3A00%3A00.5",
            "test=false/at=2026-01-15T02%3A59%3A59Z",
        ] {
            sandbox.write(&format!("raw/events/{folder}/a"), file.clone());
        }
        sandbox.run(&["--date", DAY]).succeeded();
        let expected = json!({"id": 1, "test": false, "at": "2026-01-15T03:00:00.500Z"});
        assert_eq!(published(&sandbox), [expected], "{format}");
        let manifest = &check_published(&sandbox.destination)["t"][0];
        assert_eq!(manifest["sources"][0]["files"], 1, "{format}");
        sandbox.write("raw/events/test=maybe/at=2026-01-15/a", file);
        sandbox
            .run(&["--date", DAY, "--rerun"])
            .exited_with(1)
            .stderr_has("test=maybe` holds no Boolean in `test`");
    }
}

/// Returns a Parquet file with the row `{"id":1}`.
fn parquet() -> Vec<u8> {
    let sandbox = sandbox(
        "CREATE EXTERNAL TABLE events (id BIGINT) STORED AS JSON LOCATION 'events/'",
        "SELECT id FROM events",
    );
    add(&sandbox, "events/a.json", 1);
    sandbox
        .run(&["--date", DAY, "--format", "parquet"])
        .succeeded();
    sandbox
        .destination
        .read("data/t/data-000000000000.parquet")
        .to_vec()
}
