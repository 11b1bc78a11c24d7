//! Uploads with withheld completion: starts, completes and aborts them, for each kind of staging.

use std::sync::Arc;
use std::time::SystemTime;

use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::{Error, Result};
use crate::layout;
use crate::staged::UploadToken;
use crate::store::staging::Staging;
use crate::store::upload::{StartedUpload, Upload};
use crate::store::{Destination, local};

/// The outcome of completing an upload.
#[derive(Debug)]
pub enum Completion {
    /// The upload is complete: the object exists.
    Completed,
    /// The upload does not exist any more: it was completed earlier, or aborted. Which of the two
    /// follows from the object.
    Gone,
    /// The store failed before it was known whether the upload is completed.
    Unknown(Error),
}

impl Destination {
    /// Starts the upload of the file that will be at `path`. A store that stages by renaming keeps it
    /// at `staged` until then; both are relative to the prefix. `tracked` is held until no call of the
    /// upload is outstanding.
    pub async fn upload(
        &self,
        path: &Path,
        staged: &Path,
        tracked: TaskTrackerToken,
    ) -> Result<(Upload, StartedUpload)> {
        let failed = |error| Error::store("begin the upload of", path, error);
        let (upload, token) = match self.staging() {
            Staging::Multipart(store) => {
                let key = self.absolute(path);
                let upload_id = store.create_multipart(&key).await.map_err(failed)?;
                let token = UploadToken::Multipart {
                    upload_id: upload_id.clone(),
                    part_etags: Vec::new(),
                };
                let store = Arc::clone(store);
                let upload = Upload::multipart(path.clone(), key, store, upload_id, tracked);
                (upload, token)
            }
            Staging::Rename { .. } => {
                let key = self.absolute(staged);
                let writer = self.store().put_multipart(&key).await.map_err(failed)?;
                let token = UploadToken::Rename {
                    staged: staged.to_string(),
                    etag: None,
                };
                (Upload::rename(staged.clone(), writer, tracked), token)
            }
        };
        let started = StartedUpload {
            path: path.clone(),
            token,
        };
        Ok((upload, started))
    }

    /// Completes an upload, which makes the file visible at `path`.
    pub async fn complete(&self, path: &Path, token: &UploadToken) -> Completion {
        let to = self.absolute(path);
        let completed = match (self.staging(), token) {
            (
                Staging::Multipart(store),
                UploadToken::Multipart {
                    upload_id,
                    part_etags,
                },
            ) => {
                let parts = part_etags
                    .iter()
                    .map(|etag| PartId {
                        content_id: etag.clone(),
                    })
                    .collect();
                store
                    .complete_multipart(&to, upload_id, parts)
                    .await
                    .map(|_| ())
            }
            (Staging::Rename { .. }, UploadToken::Rename { staged, .. }) => {
                let from = match layout::parse_recorded(staged) {
                    Ok(staged) => self.absolute(&staged),
                    Err(error) => return Completion::Unknown(error),
                };
                self.store().rename(&from, &to).await
            }
            (_, token) => {
                return Completion::Unknown(
                    Error::invalid(format!(
                        "`{self}` holds an unfinished upload of another kind of store: {token:?}"
                    ))
                    .with_hint("run dayport on the destination it was exported to"),
                );
            }
        };
        match completed {
            Ok(()) => Completion::Completed,
            Err(StoreError::NotFound { .. }) => Completion::Gone,
            Err(error) => Completion::Unknown(self.error("complete the upload of", path, error)),
        }
    }

    /// Returns true if the upload to `path` is neither completed nor aborted.
    ///
    /// # Errors
    /// Fails if the store does not tell.
    pub async fn upload_exists(&self, path: &Path, token: &UploadToken) -> Result<bool> {
        match (self.uploads(), token) {
            (Some(uploads), UploadToken::Multipart { upload_id, .. }) => {
                uploads.exists(&self.absolute(path), upload_id).await
            }
            _ => Err(Error::unavailable(format!(
                "`{self}` does not tell whether the upload of `{path}` exists"
            ))),
        }
    }

    /// Aborts an upload. Idempotent: one that does not exist any more is aborted already.
    pub async fn abort(&self, path: &Path, token: &UploadToken) -> Result<()> {
        match (self.staging(), token) {
            (Staging::Multipart(store), UploadToken::Multipart { upload_id, .. }) => {
                match store.abort_multipart(&self.absolute(path), upload_id).await {
                    Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(self.error("abort the upload of", path, error)),
                }
            }
            (_, UploadToken::Rename { staged, .. }) => {
                self.delete(&[layout::parse_recorded(staged)?]).await
            }
            (Staging::Rename { .. }, UploadToken::Multipart { .. }) => Ok(()),
        }
    }

    /// Aborts an upload to `path` that does not exist, to find out whether aborting is allowed. Does
    /// nothing in a store that stages by renaming.
    pub async fn abort_unknown(&self, path: &Path) -> Result<()> {
        match self.staging() {
            Staging::Rename { .. } => Ok(()),
            Staging::Multipart(_) => {
                let unknown = UploadToken::Multipart {
                    upload_id: "dayport-check-of-an-upload-that-is-not-there".to_owned(),
                    part_etags: Vec::new(),
                };
                self.abort(path, &unknown).await
            }
        }
    }

    /// Removes the staging folders and the temporary files of runs that died before `before`, as a
    /// lifecycle rule does with unfinished uploads on S3. Best effort: leftovers are harmless.
    pub fn sweep_staging(&self, before: SystemTime) {
        if let Staging::Rename { root } = self.staging() {
            local::sweep(root, before);
        }
    }

    /// Removes what is left of the staging folder `staging`. Best effort: leftovers are harmless.
    pub fn discard_staging(&self, staging: &str) {
        if let Staging::Rename { root } = self.staging() {
            local::discard_staging(root, staging);
        }
    }
}
