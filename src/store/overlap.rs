//! The question whether two folders overlap, so that what is written to one appears in the other.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path as FilePath, PathBuf};

use object_store::path::Path;

use crate::store::escaped_path::unescaped;

/// Returns true if one of two folders of a store is the other one or inside of it. `store_url` is that of
/// the store, such as `s3://bucket/`. On disks, links are followed.
pub(super) fn overlap(store_url: &str, one: &Path, other: &Path) -> bool {
    if !store_url.starts_with("file:") {
        return one.prefix_matches(other) || other.prefix_matches(one);
    }
    let (one, other) = (real_path(one), real_path(other));
    one.starts_with(&other) || other.starts_with(&one)
}

/// Returns the path that a key of the file system leads to. What does not exist yet has no links.
fn real_path(key: &Path) -> PathBuf {
    let name = unescaped(key.as_ref());
    let path = FilePath::new("/").join(OsStr::from_bytes(&name));
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(below)) = (fs::canonicalize(ancestor), path.strip_prefix(ancestor)) {
            return real.join(below);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn prefixes_overlap_by_whole_segments() {
        let overlap = |one: &str, other: &str| {
            let forth = overlap("s3://b/", &Path::from(one), &Path::from(other));
            assert_eq!(
                forth,
                overlap("s3://b/", &Path::from(other), &Path::from(one))
            );
            forth
        };
        assert!(overlap("a/b", "a/b") && overlap("a/b/c", "a/b") && overlap("a", ""));
        assert!(!overlap("a/bc", "a/b") && !overlap("a/c", "a/b"));
    }

    #[test]
    fn links_of_folders_are_followed_also_above_a_missing_one() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("raw")).unwrap();
        symlink(root.path().join("raw"), root.path().join("link")).unwrap();
        let key = |name: &str| Path::parse(root.path().join(name).to_str().unwrap()).unwrap();
        let overlap = |one: &str, other: &str| overlap("file:///", &key(one), &key(other));
        assert!(overlap("link/new/folder", "raw") && overlap("raw", "link"));
        assert!(!overlap("link2/new", "raw") && !overlap("rejects", "raw"));
    }
}
