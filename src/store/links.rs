//! Links in a local destination that lead out of it: nothing is written or removed through them.

use std::fs;
use std::path::Path as FilePath;

/// Returns true if a folder on the way from the folder `root` to `path` below it is a link that leads
/// out of `root`, or to nothing. What `path` itself is does not matter.
pub(super) fn leads_out(root: &FilePath, path: &FilePath) -> bool {
    let Ok(below) = path.strip_prefix(root) else {
        return true;
    };
    let mut folder = root.to_owned();
    for name in below.parent().into_iter().flatten() {
        folder.push(name);
        match fs::symlink_metadata(&folder) {
            Ok(metadata) if metadata.is_symlink() && !is_below(root, &folder) => return true,
            Ok(_) => {}
            // Nothing is below what does not exist.
            Err(_) => return false,
        }
    }
    false
}

fn is_below(root: &FilePath, link: &FilePath) -> bool {
    match (fs::canonicalize(root), fs::canonicalize(link)) {
        (Ok(root), Ok(target)) => target.starts_with(root),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_links_out_of_the_root_lead_out() {
        let (outer, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(outer.path().join("real/a/b")).unwrap();
        let root = outer.path().join("root");
        symlink(outer.path().join("real"), &root).unwrap();
        symlink(other.path(), root.join("out")).unwrap();
        symlink("/nowhere", root.join("broken")).unwrap();
        symlink("a/b", root.join("within")).unwrap();
        symlink("../..", root.join("a/up")).unwrap();
        let leads_out = |path: &str| leads_out(&root, &root.join(path));
        for path in [
            "out/x",
            "out/b/x",
            "broken/x",
            "within/../../out/x",
            "a/up/x",
        ] {
            assert!(leads_out(path), "{path}");
        }
        for path in ["x", "out", "broken", "a/b/x", "within/x", "new/b/x"] {
            assert!(!leads_out(path), "{path}");
        }
    }
}
