//! Staged files: uploaded to the store, but not visible yet.
//!
//! Staging passes them to delivery, from this machine or from a remote one, so they are plain data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::layout::Shard;
use crate::manifest::DataFile;

/// An uploaded file whose completion is withheld.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedFile {
    pub shard: Shard,
    pub rows: u64,
    pub bytes: u64,
    /// The SHA-256 of the file's bytes, hexadecimal.
    pub sha256: String,
    /// The minimum and maximum of the window column, if the file has one.
    pub window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub token: UploadToken,
}

/// A token with which any process can make an uploaded file visible. Stored in the commit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UploadToken {
    /// A multipart upload that lacks only its completion.
    Multipart {
        upload_id: String,
        /// The ETags of the parts as returned by the store, in order.
        part_etags: Vec<String>,
    },
    /// A complete file in the staging folder, to be renamed.
    Rename {
        /// The key of the staged file, relative to the prefix.
        staged: String,
        /// The ETag of the staged file. It survives the rename, so it identifies the file at the final key.
        etag: Option<String>,
    },
}

impl StagedFile {
    /// Returns the file's record for the manifest. Its ETag is absent until the file is published.
    pub fn record(&self) -> DataFile {
        let (window_min, window_max) = self.window.unzip();
        DataFile {
            path: self.shard.path().to_string(),
            partition: self.shard.partition.clone(),
            rows: self.rows,
            bytes: self.bytes,
            etag: None,
            sha256: self.sha256.clone(),
            window_min,
            window_max,
        }
    }
}
