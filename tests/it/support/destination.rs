//! The destination of a scenario: a folder on disk, or a prefix in a bucket.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use tempfile::TempDir;

use crate::s3::TestS3;

/// The bucket of [`TestDestination::s3`].
pub(crate) const BUCKET: &str = "exports";

/// The prefix of the exports. It is not the root of the bucket: keys outside must stay untouched.
const PREFIX: &str = "acme/dayport/";

/// A destination that is read and changed without dayport. Keys are relative to the prefix.
pub(crate) enum TestDestination {
    Local(TempDir),
    S3(TestS3),
}

impl TestDestination {
    pub(crate) fn local() -> TestDestination {
        TestDestination::Local(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn s3() -> TestDestination {
        let server = TestS3::start();
        server.create_bucket(BUCKET);
        TestDestination::S3(server)
    }

    /// Returns the value of `--to`.
    pub(crate) fn url(&self) -> String {
        match self {
            TestDestination::Local(_) => self.root().display().to_string(),
            TestDestination::S3(_) => format!("s3://{BUCKET}/{PREFIX}"),
        }
    }

    /// Returns the server of [`TestDestination::s3`].
    pub(crate) fn server(&self) -> &TestS3 {
        match self {
            TestDestination::Local(_) => panic!("a folder has no server"),
            TestDestination::S3(server) => server,
        }
    }

    /// Returns the environment variables that a child process needs to reach the destination.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        match self {
            TestDestination::Local(_) => Vec::new(),
            TestDestination::S3(server) => server.env(),
        }
    }

    /// Returns all keys, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        match self {
            TestDestination::Local(_) => {
                let mut keys = files_below(&self.root());
                keys.sort();
                keys
            }
            TestDestination::S3(server) => {
                let keys = server.keys(BUCKET).into_iter();
                keys.map(|key| {
                    let relative = key.strip_prefix(PREFIX).map(str::to_owned);
                    relative.unwrap_or_else(|| panic!("`{key}` is outside the prefix"))
                })
                .collect()
            }
        }
    }

    /// Returns all keys below a folder, sorted.
    pub(crate) fn keys_below(&self, folder: &str) -> Vec<String> {
        let mut keys = self.keys();
        keys.retain(|key| key.starts_with(folder));
        keys
    }

    /// Returns all keys with their bytes.
    pub(crate) fn contents(&self) -> BTreeMap<String, Bytes> {
        let keys = self.keys().into_iter();
        keys.map(|key| {
            let bytes = self.read(&key);
            (key, bytes)
        })
        .collect()
    }

    /// Returns the bytes of an object that must exist.
    pub(crate) fn read(&self, key: &str) -> Bytes {
        self.find(key).unwrap_or_else(|| panic!("no `{key}`"))
    }

    pub(crate) fn find(&self, key: &str) -> Option<Bytes> {
        match self {
            TestDestination::Local(_) => fs::read(self.path(key)).ok().map(Bytes::from),
            TestDestination::S3(server) => {
                let object = server.object(BUCKET, &format!("{PREFIX}{key}"));
                object.map(|object| object.data)
            }
        }
    }

    /// Returns the ETag that the client of the store reports, without quotes.
    pub(crate) fn etag(&self, key: &str) -> String {
        let etag = match self {
            TestDestination::Local(_) => {
                let store = LocalFileSystem::new_with_prefix(self.root()).expect("the folder");
                let path = object_store::path::Path::parse(key).expect("a key");
                let head = futures::executor::block_on(store.head(&path));
                head.expect("an object").e_tag.expect("an ETag")
            }
            TestDestination::S3(server) => {
                let object = server.object(BUCKET, &format!("{PREFIX}{key}"));
                object.expect("an object").etag
            }
        };
        etag.trim_matches('"').to_owned()
    }

    /// Puts an object that dayport did not write.
    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        match self {
            TestDestination::Local(_) => {
                let path = self.path(key);
                fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
                fs::write(path, bytes).expect("write a file");
            }
            TestDestination::S3(server) => server.put(BUCKET, &format!("{PREFIX}{key}"), bytes),
        }
    }

    pub(crate) fn delete(&self, key: &str) {
        match self {
            TestDestination::Local(_) => fs::remove_file(self.path(key)).expect("delete a file"),
            TestDestination::S3(server) => {
                let was_there = server.delete(BUCKET, &format!("{PREFIX}{key}"));
                assert!(was_there, "no `{key}`");
            }
        }
    }

    /// Returns the keys of unfinished uploads and of staged files.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut leftovers = self.keys_below("_dayport/staging/");
        if let TestDestination::S3(server) = self {
            let uploads = server.uploads(BUCKET).into_iter();
            leftovers.extend(uploads.map(|(key, id)| format!("{key} ({id})")));
        }
        leftovers
    }

    /// Returns the folder of the prefix, which the first run creates.
    fn root(&self) -> PathBuf {
        match self {
            TestDestination::Local(folder) => folder.path().join(PREFIX),
            TestDestination::S3(_) => panic!("a bucket is not a folder"),
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root().join(key)
    }
}

/// Returns the paths of all files below a folder, relative to it; none if the folder is missing.
pub(crate) fn files_below(root: &Path) -> Vec<String> {
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
