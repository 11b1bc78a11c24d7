//! The location of a source's files: `LOCATION`, resolved under the `--from` base.

use std::fmt;

use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;
use url::{Position, Url};

use crate::error::{Error, Result};
use crate::store::{path_of_url, shown, shown_url};

/// A folder or a file of one object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceLocation {
    /// The URL `scheme://authority` under which the store is registered.
    pub(crate) store: ObjectStoreUrl,
    /// The key, without slashes at its ends; empty for the store's root.
    pub(crate) path: Path,
    /// True if it ended in a slash. If not, it is a file if there is one, or else a folder.
    pub(crate) is_folder: bool,
}

impl SourceLocation {
    /// Resolves the `LOCATION` of a declaration: an absolute URL, an absolute path of this machine,
    /// or a path under `base`.
    ///
    /// `base` is a folder, with or without a slash at its end.
    ///
    /// # Errors
    /// [`Error::invalid`], without file and line, if it is not a URL or has a user name or password in
    /// it, is a relative path without `base`, or has `..` or empty parts.
    pub(crate) fn resolve(location: &str, base: Option<&Url>) -> Result<Self> {
        let is_folder = location.ends_with('/');
        if location.contains("://") {
            let url =
                Url::parse(location).map_err(|error| unusable(location).with_source(error))?;
            return Self::of_url(&url, is_folder);
        }
        if location.starts_with('/') {
            let url = Url::from_file_path(location).map_err(|()| unusable(location))?;
            return Self::of_url(&url, is_folder);
        }
        let Some(base) = base else {
            return Err(Error::invalid(format!(
                "LOCATION `{location}` is relative and there is nothing to resolve it under"
            ))
            .with_hint("give `--from` (or DAYPORT_FROM), or write an absolute LOCATION"));
        };
        let relative = location.strip_prefix("./").unwrap_or(location);
        let below = Path::parse(relative.trim_end_matches('/'))
            .map_err(|error| unusable(location).with_source(error))?;
        let base = Self::of_url(base, true)?;
        Ok(Self {
            path: base.path.parts().chain(below.parts()).collect(),
            store: base.store,
            is_folder: is_folder || below.as_ref().is_empty(),
        })
    }

    /// Returns true if the folder of `url` is this folder or below it.
    pub(crate) fn contains(&self, url: &Url) -> bool {
        Self::of_url(url, true).is_ok_and(|folder| {
            folder.store == self.store && folder.path.prefix_matches(&self.path)
        })
    }

    fn of_url(url: &Url, is_folder: bool) -> Result<Self> {
        if !url.username().is_empty() || url.password().is_some() {
            let hint = "credentials come from the environment, a profile or a role";
            return Err(unusable(url.as_str()).with_hint(hint));
        }
        if url.scheme() != "file" && url.host_str().is_none_or(str::is_empty) {
            let hint = "a URL names a bucket: s3://bucket/folder/";
            return Err(unusable(url.as_str()).with_hint(hint));
        }
        let store = ObjectStoreUrl::parse(&url[..Position::BeforePath])
            .map_err(|error| unusable(url.as_str()).with_source(error))?;
        let path = match url.scheme() {
            "file" => path_of_url(url),
            _ => Path::from_url_path(url.path())
                .map_err(|error| unusable(url.as_str()).with_source(error))?,
        };
        Ok(Self {
            store,
            path,
            is_folder,
        })
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.is_folder && !self.path.as_ref().is_empty() {
            "/"
        } else {
            ""
        };
        write!(f, "{}{slash}", key_url(&self.store, &self.path))
    }
}

/// Returns the URL of a key, not percent-encoded, as it is reported and digested:
/// `s3://bucket/raw/a.json`.
pub(crate) fn key_url(store: &ObjectStoreUrl, path: &Path) -> String {
    format!("{}{}", store.as_str(), shown(path.as_ref()))
}

fn unusable(location: &str) -> Error {
    let shown = shown_url(location);
    Error::invalid(format!("LOCATION `{shown}` is not usable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_contains_itself_and_what_is_below() {
        let contains = |location: &str, url: &str| {
            let base = Url::parse("s3://raw/org/").unwrap();
            let location = SourceLocation::resolve(location, Some(&base)).unwrap();
            location.contains(&Url::parse(url).unwrap())
        };
        for (location, url) in [
            ("events/", "s3://raw/org/events"),
            ("events", "s3://raw/org/events/out/"),
            ("./", "s3://raw/org/out/"),
            ("s3://bucket/", "s3://bucket/out/"),
            ("/raw/a b/", "file:///raw/a%20b/out/"),
        ] {
            assert!(contains(location, url), "{location} {url}");
        }
        for (location, url) in [
            ("events/", "s3://raw/org/events-out/"),
            ("events/", "s3://raw/org/"),
            ("events/", "s3://other/org/events/"),
            ("/raw/", "s3://raw/"),
        ] {
            assert!(!contains(location, url), "{location} {url}");
        }
    }

    fn resolved(location: &str, base: &str) -> String {
        let base = Url::parse(base).unwrap();
        SourceLocation::resolve(location, Some(&base))
            .unwrap()
            .to_string()
    }

    #[test]
    fn relative_locations_lie_under_the_base() {
        assert_eq!(resolved("events/", "s3://raw/org"), "s3://raw/org/events/");
        assert_eq!(
            resolved("./events/", "s3://raw/org/"),
            "s3://raw/org/events/"
        );
        assert_eq!(
            resolved("a/b.json", "file:///srv/raw/"),
            "file:///srv/raw/a/b.json"
        );
        assert_eq!(resolved("./", "s3://raw"), "s3://raw/");
        assert_eq!(
            resolved("x/", "file:///srv/my%09raw/"),
            "file:///srv/my\traw/x/"
        );
        assert_eq!(
            resolved("my data/", "file:///srv/my%20raw/"),
            "file:///srv/my raw/my data/"
        );
    }

    #[test]
    fn absolute_locations_stand_for_themselves() {
        assert_eq!(resolved("s3://other/x/", "s3://raw/"), "s3://other/x/");
        assert_eq!(resolved("/srv/x.json", "s3://raw/"), "file:///srv/x.json");
        let folder = SourceLocation::resolve("/srv/x/", None).unwrap();
        assert!(folder.is_folder);
        assert_eq!(folder.path.as_ref(), "srv/x");
    }

    #[test]
    fn unusable_locations_are_named() {
        let base = Url::parse("s3://raw/").unwrap();
        for wrong in ["../x/", "a//b/", "s3://", "://x"] {
            let error = SourceLocation::resolve(wrong, Some(&base)).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
        let error = SourceLocation::resolve("events/", None).unwrap_err();
        assert!(error.hint().unwrap().contains("--from"));
    }
}
