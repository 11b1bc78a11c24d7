//! Addresses: the kinds of stores that a location can name, with their URL schemes.

use std::path::PathBuf;

use object_store::path::Path;

/// The parsed address of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A folder of this machine, as an absolute path.
    Folder(PathBuf),
    /// A prefix in a bucket.
    Bucket {
        kind: BucketKind,
        bucket: String,
        prefix: Path,
    },
}

/// The kind of an object store that has buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BucketKind {
    S3,
}

impl BucketKind {
    const ALL: [BucketKind; 1] = [BucketKind::S3];

    /// Returns the kind with this URL scheme, or `None` if no kind has it.
    pub(super) fn from_scheme(scheme: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.scheme() == scheme)
    }

    /// Returns the URL scheme, as in `s3://bucket/`.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            BucketKind::S3 => "s3",
        }
    }

    /// Returns the URL scheme of Hadoop's file systems, which Spark reads with.
    pub(super) fn hadoop_scheme(self) -> &'static str {
        match self {
            BucketKind::S3 => "s3a",
        }
    }
}
