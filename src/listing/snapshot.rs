//! File-list snapshots: the files of a scan, fixed before reading begins.

use std::fmt::Write;

use datafusion::common::ScalarValue;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::listing::location::key_url;

/// One file of a scan with the values of its partition columns.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// The key, size and ETag as they were listed. Later reads are conditional on the ETag.
    pub(crate) meta: ObjectMeta,
    /// One value for each partition column, of its type.
    pub(crate) partition: Vec<ScalarValue>,
}

/// One file of a snapshot, as it was when its scan was planned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotFile {
    /// The file's URL, not percent-encoded: `s3://bucket/raw/events/date=2026-01-15/a.json.gz`.
    pub key: String,
    /// The size of the object in bytes, that is compressed.
    pub size: u64,
    /// The store's ETag, with its quotes if the store returns them.
    pub etag: Option<String>,
}

/// Takes a snapshot of a list of files in `store`.
pub(crate) fn snapshot(store: &ObjectStoreUrl, files: &[SourceFile]) -> Vec<SnapshotFile> {
    let snapshot = files.iter().map(|file| SnapshotFile {
        key: key_url(store, &file.meta.location),
        size: file.meta.size,
        etag: file.meta.e_tag.clone(),
    });
    snapshot.collect()
}

/// Computes the SHA-256 of a snapshot, in lower-case hexadecimal.
///
/// It is over one line `key\tsize\tetag\n` for each file, sorted by key, with an empty ETag if the
/// store returned none.
pub(crate) fn digest(files: &[SnapshotFile]) -> String {
    format!("{:x}", Sha256::digest(list_text(files)))
}

/// Returns the text that [`digest`] is over.
pub(crate) fn list_text(files: &[SnapshotFile]) -> String {
    let mut sorted: Vec<&SnapshotFile> = files.iter().collect();
    sorted.sort();
    let mut text = String::new();
    for file in sorted {
        let etag = file.etag.as_deref().unwrap_or_default();
        let _ = writeln!(text, "{}\t{}\t{etag}", file.key, file.size);
    }
    text
}

/// Parses the text of a list. Returns `None` if it is none. A key may have tabs, and even line ends: sizes
/// and ETags have none, so a file ends where they are.
pub(crate) fn parse_list(text: &str) -> Option<Vec<SnapshotFile>> {
    let mut files = Vec::new();
    let mut key = String::new();
    for line in text.split_inclusive('\n') {
        let mut parts = line.trim_end_matches('\n').rsplitn(3, '\t');
        let (etag, size, rest) = (parts.next(), parts.next(), parts.next());
        let parsed = match (rest, size.and_then(|size| size.parse().ok()), etag) {
            (Some(rest), Some(size), Some(etag)) => Some((rest, size, etag)),
            _ => None,
        };
        let Some((rest, size, etag)) = parsed else {
            key.push_str(line);
            continue;
        };
        key.push_str(rest);
        files.push(SnapshotFile {
            key: std::mem::take(&mut key),
            size,
            etag: (!etag.is_empty()).then(|| etag.to_owned()),
        });
    }
    key.is_empty().then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(key: &str, size: u64, etag: Option<&str>) -> SnapshotFile {
        SnapshotFile {
            key: key.to_owned(),
            size,
            etag: etag.map(str::to_owned),
        }
    }

    #[test]
    fn lists_are_read_back_as_they_were_written() {
        let files = [
            file("s3://b/a", 1, Some("\"e\"")),
            file("s3://b/b\tc", 2, None),
            file("s3://b/d\ne", 3, Some("f")),
        ];
        assert_eq!(parse_list(&list_text(&files)).unwrap(), files);
        assert_eq!(parse_list("").unwrap(), []);
        assert_eq!(parse_list("a\t1\te\nrest"), None);
    }

    #[test]
    fn the_digest_is_over_sorted_lines() {
        let (a, b) = (
            file("s3://x/a", 1, Some("\"e\"")),
            file("s3://x/b", 20, None),
        );
        let lines = "s3://x/a\t1\t\"e\"\ns3://x/b\t20\t\n";
        let expected = format!("{:x}", Sha256::digest(lines));
        assert_eq!(digest(&[b.clone(), a.clone()]), expected);
        assert_eq!(digest(&[a.clone(), b]), expected);
        assert_ne!(digest(&[a]), expected);
        assert_eq!(
            digest(&[]),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
