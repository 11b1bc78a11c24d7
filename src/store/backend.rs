//! The door to the kinds of stores: opens the store behind an address.
//!
//! | | folder | bucket of S3 |
//! |---|---|---|
//! | client | [`local`] | [`s3`] |
//! | staging | rename from a staging folder | multipart upload, completion withheld |
//! | URL scheme | `file` | `s3`, for Hadoop `s3a` |
//!
//! Another kind of bucket is one more [`BucketKind`] with its schemes, a file that opens its client, and
//! its options.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;

use crate::error::Result;
use crate::store::address::{Address, BucketKind};
use crate::store::staging::{OpenedStore, Staging};
use crate::store::upload_lookup::S3UploadLookup;
use crate::store::{Location, StoreClock, StoreOptions, local, s3};

/// A client of one bucket, for both of its interfaces.
struct BucketClient {
    store: Arc<dyn ObjectStore>,
    multipart: Arc<dyn MultipartStore>,
    clock: StoreClock,
}

impl BucketClient {
    fn new<S: ObjectStore + MultipartStore>(client: S, clock: StoreClock) -> Self {
        let client = Arc::new(client);
        Self {
            store: Arc::<S>::clone(&client),
            multipart: client,
            clock,
        }
    }
}

/// Opens a client of `bucket` without any call to it.
async fn open_bucket(
    kind: BucketKind,
    bucket: &str,
    options: &StoreOptions,
) -> Result<BucketClient> {
    match kind {
        BucketKind::S3 => {
            let (client, clock) = s3::open(bucket, options).await?;
            Ok(BucketClient::new(client, StoreClock::Server(clock)))
        }
    }
}

/// A store for reading, with its clock.
#[derive(Debug)]
pub struct SourceStore {
    /// The whole store, not only a prefix.
    pub store: Arc<dyn ObjectStore>,
    /// The clock that sets the times of its objects.
    pub clock: StoreClock,
}

/// Opens the whole store (not only the prefix) behind a location, for reading.
pub async fn open_source(location: &Location, options: &StoreOptions) -> Result<SourceStore> {
    match location.address() {
        Address::Folder(_) => Ok(SourceStore {
            store: local::open_source(),
            clock: StoreClock::Machine,
        }),
        Address::Bucket { kind, bucket, .. } => {
            let client = open_bucket(*kind, bucket, options).await?;
            Ok(SourceStore {
                store: client.store,
                clock: client.clock,
            })
        }
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
            let client = open_bucket(*kind, bucket, options).await?;
            Ok(OpenedStore {
                prefix: prefix.clone(),
                store: client.store,
                staging: Staging::Multipart(client.multipart),
                uploads: Some(Arc::new(S3UploadLookup::new(
                    location.clone(),
                    options.clone(),
                ))),
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
        Address::Folder(root) if !root.is_dir() => Ok(local::open_missing(location, root)),
        Address::Folder(_) | Address::Bucket { .. } => open_destination(location, options).await,
    }
}
