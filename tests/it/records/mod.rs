//! Manifests and log entries that are damaged, forged, or of another version.

mod damaged;
mod forged;

/// The key of the first manifest of `views`.
const MANIFEST: &str = "manifests/views/2026-01-15.r0.json";

/// The key of the first log entry of `views`.
const ENTRY: &str = "_dayport/log/views/00000000000000000001.json";

/// The file of `sites`.
const SITES: &str = "data/sites/data-000000000000.parquet";
