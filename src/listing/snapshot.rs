//! The frozen list: which files a scan reads, as they were when it was planned.

use datafusion::common::ScalarValue;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

/// One file of a scan with the values of its partition columns.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Key, size and ETag as they were listed. The ETag is what later reads are held to.
    pub(crate) meta: ObjectMeta,
    /// One value for each partition column, of its type.
    pub(crate) partition: Vec<ScalarValue>,
}

/// One source file as it was when its scan was planned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrozenFile {
    /// The file's URL, not percent-encoded: `s3://bucket/raw/events/date=2026-01-15/a.json.gz`.
    pub key: String,
    /// Bytes as stored, that is compressed.
    pub size: u64,
    /// The store's ETag, with its quotes if the store gives them.
    pub etag: Option<String>,
}

/// The SHA-256 of a frozen list, in lower-case hexadecimal: over one line `key\tsize\tetag\n` for
/// each file, sorted by key, with an empty ETag where the store gave none.
pub(crate) fn digest(files: &[FrozenFile]) -> String {
    let mut sorted: Vec<&FrozenFile> = files.iter().collect();
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

    fn file(key: &str, size: u64, etag: Option<&str>) -> FrozenFile {
        FrozenFile {
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
