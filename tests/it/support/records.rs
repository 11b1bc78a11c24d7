//! Stored records, manifests and log entries, as tests change them.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::TestDestination;

/// Changes a record and removes its checksum, as if it were from before there were checksums.
pub(crate) fn rewrite(destination: &TestDestination, key: &str, change: impl FnOnce(&mut Value)) {
    let mut record: Value = serde_json::from_slice(&destination.read(key)).expect("JSON");
    record
        .as_object_mut()
        .expect("an object")
        .remove("checksum");
    change(&mut record);
    destination.put(key, record.to_string());
}

/// Replaces text in a record that has it once, and leaves the checksum as it is.
#[track_caller]
pub(crate) fn damage(destination: &TestDestination, key: &str, from: &str, to: &str) {
    let text = String::from_utf8(destination.read(key).to_vec()).expect("UTF-8");
    assert_eq!(text.matches(from).count(), 1, "`{from}` in {text}");
    destination.put(key, text.replace(from, to));
}

/// Checks that a record ends with the checksum of the text before it.
#[track_caller]
pub(crate) fn check_checksum(destination: &TestDestination, key: &str) {
    let text = String::from_utf8(destination.read(key).to_vec()).expect("UTF-8");
    let (covered, member) = text.rsplit_once("\"checksum\"").expect("a checksum");
    let found: String = member.chars().filter(|c| !c.is_whitespace()).collect();
    let expected = format!(":\"sha256:{:x}\"}}", Sha256::digest(covered));
    assert_eq!(found, expected, "`{key}`");
}
