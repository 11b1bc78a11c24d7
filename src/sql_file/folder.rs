//! The SQL files of a folder, and complaints about files that look like ones and are not read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads every `*.sql` of a folder in the order of their names, and parses each with `parse`.
///
/// Hidden files and folders are skipped. A folder without such files gives no items. `sub_folders` are
/// the names of the sub-folders that may have SQL files, which others read.
///
/// # Errors
/// The error that `unreadable` makes for a folder that cannot be read; or else the complaints about all
/// files together: those of `parse`, and those about files that are not read.
pub(crate) fn parse_folder<T>(
    folder: &Path,
    sub_folders: &[&str],
    unreadable: impl Fn(io::Error) -> Error,
    parse: impl Fn(&Path, String) -> Result<T>,
) -> Result<Vec<T>> {
    let (mut items, mut complaints) = (Vec::new(), Vec::new());
    for path in visible_entries(folder).map_err(unreadable)? {
        let extension = path.extension().unwrap_or_default();
        let parsed = if extension == "sql" {
            read(&path).and_then(|text| parse(&path, text)).map(Some)
        } else if extension.eq_ignore_ascii_case("sql") {
            Err(misnamed(&path))
        } else if path.is_dir() && !is_one_of(&path, sub_folders) {
            refuse_sql_files_in(&path).map(|()| None)
        } else {
            Ok(None)
        };
        match parsed {
            Ok(item) => items.extend(item),
            Err(complaint) => complaints.push(complaint),
        }
    }
    Error::all(complaints)?;
    Ok(items)
}

fn is_one_of(folder: &Path, names: &[&str]) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| names.contains(&name))
}

/// Parses the SQL files among `files`, which are not on a disk: each with its path below the folder of
/// definitions, in order. `shown` makes the name of a path in messages. The rules for the names are those
/// of [`parse_folder`], and `sub_folders` are the folders below that are left to others.
///
/// # Errors
/// The complaints about all files together.
pub(crate) fn parse_files<T>(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    sub_folders: &[&str],
    shown: impl Fn(&Path) -> PathBuf,
    parse: impl Fn(&Path, String) -> Result<T>,
) -> Result<Vec<T>> {
    let (mut items, mut complaints) = (Vec::new(), Vec::new());
    for (path, bytes) in files {
        let names: Vec<&str> = path.iter().filter_map(|name| name.to_str()).collect();
        let extension = path.extension().unwrap_or_default();
        let is_left_out = names.iter().any(|name| name.starts_with('.'))
            || !extension.eq_ignore_ascii_case("sql")
            || (names.len() > 1 && names.first().is_some_and(|name| sub_folders.contains(name)));
        if is_left_out {
            continue;
        }
        let name = shown(path);
        let parsed = if names.len() > 1 {
            Err(unread(&name, &shown(path.parent().unwrap_or(path))))
        } else if extension == "sql" {
            text_of(&name, bytes.clone()).and_then(|text| parse(&name, text))
        } else {
            Err(misnamed(&name))
        };
        match parsed {
            Ok(item) => items.push(item),
            Err(complaint) => complaints.push(complaint),
        }
    }
    Error::all(complaints)?;
    Ok(items)
}

/// Returns the entries of a folder that are not hidden, sorted.
fn visible_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads a file as text, without a byte order mark.
fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| {
        Error::invalid(format!("cannot read `{}`", path.display())).with_source(error)
    })?;
    text_of(path, bytes)
}

/// Returns the bytes of a file as text, without a byte order mark.
fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        not_utf8(path, error.as_bytes(), valid)
    })?;
    Ok(match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The complaint about a file whose byte at `at` is not UTF-8.
fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Error {
    let path = path.display();
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Error::invalid(format!("{path}:1: the file is UTF-16, not UTF-8"))
            .with_hint("save the file as UTF-8");
    }
    let before = bytes.get(..at).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let in_line = before.iter().rev().take_while(|byte| **byte != b'\n');
    let column = in_line.count() + 1;
    let byte = bytes.get(at).copied().unwrap_or_default();
    Error::invalid(format!(
        "{path}:{line}: the byte 0x{byte:02x} at position {column} of the line, {at} bytes into the file, \
         is not UTF-8"
    ))
    .with_hint("save the file as UTF-8")
}

fn misnamed(path: &Path) -> Error {
    let path_shown = path.display();
    let renamed = path.with_extension("sql");
    Error::invalid(format!(
        "`{path_shown}` is not read: its name does not end in `.sql`"
    ))
    .with_hint(format!("rename it to `{}`", renamed.display()))
}

/// Refuses a folder that is not read, if there are SQL files in it.
fn refuse_sql_files_in(folder: &Path) -> Result<()> {
    match find_sql_file(folder) {
        Some(file) => Err(unread(&file, folder)),
        None => Ok(()),
    }
}

/// The complaint about an SQL file in a folder that is not read.
fn unread(file: &Path, folder: &Path) -> Error {
    Error::invalid(format!(
        "`{}` is not read: `{}` is not a folder of definitions or sources",
        file.display(),
        folder.display()
    ))
    .with_hint(
        "move definitions to the folder itself and sources to its `sources`, or hide what is not to be \
         read: begin its name with a dot",
    )
}

/// Returns an SQL file below a folder. What cannot be read, and links to folders, are left out.
fn find_sql_file(folder: &Path) -> Option<PathBuf> {
    let mut paths = visible_entries(folder).unwrap_or_default().into_iter();
    paths.find_map(|path| match path.is_dir() {
        true if path.is_symlink() => None,
        true => find_sql_file(&path),
        false => {
            let extension = path.extension().unwrap_or_default();
            extension.eq_ignore_ascii_case("sql").then_some(path)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(files: &[(&str, &[u8])]) -> Result<Vec<(String, String)>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let unreadable = |error| Error::invalid("unreadable").with_source(error);
        parse_folder(folder.path(), &["sources"], unreadable, |path, text| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Ok((name, text))
        })
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let items = parsed(&[("a.sql", b"\xef\xbb\xbfSELECT"), ("b.sql", b"B")]).unwrap();
        let owned = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(items, [owned("a.sql", "SELECT"), owned("b.sql", "B")]);
    }

    #[test]
    fn what_is_not_utf8_is_named_with_its_position() {
        let complaint = parsed(&[("a.sql", b"-- \xc3\xbc\n-- caf\xe9\n")]);
        let complaint = complaint.unwrap_err().render();
        assert!(
            complaint.contains("a.sql:2: the byte 0xe9 at position 7 of the line, 12 bytes"),
            "{complaint}"
        );
        let utf16 = parsed(&[("a.sql", b"\xff\xfeS\0E\0")]).unwrap_err();
        assert!(
            utf16.render().contains("a.sql:1: the file is UTF-16"),
            "{utf16}"
        );
    }

    #[test]
    fn files_that_are_not_read_are_told() {
        for unread in [
            "T.SQL",
            "t.Sql",
            "old/t.sql",
            "old/er/T.SQL",
            "Sources/a.sql",
        ] {
            let complaint = parsed(&[("a.sql", b""), (unread, b"")]).unwrap_err();
            let name = Path::new(unread).file_name().unwrap().to_string_lossy();
            assert!(
                complaint.render().contains(&*name),
                "{}",
                complaint.render()
            );
        }
        let others = [
            "notes.md",
            ".t.SQL",
            ".old/t.sql",
            "sources/a.sql",
            "docs/a.md",
            "sql",
        ];
        for other in others {
            assert_eq!(
                parsed(&[("a.sql", b""), (other, b"")]).unwrap().len(),
                1,
                "{other}"
            );
        }
    }
}
