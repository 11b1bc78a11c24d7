//! One file on its way into the store, its completion withheld.

use std::sync::Arc;

use bytes::Bytes;
use object_store::MultipartUpload;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::staged::UploadToken;
use crate::store::destination::Staging;
use crate::store::{Destination, Token};

/// Parts of one file that are under way at once.
const CONCURRENT_PARTS: usize = 4;

/// An upload that has begun: enough to abort it, even if it never gets its [`UploadToken`].
#[derive(Debug, Clone)]
pub struct Started {
    /// The final key, relative to the prefix.
    pub path: Path,
    pub token: UploadToken,
}

/// A file that takes parts in order and ends as an [`UploadToken`].
pub enum Upload {
    Multipart {
        path: Path,
        absolute: Path,
        store: Arc<dyn MultipartStore>,
        upload_id: String,
        next_part: usize,
        finished: Vec<(usize, PartId)>,
        running: JoinSet<object_store::Result<(usize, PartId)>>,
        token: Token,
    },
    Rename {
        staged: Path,
        upload: Box<dyn MultipartUpload>,
        token: Token,
    },
}

impl Destination {
    /// Begins the upload of the file that will be at `path`. `staged` is where a store without
    /// withheld completion keeps it until then; both are relative to the prefix. `token` is held
    /// as long as anything of the upload is under way.
    pub async fn upload(
        &self,
        path: &Path,
        staged: &Path,
        token: Token,
    ) -> Result<(Upload, Started)> {
        let absolute = self.absolute(path);
        let begun = |error| Error::store("begin the upload of", path, error);
        match self.staging() {
            Staging::Multipart(store) => {
                let upload_id = store.create_multipart(&absolute).await.map_err(begun)?;
                let started = Started {
                    path: path.clone(),
                    token: UploadToken::Multipart {
                        upload_id: upload_id.clone(),
                        part_etags: Vec::new(),
                    },
                };
                let upload = Upload::Multipart {
                    path: path.clone(),
                    absolute,
                    store: Arc::clone(store),
                    upload_id,
                    next_part: 0,
                    finished: Vec::new(),
                    running: JoinSet::new(),
                    token,
                };
                Ok((upload, started))
            }
            Staging::Rename { .. } => {
                let upload = self
                    .store()
                    .put_multipart(&self.absolute(staged))
                    .await
                    .map_err(begun)?;
                let started = Started {
                    path: path.clone(),
                    token: UploadToken::Rename {
                        staged: staged.to_string(),
                        etag: None,
                    },
                };
                let upload = Upload::Rename {
                    staged: staged.clone(),
                    upload,
                    token,
                };
                Ok((upload, started))
            }
        }
    }
}

impl Upload {
    /// Sends the next part; returns when it is under way. All parts but the last must have the
    /// store's minimum size (S3: 5 MiB).
    pub async fn part(&mut self, bytes: Bytes) -> Result<()> {
        match self {
            Upload::Multipart {
                path,
                absolute,
                store,
                upload_id,
                next_part,
                finished,
                running,
                token,
            } => {
                while running.len() >= CONCURRENT_PARTS {
                    join_part(path, running, finished).await?;
                }
                let part = *next_part;
                *next_part += 1;
                let (store, absolute) = (Arc::clone(store), absolute.clone());
                let (upload_id, token) = (upload_id.clone(), token.clone());
                running.spawn(async move {
                    let _token = token;
                    let payload = PutPayload::from(bytes);
                    let id = store.put_part(&absolute, &upload_id, part, payload).await?;
                    Ok((part, id))
                });
                Ok(())
            }
            Upload::Rename { staged, upload, .. } => upload
                .put_part(PutPayload::from(bytes))
                .await
                .map_err(|error| Error::store("write", &*staged, error)),
        }
    }

    /// Waits for all parts: now only the completion is missing.
    pub async fn seal(self) -> Result<UploadToken> {
        match self {
            Upload::Multipart {
                path,
                upload_id,
                mut finished,
                mut running,
                ..
            } => {
                while !running.is_empty() {
                    join_part(&path, &mut running, &mut finished).await?;
                }
                finished.sort_by_key(|(part, _)| *part);
                Ok(UploadToken::Multipart {
                    upload_id,
                    part_etags: finished.into_iter().map(|(_, id)| id.content_id).collect(),
                })
            }
            Upload::Rename {
                staged, mut upload, ..
            } => {
                let put = upload
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

async fn join_part(
    path: &Path,
    running: &mut JoinSet<object_store::Result<(usize, PartId)>>,
    finished: &mut Vec<(usize, PartId)>,
) -> Result<()> {
    match running.join_next().await {
        None => Ok(()),
        Some(Ok(Ok(part))) => {
            finished.push(part);
            Ok(())
        }
        Some(Ok(Err(error))) => Err(Error::store("upload a part of", path, error)),
        Some(Err(error)) => {
            Err(Error::internal(format!("the upload of `{path}` broke off")).with_source(error))
        }
    }
}
