//! `dayport diff`: definitions, git revisions, cycles and destinations, compared.

mod errors;
mod keys;
mod memory;
mod output;
mod planted;
mod revisions;
mod schemas;
mod sides;

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestDestination, lines};

/// The source of a table with a column of each type.
const THINGS: &str = "CREATE EXTERNAL TABLE things (
  id BIGINT, text VARCHAR, small INTEGER, big BIGINT, ratio DOUBLE, flag BOOLEAN, at TIMESTAMP(6),
  day DATE, price DECIMAL(18, 4), tags VARCHAR[], info STRUCT<a VARCHAR, n BIGINT, deep STRUCT<x VARCHAR>>,
  items STRUCT<sku VARCHAR, n BIGINT>[]
) STORED AS JSON LOCATION 'things/'";

/// A snapshot of all of it.
pub(super) const ALL_THINGS: &str = "COPY (
  SELECT id, text, small, big, ratio, flag, at, day, price, tags, info, items FROM things
) TO 'things'";

/// Returns a row of `things` with a value in each column.
pub(super) fn thing(id: u64) -> Value {
    json!({
        "id": id, "text": format!("text {id}"), "small": id, "big": 9_007_199_254_740_992_u64 + 2 * id,
        "ratio": id as f64 + 0.25, "flag": id.is_multiple_of(2),
        "at": format!("2026-01-15T12:00:{:02}.000001Z", id % 60), "day": "2026-01-15",
        "price": format!("{id}.0001"), "tags": ["a", "b", format!("{id}")],
        "info": { "a": "x", "n": id, "deep": { "x": format!("deep {id}") } },
        "items": [{ "sku": "s", "n": id }, { "sku": "t", "n": 2 }],
    })
}

/// Creates a sandbox with `rows` of things.
pub(super) fn things(destination: TestDestination, rows: &[Value]) -> Sandbox {
    let sandbox = Sandbox::empty(destination);
    sandbox.write("sql/sources/things.sql", THINGS);
    sandbox.write("sql/things.sql", ALL_THINGS);
    set_things(&sandbox, rows);
    sandbox
}

pub(super) fn set_things(sandbox: &Sandbox, rows: &[Value]) {
    sandbox.write("raw/things/things.json", lines(rows.iter().cloned()));
}

/// Publishes the day that the comparisons are of.
#[track_caller]
pub(super) fn publish(sandbox: &Sandbox, args: &[&str]) {
    sandbox
        .run(&[&["--date", DAY, "--quiet"], args].concat())
        .exited_with(0);
}

pub(super) const DAY: &str = "2026-01-16";

/// Compares what is published with the definitions.
pub(super) fn diff(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let to = sandbox.destination.url();
    let call = ["diff", "--from", "raw", "--to", &to, "--date", DAY];
    sandbox.dayport(&[&call, args].concat())
}

/// Compares as [`diff`] does, and returns the report after it has been checked against its schema.
#[track_caller]
pub(super) fn report(sandbox: &Sandbox, code: i32, args: &[&str]) -> Value {
    report_of(diff(sandbox, &[args, &["--output", "json"]].concat()).exited_with(code))
}

/// Returns the report of `--output json`.
#[track_caller]
pub(super) fn report_of(output: CommandOutput) -> Value {
    let report = output.report();
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/diff.schema.json")).expect("JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a JSON schema");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema can be used");
    let errors: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{report:#}");
    report
}

/// Returns the only table of a report.
#[track_caller]
pub(super) fn only_table(report: &Value) -> &Value {
    let tables = report["tables"].as_array().expect("tables");
    assert_eq!(tables.len(), 1, "{report:#}");
    &tables[0]
}

/// Returns the numbers of rows: identical, changed, only left, only right.
pub(super) fn counts(table: &Value) -> [u64; 4] {
    ["identical", "changed", "only_left", "only_right"]
        .map(|member| table["rows"][member].as_u64().expect("a count"))
}

/// Returns the changed columns with the number of their keys, such as `info.n 2`.
pub(super) fn columns(table: &Value) -> Vec<String> {
    let columns = table["columns"].as_array().expect("columns").iter();
    columns
        .map(|column| {
            format!(
                "{} {}",
                column["column"].as_str().expect("a name"),
                column["changed"]
            )
        })
        .collect()
}
