//! Names and keys that few expect: control characters, bytes that are not UTF-8, empty parts, links in
//! circles, and names that are too long for a disk or for S3.

mod destinations;
mod files;
mod keys;
mod lengths;
mod links;

use serde_json::{Value, json};

use crate::support::{Sandbox, TestDestination, lines, rows, sorted};

/// Creates a sandbox with the snapshot `t` of the source `events`, which has one file with the row 0.
fn one_file(destination: TestDestination) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write(
        "sql/sources/events.sql",
        "CREATE EXTERNAL TABLE events (id BIGINT NOT NULL) STORED AS JSON LOCATION 'events/'",
    );
    sandbox.write("sql/t.sql", "COPY (SELECT id FROM events) TO 't'");
    sandbox.write("raw/events/a.json", row(0));
    sandbox
}

fn row(id: u64) -> String {
    lines([json!({ "id": id })])
}

/// Returns the published ids of `t`, sorted.
fn ids(sandbox: &Sandbox) -> Vec<u64> {
    let rows = sorted(rows(&sandbox.destination, "t"));
    let mut ids: Vec<u64> = rows.iter().filter_map(|row| row["id"].as_u64()).collect();
    ids.sort_unstable();
    ids
}

/// Returns the objects that the report of a run calls foreign, sorted.
fn foreign(report: &Value) -> Vec<String> {
    let tables = report["tables"].as_array().expect("tables").iter();
    let all = tables.flat_map(|table| table["foreign"].as_array().cloned().unwrap_or_default());
    let mut keys: Vec<String> = all
        .map(|key| key.as_str().expect("a key").to_owned())
        .collect();
    keys.sort();
    keys
}
