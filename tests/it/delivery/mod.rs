//! Which cycles are published, as what, and under which names.

mod cycles;
mod guards;
mod numbers;
mod rejects;
mod rerun;
mod snapshot;
mod tables;

use serde_json::Value;

/// The ids of rows, sorted.
fn ids(rows: &[Value]) -> Vec<u64> {
    let ids = rows.iter().map(|row| row["id"].as_u64().expect("an id"));
    let mut ids: Vec<u64> = ids.collect();
    ids.sort_unstable();
    ids
}

/// The key of a file of `views`.
fn views_file(day: u64, number: u64, extension: &str) -> String {
    format!("data/views/year=2026/month=1/day={day}/data-{number:012}.{extension}")
}
