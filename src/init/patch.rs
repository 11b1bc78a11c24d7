//! Writes files that do not exist, and makes patches of those that do.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use similar::TextDiff;

use crate::error::{Error, Result};

/// A file to write, with its path below the folder of the definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The outcome of writing a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    New,
    /// It has the same text already.
    Unchanged,
    /// It has another text, which stays: a unified patch.
    Differs(String),
}

/// Writes a file if it does not exist. A file that exists is never changed.
///
/// # Errors
/// [`Error::invalid`] if a folder or the file cannot be written, or an existing one cannot be read.
pub(crate) fn write_new(folder: &Path, file: &NewFile) -> Result<Written> {
    let path = folder.join(&file.path);
    let fault = |error: std::io::Error| {
        Error::invalid(format!("cannot write `{}`", path.display())).with_source(error)
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(fault)?;
    }
    let created = OpenOptions::new().write(true).create_new(true).open(&path);
    match created {
        Ok(mut created) => {
            created.write_all(file.text.as_bytes()).map_err(fault)?;
            Ok(Written::New)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => compared(&path, file),
        Err(error) => Err(fault(error)),
    }
}

/// Compares a file that exists with what would be written, and writes nothing.
fn compared(path: &Path, file: &NewFile) -> Result<Written> {
    let shown = path.display().to_string();
    let present = fs::read(path)
        .map_err(|error| Error::invalid(format!("cannot read `{shown}`")).with_source(error))?;
    let present = String::from_utf8_lossy(&present);
    if present == file.text {
        return Ok(Written::Unchanged);
    }
    Ok(Written::Differs(patch(
        &shown, &shown, &present, &file.text,
    )))
}

/// Makes a unified patch, which `patch -p0` applies.
pub(crate) fn patch(old_name: &str, new_name: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff().header(old_name, new_name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |text: &str| NewFile {
            path: "sources/a.sql".to_owned(),
            text: text.to_owned(),
        };
        let write = |text: &str| write_new(folder.path(), &file(text)).unwrap();
        assert_eq!(write("a\nb\n"), Written::New);
        assert_eq!(write("a\nb\n"), Written::Unchanged);
        let Written::Differs(patch) = write("a\nc\n") else {
            panic!("no patch");
        };
        let (names, hunk) = patch.split_once("@@").unwrap();
        assert_eq!(names.matches("sources/a.sql").count(), 2);
        assert_eq!(hunk, " -1,2 +1,2 @@\n a\n-b\n+c\n");
        let path = folder.path().join("sources/a.sql");
        assert_eq!(fs::read_to_string(path).unwrap(), "a\nb\n");
    }
}
