//! Where a scenario exports to: a folder on disk, or a prefix in a bucket.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use tempfile::TempDir;

use crate::s3::TestS3;

/// The bucket of [`Place::s3`].
pub(crate) const BUCKET: &str = "exports";

/// Not the root of the bucket: keys outside the prefix must stay untouched.
const PREFIX: &str = "acme/dayport/";

/// A destination, seen behind dayport's back. Keys are relative to the prefix.
pub(crate) enum Place {
    Local(TempDir),
    S3(TestS3),
}

impl Place {
    pub(crate) fn local() -> Place {
        Place::Local(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn s3() -> Place {
        let server = TestS3::start();
        server.create_bucket(BUCKET);
        Place::S3(server)
    }

    /// What `--to` is given.
    pub(crate) fn url(&self) -> String {
        match self {
            Place::Local(_) => self.root().display().to_string(),
            Place::S3(_) => format!("s3://{BUCKET}/{PREFIX}"),
        }
    }

    /// The server of [`Place::s3`].
    pub(crate) fn server(&self) -> &TestS3 {
        match self {
            Place::Local(_) => panic!("a folder has no server"),
            Place::S3(server) => server,
        }
    }

    /// What a child process needs in its environment to reach the place.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        match self {
            Place::Local(_) => Vec::new(),
            Place::S3(server) => server.env(),
        }
    }

    /// Every key, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        match self {
            Place::Local(_) => {
                let mut keys = files_below(&self.root());
                keys.sort();
                keys
            }
            Place::S3(server) => {
                let keys = server.keys(BUCKET).into_iter();
                keys.map(|key| {
                    let relative = key.strip_prefix(PREFIX).map(str::to_owned);
                    relative.unwrap_or_else(|| panic!("`{key}` is outside the prefix"))
                })
                .collect()
            }
        }
    }

    /// Every key below a folder, sorted.
    pub(crate) fn keys_below(&self, folder: &str) -> Vec<String> {
        let mut keys = self.keys();
        keys.retain(|key| key.starts_with(folder));
        keys
    }

    /// Every key with its bytes.
    pub(crate) fn contents(&self) -> BTreeMap<String, Bytes> {
        let keys = self.keys().into_iter();
        keys.map(|key| {
            let bytes = self.read(&key);
            (key, bytes)
        })
        .collect()
    }

    /// The bytes of an object that must be there.
    pub(crate) fn read(&self, key: &str) -> Bytes {
        self.find(key).unwrap_or_else(|| panic!("no `{key}`"))
    }

    pub(crate) fn find(&self, key: &str) -> Option<Bytes> {
        match self {
            Place::Local(_) => fs::read(self.path(key)).ok().map(Bytes::from),
            Place::S3(server) => {
                let object = server.object(BUCKET, &format!("{PREFIX}{key}"));
                object.map(|object| object.data)
            }
        }
    }

    /// As the store's own client tells it, without quotes.
    pub(crate) fn etag(&self, key: &str) -> String {
        let etag = match self {
            Place::Local(_) => {
                let store = LocalFileSystem::new_with_prefix(self.root()).expect("the folder");
                let path = object_store::path::Path::parse(key).expect("a key");
                let head = futures::executor::block_on(store.head(&path));
                head.expect("an object").e_tag.expect("an ETag")
            }
            Place::S3(server) => {
                let object = server.object(BUCKET, &format!("{PREFIX}{key}"));
                object.expect("an object").etag
            }
        };
        etag.trim_matches('"').to_owned()
    }

    /// Puts what is not dayport's there.
    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        match self {
            Place::Local(_) => {
                let path = self.path(key);
                fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
                fs::write(path, bytes).expect("write a file");
            }
            Place::S3(server) => server.put(BUCKET, &format!("{PREFIX}{key}"), bytes),
        }
    }

    pub(crate) fn delete(&self, key: &str) {
        match self {
            Place::Local(_) => fs::remove_file(self.path(key)).expect("delete a file"),
            Place::S3(server) => {
                let there = server.delete(BUCKET, &format!("{PREFIX}{key}"));
                assert!(there, "no `{key}`");
            }
        }
    }

    /// What staging left behind: keys of unfinished uploads, or of staged files.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut leftovers = self.keys_below("_dayport/staging/");
        if let Place::S3(server) = self {
            let uploads = server.uploads(BUCKET).into_iter();
            leftovers.extend(uploads.map(|(key, id)| format!("{key} ({id})")));
        }
        leftovers
    }

    /// The folder of the prefix; it is made by the first run.
    fn root(&self) -> PathBuf {
        match self {
            Place::Local(folder) => folder.path().join(PREFIX),
            Place::S3(_) => panic!("a bucket is not a folder"),
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root().join(key)
    }
}

/// Every file below a folder, relative to it; none if there is no folder.
fn files_below(root: &Path) -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(root).expect("a file below the root");
            files.push(relative.to_str().expect("a UTF-8 name").to_owned());
        }
    }
    files
}
