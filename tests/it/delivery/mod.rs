//! Cycles, contents and names of published files.

mod awaited;
mod changes;
mod cycles;
mod guards;
mod late;
mod late_cost;
mod numbers;
mod ready;
mod rejects;
mod rerun;
mod schema_files;
mod snapshot;
mod tables;
mod unused_lists;
mod wrong_files;

use serde_json::Value;

/// Returns the sorted ids of rows.
fn ids(rows: &[Value]) -> Vec<u64> {
    let mut ids: Vec<u64> = rows
        .iter()
        .map(|row| row["id"].as_u64().expect("an id"))
        .collect();
    ids.sort_unstable();
    ids
}

/// Returns the key of a file of `views`.
fn views_file(day: u64, number: u64, extension: &str) -> String {
    format!("data/views/year=2026/month=1/day={day}/data-{number:012}.{extension}")
}
