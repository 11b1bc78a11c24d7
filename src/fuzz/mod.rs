//! Fuzz targets: what reads bytes that others wrote, or writes bytes that others read, each against an
//! oracle.
//!
//! A target fails by panicking. `benches/fuzz/run` lets libFuzzer look for inputs that make one panic, led by
//! the code that they reach; the unit tests run the inputs of `tests/corpus`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target fails by panicking"
)]

mod batches;
mod documents;
mod folders;
mod gzip;
mod input;
mod json_lines;
mod keys;
mod records;
mod sql_files;
#[cfg(test)]
mod tests;
mod times;

/// A target: a name, and the function that takes an input.
type Target = (&'static str, fn(&[u8]));

/// All targets.
const TARGETS: [Target; 15] = [
    ("documents", documents::documents),
    ("json_lines", json_lines::json_lines),
    ("times", times::times),
    ("time_formats", times::time_formats),
    ("gzip_written", gzip::written),
    ("gzip_read", gzip::read),
    ("json_text", batches::json_text),
    ("parquet_strings", batches::parquet_strings),
    ("records", records::records),
    ("damaged_records", records::damaged_records),
    ("keys", keys::keys),
    ("folders", folders::folders),
    ("definitions", sql_files::definitions),
    ("sources", sql_files::sources),
    ("case_settings", sql_files::case_settings),
];

/// Returns the names of all targets.
pub fn names() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|(name, _)| *name)
}

/// Returns the target of a name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    let mut targets = TARGETS.iter();
    let (_, target) = targets.find(|(known, _)| *known == name)?;
    Some(*target)
}
