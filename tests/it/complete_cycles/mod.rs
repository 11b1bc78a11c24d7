//! Markers of complete cycles: one object says that every table of a cycle is published.

mod changes;
mod marks;
mod receivers;
mod recovery;
mod reruns;
mod rights;
mod tables;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Sandbox, TestDestination, check_checksum, current_manifests};

/// Reads a marker, and checks that it is valid and names manifests that exist with these bytes.
#[track_caller]
pub(super) fn marker(sandbox: &Sandbox, cycle: &str, revision: u64) -> Value {
    let key = format!("cycles/{cycle}.r{revision}.json");
    let destination = &sandbox.destination;
    let marker: Value = serde_json::from_slice(&destination.read(&key)).expect("JSON");
    assert_valid(include_str!("../../../docs/cycle.v1.schema.json"), &marker);
    check_checksum(destination, &key);
    assert_eq!(marker["cycle"]["id"], cycle);
    assert_eq!(marker["revision"], revision);
    let mut rows = 0;
    for table in marker["tables"].as_array().expect("tables") {
        let bytes = destination.read(table["manifest"].as_str().expect("a key"));
        let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(table["sha256"], format!("{:x}", Sha256::digest(&bytes)));
        for member in ["table", "sync_mode", "revision", "rows", "bytes"] {
            assert_eq!(table[member], manifest[member], "{member} in `{key}`");
        }
        assert_eq!(table["cycle"], manifest["cycle"]["id"]);
        rows += manifest["rows"].as_u64().expect("a number");
    }
    assert_eq!(marker["rows"], rows);
    marker
}

/// Returns the tables of a marker with cycle and revision, such as `views 2026-01-15 r1`.
pub(super) fn tables(marker: &Value) -> Vec<String> {
    let tables = marker["tables"].as_array().expect("tables").iter();
    tables
        .map(|table| {
            let text = |member: &str| table[member].as_str().expect("text").to_owned();
            format!("{} {} r{}", text("table"), text("cycle"), table["revision"])
        })
        .collect()
}

/// Reads the hint of the newest complete cycle, and returns the key of the marker that it names.
#[track_caller]
pub(super) fn latest(sandbox: &Sandbox) -> String {
    let destination = &sandbox.destination;
    let latest: Value = serde_json::from_slice(&destination.read("latest.json")).expect("JSON");
    assert_valid(include_str!("../../../docs/latest.v1.schema.json"), &latest);
    check_checksum(destination, "latest.json");
    let key = latest["marker"].as_str().expect("a key").to_owned();
    let bytes = destination.read(&key);
    assert_eq!(latest["sha256"], format!("{:x}", Sha256::digest(&bytes)));
    let marker: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(latest["cycle"], marker["cycle"]);
    assert_eq!(
        latest["next"]["due_at"].as_str().map(|at| &at[10..]),
        Some("T00:00:00Z")
    );
    key
}

pub(super) fn markers(destination: &TestDestination) -> Vec<String> {
    destination.keys_below("cycles/")
}

#[track_caller]
fn assert_valid(schema: &str, record: &Value) {
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a JSON schema");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema can be used");
    let errors: Vec<String> = validator
        .iter_errors(record)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{record:#}");
}

/// Asserts that nothing but the markers says of a cycle what it says.
#[track_caller]
pub(super) fn assert_complete(sandbox: &Sandbox, cycle: &str, revision: u64, of: &[&str]) {
    let marker = marker(sandbox, cycle, revision);
    assert_eq!(marker["state"], "complete");
    assert_eq!(tables(&marker), of);
    let next = format!("cycles/{cycle}.r{}.json", revision + 1);
    assert_eq!(sandbox.destination.find(&next), None);
    assert!(!current_manifests(&sandbox.destination).is_empty());
}
