//! Locations: the addresses that `--from` and `--to` accept.

use std::fmt;
use std::path::{Component, Path as FilePath, PathBuf};

use object_store::path::Path;
use url::Url;

use crate::error::{Error, Result};
use crate::store::address::{Address, BucketKind};
use crate::store::overlap::overlap;
use crate::store::{path_of_url, shown_url};

/// The location of a folder of this machine, or of a prefix in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Always ends with `/`.
    url: Url,
    address: Address,
}

/// A prefix in a bucket of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3Prefix<'a> {
    /// The name of the bucket.
    pub bucket: &'a str,
    /// The prefix of all keys, without a trailing slash.
    pub prefix: &'a Path,
}

impl Location {
    /// Parses a path (relative ones are resolved here), `file:///…` or `s3://bucket/prefix/`.
    ///
    /// # Errors
    /// Fails on any other text, and on a URL with credentials, which then is not part of the message.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, _)) = text.split_once("://") else {
            return match one_slash(text) {
                Some(meant) => Err(Error::invalid(format!("`{text}` is not an address"))
                    .with_hint(format!("write `{meant}`, or `./{text}` for a folder"))),
                None => Self::folder(text),
            };
        };
        let Ok(url) = Url::parse(text) else {
            return Err(invalid(text, "is not a URL"));
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid(text, "has `?` or `#` in it"));
        }
        if scheme == "file" {
            return match url.to_file_path() {
                Ok(path) => Self::folder(&path.to_string_lossy()),
                Err(()) => Err(invalid(text, "is not an absolute path")),
            };
        }
        match BucketKind::from_scheme(scheme) {
            Some(kind) => Self::bucket(text, kind, url),
            None => Err(invalid(text, "is neither a folder nor an `s3://` address")),
        }
    }

    fn folder(text: &str) -> Result<Self> {
        let absolute = std::path::absolute(text).map_err(|error| {
            Error::invalid(format!("`{text}` is not a folder")).with_source(error)
        })?;
        let absolute = without_parents(&absolute);
        let url = Url::from_directory_path(&absolute)
            .map_err(|()| Error::invalid(format!("`{text}` is not a folder")))?;
        Ok(Self {
            url,
            address: Address::Folder(absolute),
        })
    }

    fn bucket(text: &str, kind: BucketKind, mut url: Url) -> Result<Self> {
        if !url.username().is_empty() || url.password().is_some() {
            // The text itself may hold a secret: do not print it.
            return Err(Error::invalid(format!(
                "an {}:// address with credentials in it",
                kind.scheme()
            ))
            .with_hint("credentials come from the environment, a profile or a role"));
        }
        let Some(bucket) = url.host_str().map(str::to_owned) else {
            return Err(invalid(text, "names no bucket"));
        };
        let Ok(prefix) = Path::from_url_path(url.path()) else {
            return Err(invalid(text, "has a prefix that is not a valid key"));
        };
        if !url.path().ends_with('/') {
            let folder = format!("{}/", url.path());
            url.set_path(&folder);
        }
        let address = Address::Bucket {
            kind,
            bucket,
            prefix,
        };
        Ok(Self { url, address })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the location as a URL that ends with `/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the URL of the store without the prefix: `s3://bucket/`, `file:///`.
    pub fn store_url(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path("/");
        url
    }

    /// Returns true if this location is another one, inside it, or around it. On disks, links are
    /// followed.
    pub fn overlaps(&self, other: &Location) -> bool {
        self.overlaps_key(other.store_url().as_str(), &other.key())
    }

    /// Returns true if this location is a key of a store, below it, or above it. `store_url` is the URL
    /// of the store: `s3://bucket/`, `file:///`.
    pub fn overlaps_key(&self, store_url: &str, key: &Path) -> bool {
        self.store_url().as_str() == store_url && overlap(store_url, &self.key(), key)
    }

    /// Returns the key of the location in its store.
    fn key(&self) -> Path {
        match &self.address {
            Address::Folder(_) => path_of_url(&self.url),
            Address::Bucket { prefix, .. } => prefix.clone(),
        }
    }

    /// Returns true if the location is a folder of this machine.
    pub fn is_folder(&self) -> bool {
        matches!(self.address, Address::Folder(_))
    }

    /// Returns the bucket and the prefix, if the location is in a bucket of S3.
    pub fn s3_prefix(&self) -> Option<S3Prefix<'_>> {
        match &self.address {
            Address::Bucket {
                kind: BucketKind::S3,
                bucket,
                prefix,
            } => Some(S3Prefix { bucket, prefix }),
            _ => None,
        }
    }

    /// Returns false if the location is a missing folder. No store is called: a bucket may exist.
    pub fn may_exist(&self) -> bool {
        match &self.address {
            Address::Folder(folder) => folder.is_dir(),
            Address::Bucket { .. } => true,
        }
    }

    /// Returns the address without a `/` at its end: `s3://bucket/prefix`, or an absolute path.
    pub fn root(&self) -> String {
        self.root_with(BucketKind::scheme, "")
    }

    /// Returns the address without a `/` at its end as Hadoop's file systems spell it:
    /// `s3a://bucket/prefix`, `file:///folder`.
    pub fn hadoop_root(&self) -> String {
        self.root_with(BucketKind::hadoop_scheme, "file://")
    }

    fn root_with(&self, scheme: fn(BucketKind) -> &'static str, before_path: &str) -> String {
        match &self.address {
            Address::Folder(folder) => {
                let path = folder.display().to_string();
                format!("{before_path}{}", path.trim_end_matches('/'))
            }
            Address::Bucket {
                kind,
                bucket,
                prefix,
            } => match prefix.as_ref() {
                "" => format!("{}://{bucket}", scheme(*kind)),
                prefix => format!("{}://{bucket}/{prefix}", scheme(*kind)),
            },
        }
    }
}

/// Returns the address that was meant by one without `//`, such as `s3:/bucket`.
fn one_slash(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let is_known = scheme == "file" || BucketKind::from_scheme(scheme).is_some();
    let slashes = if scheme == "file" { "///" } else { "//" };
    is_known.then(|| format!("{scheme}:{slashes}{}", rest.trim_start_matches('/')))
}

/// Returns the path without `..`, as the system resolves it: `link/..` is the parent of the folder that
/// `link` leads to.
fn without_parents(path: &FilePath) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            if let Ok(folder) = std::fs::canonicalize(&resolved) {
                resolved = folder;
            }
            resolved.pop();
        } else {
            resolved.push(component);
        }
    }
    resolved
}

fn invalid(text: &str, what: &str) -> Error {
    Error::invalid(format!("`{}` {what}", shown_url(text)))
        .with_hint("give a folder, or an address such as `s3://bucket/prefix/`")
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Folder(path) => write!(f, "{}", path.display()),
            Address::Bucket { .. } => write!(f, "{}", self.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_prefixes_are_split() {
        for (text, prefix) in [
            ("s3://bucket", ""),
            ("s3://bucket/", ""),
            ("s3://bucket/permutive", "permutive"),
            ("s3://bucket/a/b/", "a/b"),
        ] {
            let location = Location::parse(text).unwrap();
            let expected = S3Prefix {
                bucket: "bucket",
                prefix: &Path::from(prefix),
            };
            assert_eq!(location.s3_prefix(), Some(expected), "{text}");
            assert!(location.url().as_str().ends_with('/'), "{text}");
            assert_eq!(location.store_url().as_str(), "s3://bucket/");
        }
    }

    #[test]
    fn paths_become_absolute() {
        let location = Location::parse("/tmp/a b").unwrap();
        assert_eq!(location.address(), &Address::Folder("/tmp/a b".into()));
        assert_eq!(location.url().as_str(), "file:///tmp/a%20b/");
        assert_eq!(Location::parse("file:///tmp/a%20b").unwrap(), location);
    }

    #[test]
    fn parents_are_resolved_as_the_system_does() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink(root.join("a/b"), root.join("link")).unwrap();
        let parsed = |path: &str| {
            let location = Location::parse(root.join(path).to_str().unwrap()).unwrap();
            assert!(!location.url().as_str().contains(".."));
            location.to_string()
        };
        let at = |path: &str| root.join(path).display().to_string();
        assert_eq!(parsed("a/../c"), at("c"));
        assert_eq!(parsed("link/../c"), at("a/c"));
        assert_eq!(parsed("missing/../c"), at("c"));
        assert_eq!(parsed("a/b/../.."), root.display().to_string());
    }

    #[test]
    fn an_address_with_one_slash_is_no_folder() {
        for (text, meant) in [
            ("s3:/bucket/x", "`s3://bucket/x`"),
            ("s3:bucket", "`s3://bucket`"),
            ("file:/tmp/x", "`file:///tmp/x`"),
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(error.render().contains(meant), "{}", error.render());
        }
        assert!(Location::parse("./s3:/x").unwrap().is_folder());
    }

    #[test]
    fn other_addresses_are_refused_without_printing_secrets() {
        for text in ["gs://bucket/x", "https://host/x", "s3:///x", "s3://b/x?y=1"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
        for text in [
            "s3://AKIA:hunter2@bucket/x",
            "https://user:hunter2@host/x",
            "s3://user:hunter2@/x",
            "s3://a b:hunter2@bucket/x",
            "file://user:hunter2@host/x",
            "s3://bucket/x?X-Amz-Signature=hunter2",
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(!error.render().contains("hunter2"), "{}", error.render());
        }
    }

    #[test]
    fn roots_are_what_engines_read_from() {
        for (text, root, hadoop_root) in [
            ("s3://bucket", "s3://bucket", "s3a://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b", "s3a://bucket/a/b"),
            ("/tmp/a/", "/tmp/a", "file:///tmp/a"),
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.root(), root);
            assert_eq!(location.hadoop_root(), hadoop_root);
        }
    }
}
