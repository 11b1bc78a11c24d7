//! Opens folders of this machine, and manages the staging folders in them.

use std::fs::{self, DirEntry};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::SystemTime;

use object_store::ObjectStore;
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::layout;
use crate::store::links::leads_out;
use crate::store::local_files::LocalFiles;
use crate::store::staging::{OpenedStore, Staging};
use crate::store::{Location, path_of_url};

/// Opens the whole file system, for reading.
pub(super) fn open_source() -> Arc<dyn ObjectStore> {
    Arc::new(LocalFiles::of_machine())
}

/// Opens a folder as a destination. Creates it if it is missing.
pub(super) fn open_destination(location: &Location, root: &FilePath) -> Result<OpenedStore> {
    fs::create_dir_all(root).map_err(|error| unusable(location, error))?;
    let store = LocalFiles::of_folder(root).map_err(|error| unusable(location, error))?;
    Ok(OpenedStore {
        prefix: Path::default(),
        store: Arc::new(store),
        uploads: None,
        staging: Staging::Rename {
            root: root.to_owned(),
        },
    })
}

/// Opens a missing folder, without creating it, as an empty destination.
pub(super) fn open_missing(location: &Location, root: &FilePath) -> OpenedStore {
    OpenedStore {
        prefix: path_of_url(location.url()),
        store: open_source(),
        uploads: None,
        staging: Staging::Rename {
            root: root.to_owned(),
        },
    }
}

fn unusable(
    location: &Location,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::invalid(format!("cannot use `{location}` as a destination")).with_source(cause)
}

/// Removes what killed runs left below `root`, if it was last modified before `before`: staging folders,
/// and the temporary files of writes that never ended. Best effort: leftovers are harmless.
pub(super) fn sweep(root: &FilePath, before: SystemTime) {
    for folder in entries(root, &layout::stagings_folder()) {
        if is_old(&folder, before) {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
    let records = [
        layout::logs_folder(),
        layout::manifests_folder(),
        layout::schemas_folder(),
    ];
    for folder in records {
        for table in entries(root, &folder) {
            let name = table.file_name();
            let Some(name) = name.to_str().filter(|_| is_folder(&table)) else {
                continue;
            };
            sweep_temporary_files(root, &folder.clone().join(name), before);
        }
    }
    for folder in [Path::default(), layout::cycles_folder()] {
        sweep_temporary_files(root, &folder, before);
    }
}

/// Removes the old temporary files of writes of records in one folder. `object_store` writes the record
/// `a.json` as `a.json#1` first.
fn sweep_temporary_files(root: &FilePath, folder: &Path, before: SystemTime) {
    for file in entries(root, folder) {
        let name = file.file_name();
        let Some((record, number)) = name.to_str().and_then(|name| name.rsplit_once('#')) else {
            continue;
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_temporary = is_number && layout::is_record(&folder.clone().join(record));
        if is_temporary && is_old(&file, before) && !is_folder(&file) {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// Returns the entries of a folder below `root`; none through a link that leads out of it.
fn entries(root: &FilePath, folder: &Path) -> impl Iterator<Item = DirEntry> {
    let path = root.join(folder.as_ref());
    let is_inside = !leads_out(root, &path.join("entry"));
    let listed = is_inside.then(|| fs::read_dir(path)).into_iter().flatten();
    listed.flatten().flatten()
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn is_old(entry: &DirEntry, before: SystemTime) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified < before)
}

/// Removes the folder of one staging session below `root`. Best effort: leftovers are harmless.
pub(super) fn discard_staging(root: &FilePath, staging: &str) {
    let folder = root.join(layout::staging_folder(staging).as_ref());
    if !leads_out(root, &folder) {
        let _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;
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
        sweep(root.path(), noon);
        assert!(!folder("old").exists());
        assert!(folder("new").join("000000000000").exists());
    }

    /// Writes a file of 1970.
    fn write_old(path: &FilePath) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{").unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::open(path).unwrap().set_modified(old).unwrap();
    }

    #[test]
    fn only_old_temporary_files_of_records_are_swept() {
        let root = tempfile::tempdir().unwrap();
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let swept = [
            "_dayport/log/t/00000000000000000001.json#1",
            "manifests/t/2026-01-15.r0.json#1",
            "manifests/t/2026-01-15.r0.json#12",
            "schema/t/v1.json#1",
        ];
        let kept = [
            "_dayport/log/t/00000000000000000001.json",
            "manifests/t/2026-01-15.r0.json",
            "manifests/t/2026-01-15.r0.json#",
            "manifests/t/2026-01-15.r0.json#1x",
            "manifests/t/notes.json#1",
            "manifests/t/x/2026-01-15.r0.json#1",
            "manifests/2026-01-15.r0.json#1",
            "schema/t/v01.json#1",
            "data/t/data-000000000000.parquet#1",
        ];
        for key in swept.iter().chain(&kept) {
            write_old(&root.path().join(key));
        }
        let young = root.path().join("manifests/t/2026-01-16.r0.json#1");
        fs::write(&young, "{").unwrap();
        sweep(root.path(), noon);
        for key in swept {
            assert!(!root.path().join(key).exists(), "{key}");
        }
        for key in kept {
            assert!(root.path().join(key).exists(), "{key}");
        }
        assert!(young.exists());
    }

    #[test]
    fn nothing_is_swept_through_a_link_out_of_the_destination() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let staged = other.path().join("staging/run/000000000000");
        let record = other.path().join("t/2026-01-15.r0.json#1");
        write_old(&staged);
        write_old(&record);
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let folder = File::open(staged.parent().unwrap()).unwrap();
        folder.set_modified(old).unwrap();
        for (link, target) in [
            ("_dayport/staging", "staging"),
            ("manifests", ""),
            ("schema/t", "t"),
        ] {
            let link = root.path().join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(other.path().join(target), link).unwrap();
        }
        sweep(root.path(), noon);
        discard_staging(root.path(), "run");
        assert!(staged.exists());
        assert!(record.exists());
    }
}
