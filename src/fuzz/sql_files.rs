//! Files that people write: any text is taken, or refused with the line that is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cases::parse_settings;
use crate::catalog::Sources;
use crate::definition::Definition;
use crate::error::Error;

/// The maximum length of a text, in bytes: nobody writes longer ones, and the parser takes its time.
const MAX_TEXT: usize = 4096;

fn text(data: &[u8]) -> Option<&str> {
    str::from_utf8(data)
        .ok()
        .filter(|text| text.len() <= MAX_TEXT)
}

fn check_error(file: &str, error: &Error) {
    let text = error.to_string();
    let rest = text
        .strip_prefix(file)
        .and_then(|rest| rest.strip_prefix(':'));
    let line: String = rest
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    assert!(!line.is_empty(), "no line in {text:?}");
}

pub(super) fn definitions(data: &[u8]) {
    let Some(text) = text(data) else {
        return;
    };
    if let Err(error) = Definition::parse("t.sql", text) {
        check_error("t.sql", &error);
    }
}

pub(super) fn sources(data: &[u8]) {
    if data.len() > MAX_TEXT {
        return;
    }
    let files = BTreeMap::from([(PathBuf::from("events.sql"), data.to_vec())]);
    if let Err(error) = Sources::parse_all(&files, Path::to_owned) {
        check_error("events.sql", &error);
    }
}

pub(super) fn case_settings(data: &[u8]) {
    let Some(text) = text(data) else {
        return;
    };
    if let Err(error) = parse_settings("case.toml", text) {
        check_error("case.toml", &error);
    }
}
