//! The store of a campaign: a folder, or a bucket behind a proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::runtime::Handle;
use walkdir::WalkDir;

use crate::bucket::Bucket;
use crate::proxy::Network;

/// The folder in which the program stages files.
const STAGING: &str = "_dayport/staging";

/// The store of a campaign.
pub(crate) enum Store {
    Folder(PathBuf),
    Bucket(Box<BucketStore>),
}

/// A bucket, and the network in front of it.
pub(crate) struct BucketStore {
    pub bucket: Bucket,
    pub network: Network,
    name: String,
    prefix: String,
}

/// One destination in the store.
pub(crate) struct Place<'a> {
    pub store: &'a Store,
    name: String,
}

impl Store {
    /// Opens the store at a path or `s3://bucket/prefix`.
    pub(crate) fn open(runtime: &Handle, to: &str) -> Self {
        let Some(address) = to.strip_prefix("s3://") else {
            std::fs::create_dir_all(to).expect("create the folder");
            return Self::Folder(std::fs::canonicalize(to).expect("a path"));
        };
        let (name, prefix) = address.split_once('/').unwrap_or((address, ""));
        let bucket = Bucket::open(runtime.clone(), name);
        let network = Network::new(runtime.clone(), bucket.server());
        Self::Bucket(Box::new(BucketStore {
            bucket,
            network,
            name: name.to_owned(),
            prefix: match prefix.trim_matches('/') {
                "" => "campaign".to_owned(),
                prefix => prefix.to_owned(),
            },
        }))
    }

    pub(crate) fn bucket(&self) -> Option<&BucketStore> {
        match self {
            Store::Folder(_) => None,
            Store::Bucket(bucket) => Some(bucket),
        }
    }

    /// Returns a destination of its own.
    pub(crate) fn place(&self, name: String) -> Place<'_> {
        Place { store: self, name }
    }
}

impl Place<'_> {
    /// Returns the address for `--to`.
    pub(crate) fn address(&self) -> String {
        match self.store {
            Store::Folder(root) => root.join(&self.name).display().to_string(),
            Store::Bucket(store) => format!("s3://{}/{}/", store.name, self.prefix(store)),
        }
    }

    fn prefix(&self, store: &BucketStore) -> String {
        format!("{}/{}", store.prefix, self.name)
    }

    fn folder(&self) -> Option<PathBuf> {
        match self.store {
            Store::Folder(root) => Some(root.join(&self.name)),
            Store::Bucket(_) => None,
        }
    }

    /// Reads all objects, once no request is on its way.
    pub(crate) fn objects(&self) -> BTreeMap<String, Bytes> {
        match self.store {
            Store::Folder(root) => files(&root.join(&self.name))
                .into_iter()
                // `object_store` writes a file as `name#1` before it gets its name.
                .filter(|key| !key.contains('#') && !key.starts_with(STAGING))
                .map(|key| {
                    let path = root.join(&self.name).join(&key);
                    (key, std::fs::read(path).expect("read a file").into())
                })
                .collect(),
            Store::Bucket(store) => {
                store.network.wait_until_idle();
                store.bucket.objects(&self.prefix(store))
            }
        }
    }

    /// Returns the uploads that are neither completed nor aborted, as the log identifies them.
    pub(crate) fn uploads(&self) -> BTreeSet<String> {
        match self.store {
            Store::Folder(root) => {
                let files = files(&root.join(&self.name)).into_iter();
                files.filter(|key| key.starts_with(STAGING)).collect()
            }
            Store::Bucket(store) => {
                let uploads = store.bucket.uploads(&self.prefix(store)).into_iter();
                uploads.map(|upload| upload.upload_id).collect()
            }
        }
    }

    /// Removes every unfinished upload, as a lifecycle rule does. Returns their number.
    pub(crate) fn sweep(&self) -> u64 {
        match self.store {
            Store::Folder(root) => {
                let swept = self.uploads().len();
                let staging = root.join(&self.name).join(STAGING);
                match std::fs::remove_dir_all(staging) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        panic!("cannot sweep: {error}")
                    }
                    _ => swept as u64,
                }
            }
            Store::Bucket(store) => store.bucket.abort_uploads(&self.prefix(store)),
        }
    }

    /// Counts the log entries; in a folder only.
    pub(crate) fn log_entries(&self) -> usize {
        let Some(folder) = self.folder() else {
            return 0;
        };
        let entries = files(&folder.join("_dayport/log")).into_iter();
        entries.filter(|key| key.ends_with(".json")).count()
    }

    /// Removes the destination if it is a folder.
    pub(crate) fn remove(&self) {
        if let Some(folder) = self.folder() {
            std::fs::remove_dir_all(folder).expect("remove a folder");
        }
    }
}

/// Lists the files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let found = WalkDir::new(folder).into_iter().filter_map(Result::ok);
    found
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let path = entry.path().strip_prefix(folder).ok()?;
            Some(path.to_str()?.to_owned())
        })
        .collect()
}
