//! `dayport init`: from files to a first verified export.

mod dated;
mod inference;
mod refused;
mod streams;
mod writing;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Sandbox, rows};

const DAY: &str = "2026-01-15";

/// Returns the names of the tables that are defined.
fn tables(sandbox: &Sandbox) -> Vec<String> {
    let files = std::fs::read_dir(sandbox.folder().join("sql")).expect("read a folder");
    let names = files.filter_map(|file| {
        let name = file.expect("a file").file_name();
        let name = name.to_str().expect("a name");
        name.strip_suffix(".sql").map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Exports and verifies the day, and returns the rows of each table. Nothing may be rejected.
fn export(sandbox: &Sandbox) -> BTreeMap<String, Vec<Value>> {
    sandbox
        .run(&["--date", DAY, "--format", "json", "--max-rejects", "0"])
        .succeeded();
    let to = sandbox.destination.url();
    sandbox.dayport(&["verify", "--to", &to]).succeeded();
    let tables = tables(sandbox).into_iter();
    tables
        .map(|table| {
            let rows = rows(&sandbox.destination, &table);
            (table, rows)
        })
        .collect()
}

/// Returns the number of rows of each table, as one line.
fn counts(exported: &BTreeMap<String, Vec<Value>>) -> String {
    let counts = exported
        .iter()
        .map(|(table, rows)| format!("{table} {}", rows.len()));
    counts.collect::<Vec<_>>().join(", ")
}

/// Reads a file below `sql/`.
fn sql(sandbox: &Sandbox, path: &str) -> String {
    let path = sandbox.folder().join("sql").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
