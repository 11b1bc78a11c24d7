//! The door to the kinds of stores: what an address can be, and how the store behind it is opened.
//!
//! | | folder | bucket of S3 |
//! |---|---|---|
//! | client | [`local`](super::local) | [`s3`](super::s3) |
//! | staging | rename from a staging folder | multipart upload, completion withheld |
//! | URL scheme | `file` | `s3`, for Hadoop `s3a` |
//!
//! Another kind of bucket is one more [`BucketKind`], a file that opens its client, and its options.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;

use crate::error::Result;
use crate::store::staging::Staging;
use crate::store::{Location, StoreOptions, local, s3};

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

/// A client of one bucket, for both of its interfaces.
pub(super) struct BucketClient {
    store: Arc<dyn ObjectStore>,
    multipart: Arc<dyn MultipartStore>,
}

/// An opened destination.
pub(super) struct OpenedStore {
    /// The prefix of the destination in `store`.
    pub prefix: Path,
    pub store: Arc<dyn ObjectStore>,
    pub staging: Staging,
}

impl BucketKind {
    const ALL: [BucketKind; 1] = [BucketKind::S3];

    /// Returns the kind with this URL scheme, or `None` if no kind has it.
    pub fn from_scheme(scheme: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.scheme() == scheme)
    }

    /// Returns the URL scheme, as in `s3://bucket/`.
    pub fn scheme(self) -> &'static str {
        match self {
            BucketKind::S3 => "s3",
        }
    }

    /// Returns the URL scheme of Hadoop's file systems, which Spark reads with.
    pub fn hadoop_scheme(self) -> &'static str {
        match self {
            BucketKind::S3 => "s3a",
        }
    }

    /// Opens a client of `bucket` without any call to it.
    async fn open(self, bucket: &str, options: &StoreOptions) -> Result<BucketClient> {
        match self {
            BucketKind::S3 => Ok(BucketClient::new(s3::open(bucket, options).await?)),
        }
    }
}

impl BucketClient {
    fn new<S: ObjectStore + MultipartStore>(client: S) -> Self {
        let client = Arc::new(client);
        Self {
            store: Arc::<S>::clone(&client),
            multipart: client,
        }
    }
}

/// Opens the whole store (not only the prefix) behind a location, for reading.
pub async fn open_source(
    location: &Location,
    options: &StoreOptions,
) -> Result<Arc<dyn ObjectStore>> {
    match location.address() {
        Address::Folder(_) => Ok(local::open_source()),
        Address::Bucket { kind, bucket, .. } => Ok(kind.open(bucket, options).await?.store),
    }
}

/// Opens the store behind a destination. Creates a missing folder.
pub(super) async fn open_destination(
    location: &Location,
    options: &StoreOptions,
) -> Result<OpenedStore> {
    match location.address() {
        Address::Folder(root) => local::open_destination(location, root),
        Address::Bucket {
            kind,
            bucket,
            prefix,
        } => {
            let client = kind.open(bucket, options).await?;
            Ok(OpenedStore {
                prefix: prefix.clone(),
                store: client.store,
                staging: Staging::Multipart(client.multipart),
            })
        }
    }
}

/// Opens the store behind a destination without creating a missing folder, which then is empty.
pub(super) async fn open_read_only(
    location: &Location,
    options: &StoreOptions,
) -> Result<OpenedStore> {
    match location.address() {
        Address::Folder(root) if !root.is_dir() => local::open_missing(location, root),
        Address::Folder(_) | Address::Bucket { .. } => open_destination(location, options).await,
    }
}
