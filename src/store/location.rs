//! What may stand behind `--from` and `--to`.

use std::fmt;
use std::path::PathBuf;

use object_store::path::Path;
use url::Url;

use crate::error::{Error, Result};

/// A folder on disk, or a prefix in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Always ends with `/`.
    url: Url,
    place: Place,
}

/// The parts of a [`Location`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An absolute path.
    Local(PathBuf),
    S3 {
        bucket: String,
        prefix: Path,
    },
}

impl Location {
    /// Parses a path (relative ones are resolved here), `file:///…` or `s3://bucket/prefix/`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Err(Error::invalid(format!("`{text}` {what}"))
                .with_hint("give a folder, or an address such as `s3://bucket/prefix/`"))
        };
        let Some((scheme, _)) = text.split_once("://") else {
            return Self::local(text);
        };
        let Ok(url) = Url::parse(text) else {
            return wrong("is not a URL");
        };
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has `?` or `#` in it");
        }
        match scheme {
            "file" => match url.to_file_path() {
                Ok(path) => Self::local(&path.to_string_lossy()),
                Err(()) => wrong("is not an absolute path"),
            },
            "s3" => {
                if !url.username().is_empty() || url.password().is_some() {
                    // The text itself may hold a secret: do not print it.
                    return Err(Error::invalid("an S3 address with credentials in it")
                        .with_hint("credentials come from the environment, a profile or a role"));
                }
                let Some(bucket) = url.host_str().map(str::to_owned) else {
                    return wrong("names no bucket");
                };
                let Ok(prefix) = Path::from_url_path(url.path()) else {
                    return wrong("has a prefix that is not a valid key");
                };
                let mut url = url;
                if !url.path().ends_with('/') {
                    let folder = format!("{}/", url.path());
                    url.set_path(&folder);
                }
                Ok(Self {
                    url,
                    place: Place::S3 { bucket, prefix },
                })
            }
            _ => wrong("is neither a folder nor an `s3://` address"),
        }
    }

    fn local(text: &str) -> Result<Self> {
        let absolute = std::path::absolute(text).map_err(|error| {
            Error::invalid(format!("`{text}` is not a folder")).with_source(error)
        })?;
        let url = Url::from_directory_path(&absolute)
            .map_err(|()| Error::invalid(format!("`{text}` is not a folder")))?;
        Ok(Self {
            url,
            place: Place::Local(absolute),
        })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// As a URL that ends with `/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The store without the prefix: `s3://bucket`, `file://`.
    pub fn store_url(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path("/");
        url
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Local(path) => write!(f, "{}", path.display()),
            Place::S3 { .. } => write!(f, "{}", self.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_prefixes_are_taken_apart() {
        for (text, prefix) in [
            ("s3://bucket", ""),
            ("s3://bucket/", ""),
            ("s3://bucket/permutive", "permutive"),
            ("s3://bucket/a/b/", "a/b"),
        ] {
            let location = Location::parse(text).unwrap();
            let expected = Place::S3 {
                bucket: "bucket".into(),
                prefix: Path::from(prefix),
            };
            assert_eq!(location.place(), &expected);
            assert!(location.url().as_str().ends_with('/'), "{text}");
            assert_eq!(location.store_url().as_str(), "s3://bucket/");
        }
    }

    #[test]
    fn paths_become_absolute() {
        let location = Location::parse("/tmp/a b").unwrap();
        assert_eq!(location.place(), &Place::Local("/tmp/a b".into()));
        assert_eq!(location.url().as_str(), "file:///tmp/a%20b/");
        assert_eq!(Location::parse("file:///tmp/a%20b").unwrap(), location);
    }

    #[test]
    fn other_addresses_are_refused_without_printing_secrets() {
        for text in ["gs://bucket/x", "https://host/x", "s3:///x", "s3://b/x?y=1"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
        let error = Location::parse("s3://AKIA:hunter2@bucket/x").unwrap_err();
        assert!(!error.render().contains("hunter2"));
    }
}
