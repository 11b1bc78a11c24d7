//! The place tables are exported to: a prefix in a store, spoken to in relative keys.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
};

use crate::error::{Error, Result};
use crate::layout::{self, Layout};
use crate::staged::UploadToken;
use crate::store::{Location, Place, S3Options, s3};

/// A prefix in a store. All keys it takes and gives are relative to the prefix.
#[derive(Debug, Clone)]
pub struct Destination {
    /// For messages.
    name: String,
    layout: Layout,
    store: Arc<dyn ObjectStore>,
    staging: Staging,
}

/// How a file is kept invisible until it is published.
#[derive(Clone)]
pub(super) enum Staging {
    /// The completion of its multipart upload is withheld.
    Multipart(Arc<dyn MultipartStore>),
    /// It lies in the staging folder below this folder, to be renamed.
    Rename { root: PathBuf },
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Staging::Multipart(_) => f.write_str("Multipart"),
            Staging::Rename { root } => write!(f, "Rename({})", root.display()),
        }
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a create-if-absent put came to.
#[derive(Debug)]
pub enum Created {
    Yes,
    /// Something is there, or the store said so: only reading it back tells whose it is.
    Contested,
    /// The store failed in a way that leaves open whether the object is there.
    Unknown(Error),
}

/// What completing an upload came to.
#[derive(Debug)]
pub enum Completion {
    Completed,
    /// The upload is no longer there: completed earlier, or swept away. The object tells which.
    Gone,
    /// The store failed in a way that leaves open whether the upload is completed.
    Unknown(Error),
}

impl Destination {
    /// Opens a destination; a missing local folder is created.
    pub async fn open(location: &Location, options: &S3Options) -> Result<Self> {
        match location.place() {
            Place::Local(root) => {
                let cannot = cannot_use(location);
                std::fs::create_dir_all(root).map_err(|error| cannot(error.into()))?;
                let store = LocalFileSystem::new_with_prefix(root)
                    .map_err(|error| cannot(error.into()))?
                    .with_automatic_cleanup(true);
                Ok(Self {
                    name: location.to_string(),
                    layout: Layout::new(Path::default()),
                    store: Arc::new(store),
                    staging: Staging::Rename { root: root.clone() },
                })
            }
            Place::S3 { bucket, prefix } => {
                let store = Arc::new(s3::open(bucket, options).await?);
                Ok(Self::multipart(location.to_string(), prefix.clone(), store))
            }
        }
    }

    /// Opens a destination to look at it: a missing local folder stays missing, and is empty.
    pub async fn look_at(location: &Location, options: &S3Options) -> Result<Self> {
        match location.place() {
            Place::Local(root) if !root.is_dir() => {
                let prefix = Path::from_absolute_path(root)
                    .map_err(|error| cannot_use(location)(error.into()))?;
                Ok(Self {
                    name: location.to_string(),
                    layout: Layout::new(prefix),
                    store: Arc::new(LocalFileSystem::new()),
                    staging: Staging::Rename { root: root.clone() },
                })
            }
            _ => Self::open(location, options).await,
        }
    }

    /// A destination in any store that has multipart uploads: also how decorated stores come in.
    pub fn multipart<S: ObjectStore + MultipartStore>(
        name: String,
        prefix: Path,
        store: Arc<S>,
    ) -> Self {
        Self {
            name,
            layout: Layout::new(prefix),
            store: Arc::<S>::clone(&store),
            staging: Staging::Multipart(store),
        }
    }

    /// A destination in a decorated local folder.
    pub fn rename(root: PathBuf, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            name: root.display().to_string(),
            layout: Layout::new(Path::default()),
            store,
            staging: Staging::Rename { root },
        }
    }

    pub(super) fn staging(&self) -> &Staging {
        &self.staging
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The whole store, for reading.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// The key in the store of a relative key.
    pub fn absolute(&self, path: &Path) -> Path {
        self.layout.absolute(path)
    }

    fn error(&self, doing: &str, path: &Path, error: StoreError) -> Error {
        let name = self.name.trim_end_matches('/');
        Error::store(doing, format!("{name}/{path}"), error)
    }

    /// Asks for one listing, so that wrong credentials and a missing bucket are found at once.
    pub async fn probe(&self) -> Result<()> {
        let folder = layout::manifests_folder();
        self.store
            .list_with_delimiter(Some(&self.absolute(&folder)))
            .await
            .map(|_| ())
            .map_err(|error| {
                let missing = matches!(error, StoreError::NotFound { .. });
                let error = self.error("list", &folder, error);
                if missing {
                    error.with_hint("does the bucket exist?")
                } else {
                    error
                }
            })
    }

    /// Every object below a folder, in the order of their keys.
    pub async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        let mut objects: Vec<ObjectMeta> = self
            .store
            .list(Some(&self.absolute(folder)))
            .try_filter_map(|mut meta| async {
                Ok(self.layout.relative(&meta.location).map(|relative| {
                    meta.location = relative;
                    meta
                }))
            })
            .try_collect()
            .await
            .map_err(|error| self.error("list", folder, error))?;
        objects.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(objects)
    }

    /// The names of the folders directly below a folder.
    pub async fn folders(&self, folder: &Path) -> Result<Vec<String>> {
        let listing = self
            .store
            .list_with_delimiter(Some(&self.absolute(folder)))
            .await
            .map_err(|error| self.error("list", folder, error))?;
        let names = listing.common_prefixes.iter();
        Ok(names
            .filter_map(|prefix| prefix.filename().map(str::to_owned))
            .collect())
    }

    /// The bytes of an object; `None` if there is none.
    pub async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let answer = match self.store.get(&self.absolute(path)).await {
            Ok(answer) => answer.bytes().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if self.is_missing(path, &error).await => Ok(None),
            Err(error) => Err(self.error("read", path, error)),
        }
    }

    /// Size and ETag of an object; `None` if there is none.
    pub async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        match self.store.head(&self.absolute(path)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if self.is_missing(path, &error).await => Ok(None),
            Err(error) => Err(self.error("look at", path, error)),
        }
    }

    /// Whether a request failed because there is no such object.
    ///
    /// To whoever may list under a condition only (our policy's prefixes) S3 and Ceph answer 403
    /// for what is not there: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>.
    /// A listing tells it from a refusal.
    async fn is_missing(&self, path: &Path, error: &StoreError) -> bool {
        match error {
            StoreError::NotFound { .. } => return true,
            StoreError::PermissionDenied { .. } => {}
            _ => return false,
        }
        let key = self.absolute(path);
        let (mut folder, mut before) = (key.to_string(), key.to_string());
        folder.truncate(folder.rfind('/').unwrap_or(0));
        before.pop();
        let (Ok(folder), Ok(before)) = (Path::parse(folder), Path::parse(before)) else {
            return false;
        };
        let mut listing = self.store.list_with_offset(Some(&folder), &before);
        while let Some(listed) = listing.next().await {
            match listed {
                Ok(listed) if listed.location < key => {}
                Ok(listed) => return listed.location != key,
                Err(_) => return false,
            }
        }
        true
    }

    /// Puts an object if there is none.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Created {
        let put = self
            .store
            .put_opts(
                &self.absolute(path),
                PutPayload::from(bytes),
                PutMode::Create.into(),
            )
            .await;
        match put {
            Ok(_) => Created::Yes,
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                Created::Contested
            }
            Err(error) => Created::Unknown(self.error("create", path, error)),
        }
    }

    /// Deletes objects by name; those that are not there are none of its business.
    pub async fn delete(&self, paths: &[Path]) -> Result<()> {
        let absolute: Vec<Path> = paths.iter().map(|path| self.absolute(path)).collect();
        let locations = futures::stream::iter(absolute).map(Ok).boxed();
        let mut deleted = self.store.delete_stream(locations);
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => {
                    return Err(Error::store("delete files in", &self.name, error));
                }
            }
        }
        Ok(())
    }

    /// Makes an uploaded file visible at `path`.
    pub async fn complete(&self, path: &Path, token: &UploadToken) -> Completion {
        let to = self.absolute(path);
        let answer = match (&self.staging, token) {
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
                let from = match layout::recorded(staged) {
                    Ok(staged) => self.absolute(&staged),
                    Err(error) => return Completion::Unknown(error),
                };
                self.store.rename(&from, &to).await
            }
            (_, token) => {
                return Completion::Unknown(
                    Error::invalid(format!(
                        "`{}` holds an unfinished upload of another kind of store: {token:?}",
                        self.name
                    ))
                    .with_hint("run dayport on the destination it was exported to"),
                );
            }
        };
        match answer {
            Ok(()) => Completion::Completed,
            Err(StoreError::NotFound { .. }) => Completion::Gone,
            Err(error) => Completion::Unknown(self.error("complete the upload of", path, error)),
        }
    }

    /// Gives up an upload; one that is no longer there is given up already.
    pub async fn abort(&self, path: &Path, token: &UploadToken) -> Result<()> {
        match (&self.staging, token) {
            (Staging::Multipart(store), UploadToken::Multipart { upload_id, .. }) => {
                match store.abort_multipart(&self.absolute(path), upload_id).await {
                    Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(self.error("abort the upload of", path, error)),
                }
            }
            (_, UploadToken::Rename { staged, .. }) => {
                self.delete(&[layout::recorded(staged)?]).await
            }
            (Staging::Rename { .. }, UploadToken::Multipart { .. }) => Ok(()),
        }
    }

    /// Removes the staging folders that runs left behind that died `before` then: what a lifecycle
    /// rule does with unfinished uploads on S3. Best effort: leftovers are harmless.
    pub fn sweep_staging(&self, before: SystemTime) {
        let Staging::Rename { root } = &self.staging else {
            return;
        };
        let folders = root.join(layout::stagings_folder().as_ref());
        for folder in std::fs::read_dir(folders).into_iter().flatten().flatten() {
            let modified = folder.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|modified| modified < before) {
                let _ = std::fs::remove_dir_all(folder.path());
            }
        }
    }

    /// Removes what is left of a staging folder. Best effort: leftovers are harmless.
    pub fn discard_staging(&self, staging: &str) {
        if let Staging::Rename { root } = &self.staging {
            let folder = layout::staging_folder(staging);
            let _ = std::fs::remove_dir_all(root.join(folder.as_ref()));
        }
    }
}

fn cannot_use(location: &Location) -> impl Fn(Cause) -> Error {
    move |cause| {
        Error::invalid(format!("cannot use `{location}` as a destination")).with_source(cause)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_old_staging_folders_are_swept() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalFileSystem::new_with_prefix(root.path()).unwrap());
        let destination = Destination::rename(root.path().to_owned(), store);
        let folder = |name: &str| root.path().join(layout::staging_folder(name).as_ref());
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (name, modified) in [("old", noon - Duration::from_secs(1)), ("new", noon)] {
            fs::create_dir_all(folder(name)).unwrap();
            fs::write(folder(name).join("000000000000"), "rows").unwrap();
            let opened = File::open(folder(name)).unwrap();
            opened.set_modified(modified).unwrap();
        }
        destination.sweep_staging(noon);
        assert!(!folder("old").exists());
        assert!(folder("new").join("000000000000").exists());
    }
}
