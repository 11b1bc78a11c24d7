//! A file whose bytes are in the store and which nobody can see yet.
//!
//! It is what staging hands to delivery, on this machine or from another, so it is plain data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::layout::Shard;
use crate::manifest::DataFile;

/// One uploaded file with its completion withheld.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedFile {
    pub shard: Shard,
    pub rows: u64,
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
    /// Least and greatest value of the window column.
    pub window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub token: UploadToken,
}

/// What any process needs to make the file visible, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UploadToken {
    /// A multipart upload of which only the completion is missing.
    Multipart {
        upload_id: String,
        /// One for each part, as the store gave them, in order.
        part_etags: Vec<String>,
    },
    /// A whole file in the staging folder, to be renamed.
    Rename {
        /// Relative to the prefix.
        staged: String,
        /// Survives the rename, so it tells whose file lies at the final place.
        etag: Option<String>,
    },
}

impl StagedFile {
    /// The record in the manifest. The ETag is known when the file is published.
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
