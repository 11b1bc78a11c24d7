//! Opens folders of this machine, and manages the staging folders in them.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::SystemTime;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::layout;
use crate::store::Location;
use crate::store::staging::{OpenedStore, Staging};

/// Opens the whole file system, for reading.
pub(super) fn open_source() -> Arc<dyn ObjectStore> {
    Arc::new(LocalFileSystem::new())
}

/// Opens a folder as a destination. Creates it if it is missing.
pub(super) fn open_destination(location: &Location, root: &FilePath) -> Result<OpenedStore> {
    std::fs::create_dir_all(root).map_err(|error| unusable(location, error))?;
    let store = LocalFileSystem::new_with_prefix(root)
        .map_err(|error| unusable(location, error))?
        .with_automatic_cleanup(true);
    Ok(OpenedStore {
        prefix: Path::default(),
        store: Arc::new(store),
        staging: Staging::Rename {
            root: root.to_owned(),
        },
    })
}

/// Opens a missing folder, without creating it, as an empty destination.
pub(super) fn open_missing(location: &Location, root: &FilePath) -> Result<OpenedStore> {
    let prefix = Path::from_absolute_path(root).map_err(|error| unusable(location, error))?;
    Ok(OpenedStore {
        prefix,
        store: open_source(),
        staging: Staging::Rename {
            root: root.to_owned(),
        },
    })
}

fn unusable(
    location: &Location,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::invalid(format!("cannot use `{location}` as a destination")).with_source(cause)
}

/// Removes the staging folders below `root` that were last modified before `before`. Best effort:
/// leftovers are harmless.
pub(super) fn sweep_staging(root: &FilePath, before: SystemTime) {
    let stagings = root.join(layout::stagings_folder().as_ref());
    for folder in std::fs::read_dir(stagings).into_iter().flatten().flatten() {
        let modified = folder.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| modified < before) {
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

/// Removes the folder of one staging session below `root`. Best effort: leftovers are harmless.
pub(super) fn discard_staging(root: &FilePath, staging: &str) {
    let folder = layout::staging_folder(staging);
    let _ = std::fs::remove_dir_all(root.join(folder.as_ref()));
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_old_staging_folders_are_swept() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| root.path().join(layout::staging_folder(name).as_ref());
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (name, modified) in [("old", noon - Duration::from_secs(1)), ("new", noon)] {
            fs::create_dir_all(folder(name)).unwrap();
            fs::write(folder(name).join("000000000000"), "rows").unwrap();
            let opened = File::open(folder(name)).unwrap();
            opened.set_modified(modified).unwrap();
        }
        sweep_staging(root.path(), noon);
        assert!(!folder("old").exists());
        assert!(folder("new").join("000000000000").exists());
    }
}
