//! The folder of spill files, which leaves nothing behind: not even a run that is killed.
//!
//! ```text
//! <parent>/dayport-<id>/.dayport-lock   locked as long as the process lives, by whatever it ends
//!                       …               spill files
//! ```
//! The next run below the same parent removes the folders whose locks are free, and empty ones of this name:
//! a run can be killed before it makes its lock file. A folder with files and without a lock file, or of
//! another name, is not one of these and stays.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::error::{Error, Result};

/// The prefix of the names of spill folders.
const PREFIX: &str = "dayport-";

/// The name of the lock file in a spill folder.
const LOCK: &str = ".dayport-lock";

/// The maximum number of names that are tried for a folder.
const MAX_ATTEMPTS: usize = 16;

/// A folder for spill files, which is removed with everything in it when it is dropped.
#[derive(Debug)]
pub struct SpillFolder {
    path: PathBuf,
    /// Locked until it is closed.
    lock: File,
}

impl SpillFolder {
    /// Creates a folder for `id` below `parent`, which is created if it does not exist, and removes the
    /// folders there of runs that were killed.
    ///
    /// # Errors
    /// [`Error::invalid`] if the folder cannot be created.
    pub fn create(parent: &Path, id: &str) -> Result<Self> {
        let cannot_use = |error| {
            let parent = parent.display();
            Error::invalid(format!("cannot keep spill files in `{parent}`"))
                .with_source(error)
                .with_hint("name another folder with --spill-dir")
        };
        fs::create_dir_all(parent).map_err(cannot_use)?;
        sweep(parent);
        for attempt in 0..MAX_ATTEMPTS {
            let name = match attempt {
                0 => format!("{PREFIX}{id}"),
                again => format!("{PREFIX}{id}-{again}"),
            };
            if let Some(folder) = Self::try_create(parent.join(name)).map_err(cannot_use)? {
                return Ok(folder);
            }
        }
        Err(cannot_use(io::ErrorKind::AlreadyExists.into()))
    }

    /// Creates and locks a folder. Returns `None` if it exists, or if another run has taken it for one that
    /// was left behind, before it was locked.
    fn try_create(path: PathBuf) -> io::Result<Option<Self>> {
        // Rows of the sources are in it: for nobody else.
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            created => created?,
        }
        let lock_path = path.join(LOCK);
        let lock = match File::create_new(&lock_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            created => created?,
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        Ok(lock_path.try_exists()?.then_some(Self { path, lock }))
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the next run, once the lock is free.
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.lock.unlock();
    }
}

/// Removes the spill folders below `parent` whose lock is free.
fn sweep(parent: &Path) {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) => {
            warn!(folder = %parent.display(), %error, "cannot look for spill files of earlier runs");
            return;
        }
    };
    for entry in entries.flatten() {
        let is_named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // A symbolic link is no folder here.
        if !is_named || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        // Only an empty folder can be removed like this. A run that has just made it takes another name.
        if fs::remove_dir(&path).is_ok() {
            continue;
        }
        let Some(lock) = free_lock(&path.join(LOCK)) else {
            continue;
        };
        match fs::remove_dir_all(&path) {
            Ok(()) => {
                info!(folder = %path.display(), "removed spill files of a run that was killed")
            }
            Err(error) => {
                warn!(folder = %path.display(), %error, "cannot remove spill files of a run that was killed");
            }
        }
        drop(lock);
    }
}

/// Returns the lock file, locked, if it exists and nobody else holds its lock. The files of other users
/// cannot be opened, and stay.
fn free_lock(path: &Path) -> Option<File> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let lock = File::options().read(true).write(true).open(path).ok()?;
    lock.try_lock().ok().map(|()| lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let entries = fs::read_dir(parent).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    /// Leaves a folder as a process does that is killed: its lock is free, and nothing is removed.
    fn leave(parent: &Path, id: &str) {
        let mut folder = SpillFolder::create(parent, id).unwrap();
        fs::write(folder.path().join("spilled"), "rows").unwrap();
        folder.path = parent.join("elsewhere");
    }

    #[test]
    fn a_folder_is_gone_with_its_run() {
        let parent = tempfile::tempdir().unwrap();
        let folder = SpillFolder::create(&parent.path().join("a/b"), "run").unwrap();
        fs::write(folder.path().join("spilled"), "rows").unwrap();
        drop(folder);
        assert!(names(&parent.path().join("a/b")).is_empty());
    }

    #[test]
    fn the_next_run_removes_what_a_killed_one_left() {
        let parent = tempfile::tempdir().unwrap();
        leave(parent.path(), "killed");
        assert_eq!(names(parent.path()), ["dayport-killed"]);
        let _folder = SpillFolder::create(parent.path(), "next").unwrap();
        assert_eq!(names(parent.path()), ["dayport-next"]);
    }

    #[test]
    fn a_folder_whose_lock_is_held_stays() {
        let parent = tempfile::tempdir().unwrap();
        let first = SpillFolder::create(parent.path(), "first").unwrap();
        fs::write(first.path().join("spilled"), "rows").unwrap();
        let second = SpillFolder::create(parent.path(), "second").unwrap();
        assert_eq!(names(parent.path()), ["dayport-first", "dayport-second"]);
        assert_eq!(names(first.path()), [LOCK, "spilled"]);
        drop(second);
        assert_eq!(names(parent.path()), ["dayport-first"]);
    }

    #[test]
    fn what_is_not_a_spill_folder_stays() {
        let parent = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        leave(elsewhere.path(), "x");
        let link = parent.path().join("dayport-link");
        std::os::unix::fs::symlink(elsewhere.path().join("dayport-x"), link).unwrap();
        for folder in ["dayport-without-lock", "other"] {
            fs::create_dir(parent.path().join(folder)).unwrap();
        }
        fs::write(parent.path().join("dayport-without-lock/file"), "").unwrap();
        fs::write(parent.path().join("other").join(LOCK), "").unwrap();
        fs::write(parent.path().join("dayport-file"), "").unwrap();
        drop(SpillFolder::create(parent.path(), "run").unwrap());
        let expected = [
            "dayport-file",
            "dayport-link",
            "dayport-without-lock",
            "other",
        ];
        assert_eq!(names(parent.path()), expected);
        assert_eq!(names(elsewhere.path()), ["dayport-x"]);
    }

    #[test]
    fn a_run_that_was_killed_before_it_made_its_lock_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("dayport-killed")).unwrap();
        fs::create_dir(parent.path().join("other")).unwrap();
        let _folder = SpillFolder::create(parent.path(), "next").unwrap();
        assert_eq!(names(parent.path()), ["dayport-next", "other"]);
    }

    #[test]
    fn two_runs_with_one_id_have_a_folder_each() {
        let parent = tempfile::tempdir().unwrap();
        let first = SpillFolder::create(parent.path(), "same").unwrap();
        let second = SpillFolder::create(parent.path(), "same").unwrap();
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn a_parent_that_is_a_file_is_refused() {
        let parent = tempfile::NamedTempFile::new().unwrap();
        let error = SpillFolder::create(parent.path(), "run").unwrap_err();
        assert!(
            error.to_string().contains("cannot keep spill files"),
            "{error}"
        );
    }
}
