//! Records that earlier runs, or anybody else, wrote: manifests, markers and log entries.

use object_store::path::Path;

use super::input::Input;
use crate::delivery;
use crate::layout::TableName;
use crate::manifest::{LateRecord, Manifest};

/// A manifest of the current version.
const MANIFEST: &str = include_str!("../../tests/corpus/records/manifest");

/// Any text is a record or an error; a manifest that was read is written as one that reads the same.
pub(super) fn records(data: &[u8]) {
    let key = Path::from("manifests/visits/2026-01-15.r0.json");
    if let Ok(manifest) = Manifest::parse(&key, data) {
        let written = manifest.to_json().unwrap();
        assert_eq!(Manifest::parse(&key, &written).unwrap(), manifest);
    }
    let table: TableName = "visits".parse().unwrap();
    let _ = delivery::parse_entry(&table, 3, data);
    let _ = LateRecord::parse(data);
}

/// A record that lost or changed some bytes is refused, if it has a checksum.
pub(super) fn damaged_records(data: &[u8]) {
    let key = Path::from("manifests/visits/2026-01-15.r0.json");
    let manifest = Manifest::parse(&key, MANIFEST.as_bytes()).unwrap();
    let whole = manifest.to_json().unwrap();
    let mut input = Input::new(data);
    let mut damaged = whole.clone();
    while !input.is_empty() {
        let at = (input.below(256) << 8 | input.below(256)) % damaged.len().max(1);
        match input.below(3) {
            0 if at < damaged.len() => damaged[at] = input.byte(),
            1 => damaged.truncate(at),
            _ => damaged.insert(at, input.byte()),
        }
    }
    match Manifest::parse(&key, &damaged) {
        // Nothing but white space may differ.
        Ok(read) => assert_eq!(read, manifest),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
