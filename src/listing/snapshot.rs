//! File-list snapshots: the files of a scan, fixed before reading begins.

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
    let mut sorted: Vec<&SnapshotFile> = files.iter().collect();
    sorted.sort();
    let mut hasher = Sha256::new();
    for file in sorted {
        let etag = file.etag.as_deref().unwrap_or_default();
        hasher.update(format!("{}\t{}\t{etag}\n", file.key, file.size));
    }
    format!("{:x}", hasher.finalize())
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
