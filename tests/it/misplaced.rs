//! Rows outside of the time of their folder: counted where they are read, though no cycle exports them.

use serde_json::{Value, json};

use crate::support::{Sandbox, TestDestination, check_published, lines, rows};

const RUN: [&str; 3] = ["--date", "2026-01-15", "t"];

/// Creates a source with hourly folders, and a table of its days.
fn sandbox(format: &str, options: &str) -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    declare(&sandbox, format, options);
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, time FROM events
         WHERE time >= $window_start AND time < $window_end) TO 't'",
    );
    for (day, hour) in [(14, 23), (15, 0), (15, 12), (15, 23), (16, 0)] {
        let time = format!("2026-01-{day}T{hour:02}:30:00Z");
        add(&sandbox, day, hour, "a", &[&time]);
    }
    sandbox
}

fn declare(sandbox: &Sandbox, format: &str, options: &str) {
    let declaration = format!(
        "CREATE EXTERNAL TABLE events (
           id BIGINT, time TIMESTAMP(6) WITH TIME ZONE, date DATE, hour INT
         ) STORED AS {format} PARTITIONED BY (date, hour) LOCATION 'events/'
         OPTIONS ('time_column' 'time'{options})"
    );
    sandbox.write("sql/sources/events.sql", declaration);
}

fn folder(day: u32, hour: u32) -> String {
    format!("raw/events/date=2026-01-{day}/hour={hour:02}")
}

/// Adds a file of JSON lines with rows at these times.
fn add(sandbox: &Sandbox, day: u32, hour: u32, name: &str, times: &[&str]) {
    let rows = times.iter().map(|time| json!({"id": 1, "time": time}));
    sandbox.write(&format!("{}/{name}.json", folder(day, hour)), lines(rows));
}

fn misplaced(sandbox: &Sandbox) -> Value {
    let published = check_published(&sandbox.destination);
    let newest = published["t"].last().expect("a manifest");
    newest["sources"][0]["misplaced"].clone()
}

#[test]
fn a_row_that_no_cycle_reads_is_reported_and_recorded() {
    let sandbox = sandbox("JSON", "");
    sandbox.run(&RUN).succeeded();
    assert_eq!(misplaced(&sandbox), Value::Null);

    let early = ["2026-01-14T23:59:59.900Z", "2026-01-15T00:00:00Z"];
    add(&sandbox, 15, 0, "b", &early);
    // In another hour of its day, a row is in its cycle.
    add(&sandbox, 15, 12, "b", &["2026-01-15T10:00:00Z"]);
    let output = sandbox
        .run(&[&RUN[..], &["--rerun", "--output", "json"]].concat())
        .exited_with(0)
        .stderr_has("warning: t: 1 row of the source `events` is in no cycle, up to 1 second outside of the time of its folder")
        .stderr_has("hour=00/b.json`: declare OPTIONS ('time_slack' '1 second')");
    let recorded = misplaced(&sandbox);
    assert_eq!(
        (&recorded["rows"], &recorded["slack_seconds"]),
        (&json!(1), &json!(1))
    );
    let file = &recorded["files"][0];
    assert!(
        file["file"]
            .as_str()
            .expect("a file")
            .ends_with("hour=00/b.json")
    );
    assert_eq!(file["rows"], 1);
    let reported = &output.report()["tables"][0]["sources"][0]["misplaced"];
    assert_eq!(reported, &recorded);
}

#[test]
fn the_number_of_misplaced_rows_has_a_limit() {
    let sandbox = sandbox("JSON", "");
    let leap_second = "2026-01-16T00:00:00Z";
    add(&sandbox, 15, 23, "b", &[leap_second, leap_second]);
    let with = |limit: &'static str| [&RUN[..], &["--rerun", "--max-misplaced", limit]].concat();
    for limit in ["0", "1", "39%"] {
        sandbox
            .run(&with(limit))
            .exited_with(1)
            .stderr_has("2 rows of the source `events` are in no cycle")
            .stderr_has(&format!("more than --max-misplaced {limit}"))
            .hint_has("OPTIONS ('time_slack' '1 second')");
    }
    for limit in ["2", "40%", "100%"] {
        sandbox.run(&with(limit)).exited_with(0);
    }
    sandbox
        .run(&with("some"))
        .exited_with(2)
        .stderr_has("--max-misplaced");
}

#[test]
fn the_suggested_slack_exports_the_rows() {
    let sandbox = sandbox("JSON", "");
    add(&sandbox, 15, 0, "b", &["2026-01-14T23:59:59.900Z"]);
    add(&sandbox, 15, 1, "b", &["2026-01-14T23:58:00Z"]);
    sandbox
        .run(&["--date", "2026-01-15", "t"])
        .exited_with(0)
        .stderr_has("and 1 more file")
        .stderr_has("'time_slack' '62 minutes'");
    declare(&sandbox, "JSON", ", 'time_slack' '62 minutes'");
    sandbox
        .run(&["--date", "2026-01-15", "--rerun", "t"])
        .succeeded();
    sandbox.run(&["--date", "2026-01-14", "t"]).succeeded();
    check_published(&sandbox.destination);
    let times: Vec<Value> = rows(&sandbox.destination, "t")
        .into_iter()
        .map(|row| row["time"].clone())
        .collect();
    assert!(
        times.contains(&json!("2026-01-14T23:59:59.900Z")),
        "{times:?}"
    );
    assert!(times.contains(&json!("2026-01-14T23:58:00Z")), "{times:?}");
}

/// A query may read more than the cycle: its folders are opened by more cycles.
#[test]
fn rows_that_a_wider_query_reads_are_in_a_cycle() {
    let sandbox = sandbox("JSON", "");
    add(&sandbox, 15, 23, "b", &["2026-01-16T00:00:00Z"]);
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT e.id, e.time FROM events e
         WHERE e.time >= $window_start - INTERVAL '1 hour' AND e.time < $window_end
           AND e.time >= $window_start) TO 't'",
    );
    // The narrower condition decides about the folders.
    sandbox
        .run(&RUN)
        .exited_with(0)
        .stderr_has("is in no cycle");
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, date_bin(INTERVAL '1 day', time + INTERVAL '30 minutes') AS time FROM events
         WHERE time >= $window_start - INTERVAL '1 hour' AND time < $window_end
           AND time + INTERVAL '30 minutes' >= $window_start
           AND time + INTERVAL '30 minutes' < $window_end) TO 't'",
    );
    let output = sandbox
        .run(&[&RUN[..], &["--rerun"]].concat())
        .exited_with(0);
    assert!(!output.stderr.contains("no cycle"), "{output}");
}

#[test]
fn rows_of_parquet_files_are_found_by_their_statistics() {
    // The files are exports of dayport.
    let sandbox = Sandbox::empty(TestDestination::local());
    sandbox.write(
        "sql/sources/all.sql",
        "CREATE EXTERNAL TABLE \"all\" (id BIGINT, time TIMESTAMP(6) WITH TIME ZONE)
         STORED AS JSON LOCATION 'all/'",
    );
    sandbox.write("sql/s.sql", "COPY (SELECT id, time FROM \"all\") TO 's'");
    let export = |times: &[&str]| {
        let rows = times.iter().map(|time| json!({"id": 1, "time": time}));
        sandbox.write("raw/all/a.json", lines(rows));
        let args = [
            "--date",
            "2026-01-15",
            "--rerun",
            "--format",
            "parquet",
            "s",
        ];
        sandbox
            .run(&[&args[..], &["--allow-shrink"]].concat())
            .exited_with(0);
        sandbox.destination.read("data/s/data-000000000000.parquet")
    };
    let noon = export(&["2026-01-15T12:00:00Z"]);
    let mixed = export(&[
        "2026-01-15T00:00:00Z",
        "2026-01-14T23:59:59.9Z",
        "2026-01-15T00:10:00Z",
    ]);

    let day = Sandbox::empty(TestDestination::local());
    declare(&day, "PARQUET", "");
    day.write(
        "sql/t.sql",
        "COPY (SELECT id, time FROM events
         WHERE time >= $window_start AND time < $window_end) TO 't'",
    );
    day.write(&format!("{}/a.parquet", folder(15, 12)), noon.clone());
    day.run(&RUN).succeeded();
    assert_eq!(misplaced(&day), Value::Null);

    day.write(&format!("{}/a.parquet", folder(15, 0)), mixed);
    // The reader skips this file by its statistics.
    day.write(&format!("{}/b.parquet", folder(15, 23)), noon);
    let output = day.run(&[&RUN[..], &["--rerun"]].concat()).exited_with(0);
    output
        .stderr_has("1 row of the source `events` is in no cycle")
        .stderr_has("hour=00/a.parquet`");
    assert_eq!(misplaced(&day)["rows"], 1);
    day.run(&[&RUN[..], &["--rerun", "--max-misplaced", "0"]].concat())
        .exited_with(1);
}

#[test]
fn check_tells_the_slack_that_its_sample_needs() {
    let mut sandbox = sandbox("JSON", "");
    sandbox.set_clock("2026-01-16T12:00:00Z");
    add(&sandbox, 15, 0, "b", &["2026-01-14T23:59:30Z"]);
    let to = sandbox.destination.url();
    let check = ["check", "--from", "raw", "--to", &to];
    sandbox
        .dayport(&check)
        .stdout_has("note     events")
        .stdout_has("1 row of the source `events` is in no cycle, up to 30 seconds outside")
        .stdout_has("hint: declare OPTIONS ('time_slack' '30 seconds')");
    sandbox
        .dayport(&[&check[..], &["--max-misplaced", "0"]].concat())
        .exited_with(1)
        .stdout_has("FINDING  events");
}
