//! Comparisons of more rows than there is memory for.

use std::fs;

use serde_json::{Value, json};

use crate::diff::{DAY, columns, counts, only_table, report_of, thing, things};
use crate::support::{Sandbox, TestDestination};

/// More rows than the set of a comparison holds at the minimum memory limit.
const MANY: u64 = 360_000;

/// More rows than the records of rows that differ have memory for.
const FEWER: u64 = 120_000;

fn numbers(rows: u64, expression: &str) -> String {
    format!(
        "COPY (SELECT value AS id, {expression} AS number, value % 10 AS digit
               FROM generate_series(1, {rows})) TO 'numbers'"
    )
}

/// Publishes the numbers by one definition, and compares them with those of another one.
#[track_caller]
fn compare(rows: u64, expression: &str, code: i32, args: &[&str]) -> (Sandbox, Value) {
    let sandbox = things(TestDestination::local(), &[thing(1)]);
    fs::remove_file(sandbox.folder().join("sql/things.sql")).expect("delete a file");
    sandbox.write("sql/numbers.sql", numbers(rows, "value * 7"));
    let limit = ["--memory-limit", "64MiB", "--spill-dir", "spill"];
    let run = ["--date", DAY, "--quiet"];
    sandbox.run(&[&run[..], &limit].concat()).exited_with(0);
    sandbox.write("sql/numbers.sql", numbers(rows, expression));
    let to = sandbox.destination.url();
    let call = [
        "diff", "--from", "raw", "--to", &to, "--date", DAY, "--output", "json",
    ];
    let output = sandbox.dayport(&[&call[..], &limit, args].concat());
    let report = report_of(output.exited_with(code));
    (sandbox, report)
}

#[test]
fn rows_beyond_the_memory_are_compared() {
    let (_, report) = compare(MANY, "7 * value", 0, &["--key", "id"]);
    assert_eq!(counts(only_table(&report)), [MANY, 0, 0, 0]);

    let few = "CASE WHEN value % 100000 = 7 THEN 0 ELSE value * 7 END";
    let (_, report) = compare(MANY, few, 1, &["--key", "id"]);
    let table = only_table(&report);
    assert_eq!(counts(table), [MANY - 4, 4, 0, 0]);
    assert_eq!(columns(table), ["number 4"]);
    assert_eq!(table["samples"]["changed"][0]["key"], json!([7]));
}

#[test]
fn all_rows_may_differ() {
    let (sandbox, report) = compare(FEWER, "value * 8", 1, &["--key", "id"]);
    let table = only_table(&report);
    assert_eq!(counts(table), [0, FEWER, 0, 0]);
    assert_eq!(columns(table), [format!("number {FEWER}")]);
    let left = fs::read_dir(sandbox.folder().join("spill")).expect("a folder");
    assert_eq!(left.count(), 0, "spill files are left");

    let (_, report) = compare(FEWER, "value * 8", 1, &["--key", "digit"]);
    let table = only_table(&report);
    assert_eq!(counts(table), [0, 0, FEWER, FEWER]);
    assert_eq!(table["left"]["duplicate_keys"]["keys"], 10);
    assert_eq!(table["left"]["duplicate_keys"]["extra_rows"], FEWER - 10);
}
