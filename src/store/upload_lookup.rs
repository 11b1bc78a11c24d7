//! Looks up whether an upload still exists, for stores whose answer to its completion does not tell.
//!
//! AWS answers `404 NoSuchUpload` to the completion of an upload that is gone. Ceph 16 and moto answer
//! `500` every time: only the list of its parts tells that it is gone.

use std::fmt;

use async_trait::async_trait;
use http::StatusCode;
use object_store::path::Path;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::store::{Location, S3Bucket, StoreOptions};

/// Looks up multipart uploads.
#[async_trait]
pub trait UploadLookup: fmt::Debug + Send + Sync {
    /// Returns true if the upload to the absolute `key` is neither completed nor aborted.
    ///
    /// # Errors
    /// Fails if the store does not tell, for example because listing parts is not granted.
    async fn exists(&self, key: &Path, upload_id: &str) -> Result<bool>;
}

/// Looks up uploads in a bucket of S3. Its client is opened by the first lookup, since most runs have
/// none.
#[derive(Debug)]
pub(super) struct S3UploadLookup {
    location: Location,
    options: StoreOptions,
    bucket: OnceCell<Option<S3Bucket>>,
}

impl S3UploadLookup {
    pub(super) fn new(location: Location, options: StoreOptions) -> Self {
        Self {
            location,
            options,
            bucket: OnceCell::new(),
        }
    }
}

#[async_trait]
impl UploadLookup for S3UploadLookup {
    async fn exists(&self, key: &Path, upload_id: &str) -> Result<bool> {
        let open = || S3Bucket::open(&self.location, &self.options);
        let opened = self.bucket.get_or_try_init(open).await?;
        let bucket = opened
            .as_ref()
            .ok_or_else(|| Error::internal("only a bucket of S3 has uploads"))?;
        let response = bucket.parts(key, upload_id).await?;
        match (response.status, response.code().as_deref()) {
            (StatusCode::OK, _) => Ok(true),
            // Ceph answers `NoSuchKey`.
            (StatusCode::NOT_FOUND, Some("NoSuchUpload" | "NoSuchKey")) => Ok(false),
            (StatusCode::FORBIDDEN, _) => Err(Error::unavailable(format!(
                "whether the upload of `{key}` is gone is not known: listing its parts is denied; grant \
                 `s3:ListMultipartUploadParts`, as `dayport policy` does"
            ))),
            (status, code) => Err(Error::unavailable(format!(
                "whether the upload of `{key}` is gone is not known: the list of its parts gets {status} {}",
                code.unwrap_or_default()
            ))),
        }
    }
}
