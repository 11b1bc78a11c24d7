//! Storages to export to, which are read and changed without dayport.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dayport::store::Destination;
use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use tempfile::TempDir;

use super::faulty_store::{FaultInjector, FaultyStore};
use crate::s3::{self, TestS3};

/// The bucket of storages on S3.
pub(crate) const BUCKET: &str = "exports";

/// The storage behind a destination: a prefix of a bucket, or a folder.
pub(crate) enum Storage {
    S3 {
        server: Arc<TestS3>,
        client: Arc<AmazonS3>,
        prefix: String,
    },
    Folder(TempDir),
}

/// The state of a storage at one moment.
pub(crate) enum StorageSnapshot {
    S3 {
        server: Arc<TestS3>,
        client: Arc<AmazonS3>,
        prefix: String,
        bucket: s3::BucketSnapshot,
    },
    Folder(TempDir),
}

/// A factory of empty storages of one kind.
pub(crate) enum StorageFactory {
    S3 {
        server: Arc<TestS3>,
        client: Arc<AmazonS3>,
        created: AtomicUsize,
    },
    Folders,
}

impl StorageFactory {
    pub(crate) fn s3() -> Self {
        let server = Arc::new(TestS3::start());
        server.create_bucket(BUCKET);
        let client = Arc::new(server.store(BUCKET));
        StorageFactory::S3 {
            server,
            client,
            created: AtomicUsize::new(0),
        }
    }

    pub(crate) fn folders() -> Self {
        StorageFactory::Folders
    }

    /// Returns the server, to inject faults into.
    pub(crate) fn server(&self) -> &TestS3 {
        match self {
            StorageFactory::S3 { server, .. } => server,
            StorageFactory::Folders => panic!("a folder has no server"),
        }
    }

    /// Creates an empty storage.
    pub(crate) fn create(&self) -> Storage {
        match self {
            StorageFactory::S3 {
                server,
                client,
                created,
            } => Storage::S3 {
                server: Arc::clone(server),
                client: Arc::clone(client),
                prefix: format!("p{:05}", created.fetch_add(1, Ordering::Relaxed)),
            },
            StorageFactory::Folders => Storage::Folder(TempDir::new().unwrap()),
        }
    }
}

impl fmt::Display for StorageFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageFactory::S3 { .. } => "S3",
            StorageFactory::Folders => "folder",
        })
    }
}

impl Storage {
    /// Turns the storage into a snapshot of its state.
    pub(crate) fn save(self) -> StorageSnapshot {
        match self {
            Storage::S3 {
                server,
                client,
                prefix,
            } => StorageSnapshot::S3 {
                bucket: server.save(BUCKET),
                server,
                client,
                prefix,
            },
            Storage::Folder(folder) => StorageSnapshot::Folder(folder),
        }
    }

    /// Returns dayport's destination on this storage, without faults.
    pub(crate) fn destination(&self) -> Destination {
        self.with_faults(&FaultInjector::counting())
    }

    /// Returns dayport's destination on this storage, with faults.
    pub(crate) fn with_faults(&self, injector: &Arc<FaultInjector>) -> Destination {
        match self {
            Storage::S3 { client, prefix, .. } => {
                let store = Arc::new(FaultyStore::new(Arc::clone(client), injector));
                let name = format!("s3://{BUCKET}/{prefix}/");
                Destination::multipart(name, Path::from(prefix.as_str()), store)
            }
            Storage::Folder(folder) => {
                let root = folder.path().to_owned();
                let store = Arc::new(local(&root));
                Destination::rename(root, Arc::new(FaultyStore::new(store, injector)))
            }
        }
    }

    /// Returns all objects by key, read without dayport.
    pub(crate) fn objects(&self) -> BTreeMap<String, Object> {
        match self {
            Storage::S3 { server, prefix, .. } => {
                let keys = server.keys(BUCKET).into_iter();
                keys.filter_map(|key| {
                    let relative = key.strip_prefix(&format!("{prefix}/"))?.to_owned();
                    let object = server.object(BUCKET, &key)?;
                    let etag = object.etag.trim_matches('"').to_owned();
                    let bytes = object.data.to_vec();
                    Some((relative, Object { bytes, etag }))
                })
                .collect()
            }
            Storage::Folder(folder) => {
                let mut objects = BTreeMap::new();
                collect(folder.path(), folder.path(), &mut objects);
                objects
            }
        }
    }

    /// Returns key and id of the unfinished uploads; none in a folder, where staged files are files.
    pub(crate) fn uploads(&self) -> Vec<(String, String)> {
        match self {
            Storage::S3 { server, prefix, .. } => {
                let uploads = server.uploads(BUCKET).into_iter();
                let ours = uploads.filter_map(|(key, id)| {
                    Some((key.strip_prefix(&format!("{prefix}/"))?.to_owned(), id))
                });
                ours.collect()
            }
            Storage::Folder(_) => Vec::new(),
        }
    }

    /// Removes all staged files and unfinished uploads, as a lifecycle rule does.
    pub(crate) fn sweep(&self) {
        match self {
            Storage::S3 { server, .. } => server.abort_uploads(BUCKET),
            Storage::Folder(folder) => {
                std::fs::remove_dir_all(folder.path().join("_dayport/staging")).unwrap();
            }
        }
    }

    /// Puts a foreign object.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        match self {
            Storage::S3 { server, prefix, .. } => {
                server.put(BUCKET, &format!("{prefix}/{key}"), bytes.to_vec());
            }
            Storage::Folder(folder) => {
                let path = folder.path().join(key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
}

impl StorageSnapshot {
    /// Restores the storage. The bucket is shared: everything written since is gone.
    pub(crate) fn restore(&self) -> Storage {
        match self {
            StorageSnapshot::S3 {
                server,
                client,
                prefix,
                bucket,
            } => {
                server.restore(BUCKET, bucket);
                Storage::S3 {
                    server: Arc::clone(server),
                    client: Arc::clone(client),
                    prefix: prefix.clone(),
                }
            }
            StorageSnapshot::Folder(snapshot) => {
                let folder = TempDir::new().unwrap();
                link(snapshot.path(), folder.path());
                Storage::Folder(folder)
            }
        }
    }
}

/// Copies a folder by hard links, so that files keep their ETags. Existing files are never modified.
fn link(from: &FilePath, to: &FilePath) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&to).unwrap();
            link(&path, &to);
        } else {
            std::fs::hard_link(&path, &to).unwrap();
        }
    }
}

/// An object of a storage.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub bytes: Vec<u8>,
    /// The ETag, without quotes.
    pub etag: String,
}

fn local(root: &FilePath) -> LocalFileSystem {
    let store = LocalFileSystem::new_with_prefix(root).unwrap();
    store.with_automatic_cleanup(true)
}

fn collect(root: &FilePath, folder: &FilePath, objects: &mut BTreeMap<String, Object>) {
    use std::os::unix::fs::MetadataExt;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, objects);
            continue;
        }
        let key = path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let read = std::fs::metadata(&path).and_then(|about| Ok((about, std::fs::read(&path)?)));
        let (about, bytes) = match read {
            // A failing run may remove its staged files at the same time.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        // The ETag of object_store: inode, time of modification in microseconds, size.
        let changed = about.mtime() * 1_000_000 + about.mtime_nsec() / 1_000;
        let etag = format!("{:x}-{changed:x}-{:x}", about.ino(), about.size());
        objects.insert(key, Object { bytes, etag });
    }
}
