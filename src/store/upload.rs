//! Uploads: one file that is written to the store in parts, its completion withheld.

use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload};
use tokio::task::JoinSet;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::{Error, Result};
use crate::staged::UploadToken;
use crate::store::CONCURRENCY;

/// An upload that has started: enough to abort it, even if it is never finished.
#[derive(Debug, Clone)]
pub struct StartedUpload {
    /// The final key, relative to the prefix.
    pub path: Path,
    /// The token that identifies the upload.
    pub token: UploadToken,
}

/// An upload of one file, which takes parts in order and ends as an [`UploadToken`].
pub struct Upload(Kind);

enum Kind {
    Multipart(MultipartParts),
    Rename {
        staged: Path,
        writer: Box<dyn MultipartUpload>,
        /// Held until the upload ends.
        _tracked: TaskTrackerToken,
    },
}

/// The parts of a multipart upload, of which several are uploaded concurrently.
struct MultipartParts {
    path: Path,
    key: Path,
    store: Arc<dyn MultipartStore>,
    upload_id: String,
    next_part: usize,
    uploaded: Vec<(usize, PartId)>,
    uploading: JoinSet<object_store::Result<(usize, PartId)>>,
    /// Held until the upload ends, and by each part until it is uploaded.
    tracked: TaskTrackerToken,
}

impl Upload {
    /// Creates the upload of a file that a withheld completion makes visible at `path`, whose absolute
    /// key is `key`.
    pub(super) fn multipart(
        path: Path,
        key: Path,
        store: Arc<dyn MultipartStore>,
        upload_id: String,
        tracked: TaskTrackerToken,
    ) -> Self {
        Self(Kind::Multipart(MultipartParts {
            path,
            key,
            store,
            upload_id,
            next_part: 0,
            uploaded: Vec::new(),
            uploading: JoinSet::new(),
            tracked,
        }))
    }

    /// Creates the upload of a file that is written to `staged`, to be renamed.
    pub(super) fn rename(
        staged: Path,
        writer: Box<dyn MultipartUpload>,
        tracked: TaskTrackerToken,
    ) -> Self {
        Self(Kind::Rename {
            staged,
            writer,
            _tracked: tracked,
        })
    }

    /// Starts uploading the next part; waits while too many are being uploaded. All parts but the last
    /// must have the store's minimum size (S3: 5 MiB).
    pub async fn part(&mut self, bytes: Bytes) -> Result<()> {
        match &mut self.0 {
            Kind::Multipart(parts) => parts.start(bytes).await,
            Kind::Rename { staged, writer, .. } => writer
                .put_part(PutPayload::from(bytes))
                .await
                .map_err(|error| Error::store("write", &*staged, error)),
        }
    }

    /// Waits until all parts are uploaded, so that only the completion is missing.
    pub async fn seal(self) -> Result<UploadToken> {
        match self.0 {
            Kind::Multipart(parts) => parts.seal().await,
            Kind::Rename {
                staged, mut writer, ..
            } => {
                let put = writer
                    .complete()
                    .await
                    .map_err(|error| Error::store("finish writing", &staged, error))?;
                Ok(UploadToken::Rename {
                    staged: staged.to_string(),
                    etag: put.e_tag,
                })
            }
        }
    }
}

impl MultipartParts {
    async fn start(&mut self, bytes: Bytes) -> Result<()> {
        while self.uploading.len() >= CONCURRENCY.parts_of_an_upload {
            self.join_part().await?;
        }
        let part = self.next_part;
        self.next_part += 1;
        let (store, key) = (Arc::clone(&self.store), self.key.clone());
        let (upload_id, tracked) = (self.upload_id.clone(), self.tracked.clone());
        self.uploading.spawn(async move {
            let _tracked = tracked;
            let payload = PutPayload::from(bytes);
            let id = store.put_part(&key, &upload_id, part, payload).await?;
            Ok((part, id))
        });
        Ok(())
    }

    async fn seal(mut self) -> Result<UploadToken> {
        while !self.uploading.is_empty() {
            self.join_part().await?;
        }
        self.uploaded.sort_by_key(|(part, _)| *part);
        let ids = self.uploaded.into_iter().map(|(_, id)| id.content_id);
        Ok(UploadToken::Multipart {
            upload_id: self.upload_id,
            part_etags: ids.collect(),
        })
    }

    async fn join_part(&mut self) -> Result<()> {
        let path = &self.path;
        match self.uploading.join_next().await {
            None => Ok(()),
            Some(Ok(Ok(part))) => {
                self.uploaded.push(part);
                Ok(())
            }
            Some(Ok(Err(error))) => Err(Error::store("upload a part of", path, error)),
            Some(Err(error)) => Err(Error::internal(format!(
                "the upload of `{path}` ended unexpectedly"
            ))
            .with_source(error)),
        }
    }
}
