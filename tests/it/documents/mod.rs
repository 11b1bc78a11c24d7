//! Sources of JSON documents: arrays, envelopes, pretty-printed and joined objects.

mod broken;
mod rejects;
mod shapes;

use serde_json::{Value, json};

use crate::support::{Sandbox, TestDestination, rows};

const RUN: [&str; 3] = ["--date", "2026-01-15", "t"];

/// Creates a table over `events`, whose declaration has these options.
fn sandbox(destination: TestDestination, options: &str) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    declare(&sandbox, options);
    sandbox.write("sql/t.sql", "COPY (SELECT id, note FROM events) TO 't'");
    sandbox
}

fn declare(sandbox: &Sandbox, options: &str) {
    let declaration = format!(
        "CREATE EXTERNAL TABLE events (id BIGINT, note VARCHAR)
         STORED AS JSON LOCATION 'events/' {options}"
    );
    sandbox.write("sql/sources/events.sql", declaration);
}

/// Returns objects whose texts look like brackets and escapes.
fn objects(count: u64) -> Vec<Value> {
    let object = |id| json!({"id": id, "note": "a \"}]\\{[,", "extra": {"a": [id, "]"]}});
    (0..count).map(object).collect()
}

/// Returns the rows that the objects are.
fn expected(objects: &[Value]) -> Vec<Value> {
    let row = |object: &Value| json!({"id": object["id"], "note": object["note"]});
    objects.iter().map(row).collect()
}

fn exported(sandbox: &Sandbox) -> Vec<Value> {
    let mut exported = rows(&sandbox.destination, "t");
    exported.sort_by_key(|row| row["id"].as_u64());
    exported
}
