//! Folders and files by the pattern of a LOCATION, and names that are no data.

mod days;
mod documented;
mod names;
mod on_s3;
mod values;

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination, check_published, lines, rows};

const DAY: &str = "2026-01-15";

/// Creates a source of JSON lines with the columns `id` and `time`, whose folders have the time, and a table of
/// its days.
fn sandbox(location: &str, options: &str) -> Sandbox {
    let sandbox = Sandbox::empty(TestDestination::local());
    declare(&sandbox, "JSON", location, options);
    sandbox.write(
        "sql/t.sql",
        "COPY (SELECT id, time FROM events
         WHERE time >= $window_start AND time < $window_end) TO 't'",
    );
    sandbox
}

fn declare(sandbox: &Sandbox, format: &str, location: &str, options: &str) {
    let declaration = format!(
        "CREATE EXTERNAL TABLE events (id BIGINT, time TIMESTAMP(6) WITH TIME ZONE)
         STORED AS {format} LOCATION '{location}' OPTIONS ('time_column' 'time'{options})"
    );
    sandbox.write("sql/sources/events.sql", declaration);
}

/// Writes a file with one row below `raw/`.
fn add(sandbox: &Sandbox, path: &str, id: i64, time: &str) {
    sandbox.write(&format!("raw/{path}"), row(id, time));
}

fn row(id: i64, time: &str) -> String {
    lines([json!({"id": id, "time": time})])
}

fn run(sandbox: &Sandbox, day: &str) -> CommandOutput {
    sandbox.run(&["--date", day, "t"])
}

/// Returns the ids of all rows that are published, sorted.
fn ids(sandbox: &Sandbox) -> Vec<i64> {
    check_published(&sandbox.destination);
    let rows = rows(&sandbox.destination, "t").into_iter();
    let mut ids: Vec<i64> = rows.map(|row| row["id"].as_i64().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

/// Returns the source of the newest manifest.
fn source(sandbox: &Sandbox) -> Value {
    let published = check_published(&sandbox.destination);
    published["t"].last().expect("a manifest")["sources"][0].clone()
}

/// Returns the names that a record passes over, below `raw/`.
fn passed_over(source: &Value) -> Vec<String> {
    let record = &source["passed_over"];
    let Some(names) = record["names"].as_array() else {
        assert_eq!(record, &Value::Null);
        return Vec::new();
    };
    let names = names.iter().filter_map(Value::as_str);
    names
        .map(|name| {
            name.split_once("/raw/")
                .expect("a name below raw/")
                .1
                .to_owned()
        })
        .collect()
}
