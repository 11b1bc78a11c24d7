//! The destination of an export: a prefix in a store, addressed by relative keys.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    Error as StoreError, ListResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
};

use crate::error::{Error, Result};
use crate::layout::{self, Layout};
use crate::store::staging::{OpenedStore, Staging};
use crate::store::{
    KeyFault, Location, StoreOptions, UploadLookup, backend, is_marker, key_fault as faults,
};

/// A prefix in a store. All keys in arguments and results are relative to the prefix.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The address, for messages.
    name: String,
    layout: Layout,
    store: Arc<dyn ObjectStore>,
    staging: Staging,
    uploads: Option<Arc<dyn UploadLookup>>,
}

/// The outcome of a create-if-absent put.
#[derive(Debug)]
pub enum Created {
    /// The object was created.
    Yes,
    /// An object exists, or the store said so. Only reading it back shows whose it is.
    Contested,
    /// The store failed before it was known whether the object exists.
    Unknown(Error),
}

impl Destination {
    /// Opens a destination. Creates a missing folder.
    pub async fn open(location: &Location, options: &StoreOptions) -> Result<Self> {
        let opened = backend::open_destination(location, options).await?;
        Ok(Self::new(location, opened))
    }

    /// Opens a destination for reading only: a missing folder is not created, and is empty.
    pub async fn open_read_only(location: &Location, options: &StoreOptions) -> Result<Self> {
        let opened = backend::open_read_only(location, options).await?;
        Ok(Self::new(location, opened))
    }

    fn new(location: &Location, opened: OpenedStore) -> Self {
        Self {
            name: location.to_string(),
            layout: Layout::new(opened.prefix),
            store: opened.store,
            staging: opened.staging,
            uploads: opened.uploads,
        }
    }

    /// Creates a destination in a store with multipart uploads, such as a decorated one.
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
            uploads: None,
        }
    }

    /// Returns the destination with a lookup of its uploads.
    #[must_use]
    pub fn with_upload_lookup(self, uploads: Arc<dyn UploadLookup>) -> Self {
        Self {
            uploads: Some(uploads),
            ..self
        }
    }

    /// Creates a destination in a decorated local folder.
    pub fn rename(root: PathBuf, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            name: root.display().to_string(),
            layout: Layout::new(Path::default()),
            store,
            staging: Staging::Rename { root },
            uploads: None,
        }
    }

    pub(super) fn uploads(&self) -> Option<&dyn UploadLookup> {
        self.uploads.as_deref()
    }

    pub(super) fn staging(&self) -> &Staging {
        &self.staging
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Returns the whole store, for reading.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Returns the absolute key in the store of a relative key.
    pub fn absolute(&self, path: &Path) -> Path {
        self.layout.absolute(path)
    }

    /// Returns the reason why the store cannot have an object with this key, if there is one.
    pub fn key_fault(&self, path: &Path) -> Option<KeyFault> {
        match &self.staging {
            Staging::Multipart(_) => faults::in_bucket(&self.absolute(path)),
            Staging::Rename { root } => faults::in_folder(root, path),
        }
    }

    /// Returns the key under which the store writes an object before it is at `path`.
    pub fn temporary_key(&self, path: &Path) -> Path {
        match &self.staging {
            Staging::Multipart(_) => path.clone(),
            // `object_store` appends `#1`.
            Staging::Rename { .. } => Path::parse(format!("{path}#1")).unwrap_or_default(),
        }
    }

    pub(super) fn error(&self, doing: &str, path: &Path, error: StoreError) -> Error {
        let name = self.name.trim_end_matches('/');
        Error::store(doing, format!("{name}/{path}"), error)
    }

    /// Makes one listing, so that wrong credentials and a missing bucket are found immediately.
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

    /// Lists every object below a folder, in the order of their keys, but for markers of folders.
    pub async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        let mut objects: Vec<ObjectMeta> = self
            .store
            .list(Some(&self.absolute(folder)))
            .try_filter_map(|mut meta| async {
                if is_marker(&meta) {
                    return Ok(None);
                }
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

    /// Lists the objects and folders directly below a folder, but for markers of folders.
    pub async fn list_level(&self, folder: &Path) -> Result<ListResult> {
        let mut listing = self
            .store
            .list_with_delimiter(Some(&self.absolute(folder)))
            .await
            .map_err(|error| self.error("list", folder, error))?;
        let relative = |path: &Path| self.layout.relative(path);
        listing.objects.retain_mut(|object| {
            let location = relative(&object.location);
            let is_listed = location.is_some() && !is_marker(object);
            object.location = location.unwrap_or_default();
            is_listed
        });
        let folders = listing.common_prefixes.iter().filter_map(relative);
        listing.common_prefixes = folders.collect();
        Ok(listing)
    }

    /// Lists the names of the folders directly below a folder.
    pub async fn folders(&self, folder: &Path) -> Result<Vec<String>> {
        let listing = self.list_level(folder).await?;
        Ok(listing
            .common_prefixes
            .iter()
            .filter_map(|prefix| prefix.filename().map(str::to_owned))
            .collect())
    }

    /// Reads an object. Returns `None` if it does not exist.
    pub async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let bytes = match self.store.get(&self.absolute(path)).await {
            Ok(object) => object.bytes().await,
            Err(error) => Err(error),
        };
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if self.is_missing(path, &error).await => Ok(None),
            Err(error) => Err(self.error("read", path, error)),
        }
    }

    /// Returns the size and ETag of an object. Returns `None` if it does not exist.
    pub async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        match self.store.head(&self.absolute(path)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if self.is_missing(path, &error).await => Ok(None),
            Err(error) => Err(self.error("read the size of", path, error)),
        }
    }

    /// Returns true if a request failed because the object does not exist.
    ///
    /// For a missing object S3 and Ceph respond 403 to a client that may list only under a condition
    /// (the prefixes of our policy): <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>.
    /// A listing distinguishes that from a refusal.
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

    /// Puts an object if none exists: the atomic operation that every commit relies on.
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

    /// Puts an object, and overwrites the one that exists.
    pub async fn replace(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let put = self
            .store
            .put(&self.absolute(path), PutPayload::from(bytes))
            .await;
        put.map(|_| ())
            .map_err(|error| self.error("overwrite", path, error))
    }

    /// Deletes objects. Idempotent: objects that do not exist are ignored.
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
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
