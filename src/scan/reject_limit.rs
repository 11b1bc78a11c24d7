//! The limit of malformed lines, decided for one source: its lines, their bytes, and its files.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::jsonl::TextShape;
use crate::scan::file_rejects::FileRejects;
use crate::scan::rejects::MaxRejects;
use crate::scan::scan_log::SourceScan;

/// Checks what was rejected of a source.
///
/// # Errors
/// [`Error::data`] if a file has no good line, or too many lines or bytes of the source are malformed.
pub(crate) fn check_rejects(source: &SourceScan, max_rejects: MaxRejects) -> Result<()> {
    if max_rejects.allows_all() {
        return Ok(());
    }
    check_files(source)?;
    let (rejected, read) = (source.rows_rejected, source.rows_read);
    let (rejected_bytes, text_bytes) = (source.bytes_rejected, source.text_bytes);
    let too_many = if !max_rejects.allows(rejected, read) {
        format!("{rejected} of {} lines", rejected + read)
    } else if !max_rejects.allows_bytes(rejected_bytes, text_bytes) {
        format!(
            "{rejected_bytes} of {text_bytes} bytes ({rejected} of {} lines)",
            rejected + read
        )
    } else {
        return Ok(());
    };
    let example = source.rejects.first()?.map_or_else(String::new, |first| {
        format!(
            "; the first is `{}` {}: {}",
            first.file,
            first.position(),
            first.reason
        )
    });
    let (worst, hint) = match worst_file(source) {
        Some((file, shape)) => (
            format!("; `{file}` looks like {shape}"),
            format!("{}, or raise --max-rejects", shape.hint()),
        ),
        None => (
            String::new(),
            "fix the source or its declaration, or raise --max-rejects".to_owned(),
        ),
    };
    Err(Error::data(format!(
        "{too_many} of the source `{}` are malformed, more than --max-rejects {max_rejects}{example}{worst}",
        source.name,
    ))
    .with_hint(hint))
}

/// Checks what was rejected of a source that was not read to its end: of how many lines that is a
/// percentage is not known.
///
/// # Errors
/// [`Error::data`] if a file has no good line, or more lines are malformed than a number allows.
pub(crate) fn check_rejects_so_far(source: &SourceScan, max_rejects: MaxRejects) -> Result<()> {
    match max_rejects {
        MaxRejects::Lines(_) => check_rejects(source, max_rejects),
        MaxRejects::Percent(_) if max_rejects.allows_all() => Ok(()),
        MaxRejects::Percent(_) => check_files(source),
    }
}

/// Returns the file with the most rejected bytes, and its shape, if it has one.
fn worst_file(source: &SourceScan) -> Option<(String, TextShape)> {
    let by_file = source.rejects.by_file().into_iter();
    let (file, rejects) = by_file.max_by_key(|(_, rejects)| rejects.bytes)?;
    Some((file, rejects.shape?))
}

/// Checks that each file of documents was read to its end.
fn check_whole(source: &SourceScan, by_file: &BTreeMap<String, FileRejects>) -> Result<()> {
    let mut broken = by_file
        .iter()
        .filter_map(|(file, rejects)| Some((file, rejects.broken.as_ref()?)));
    let Some((file, reason)) = broken.next() else {
        return Ok(());
    };
    let others = match broken.count() as u64 {
        0 => String::new(),
        1 => "; nor can 1 other file".to_owned(),
        others => format!("; nor can {others} other files"),
    };
    Err(Error::data(format!(
        "the file `{file}` of the source `{}` cannot be read {reason}{others}",
        source.name
    ))
    .with_hint(
        "was it cut off, or is it no JSON? replace it or move it away, or publish the records before: \
         --max-rejects 100%",
    ))
}

/// Checks that each file has a good line, unless it is empty or one short line.
fn check_files(source: &SourceScan) -> Result<()> {
    let by_file = source.rejects.by_file();
    check_whole(source, &by_file)?;
    let mut without_row = by_file
        .iter()
        .filter_map(|(file, rejects)| Some((file, rejects, rejects.without_row.as_ref()?)));
    let Some((file, FileRejects { shape, lines, .. }, reason)) = without_row.next() else {
        return Ok(());
    };
    let lines = match lines {
        0 => String::new(),
        1 => " (1 malformed line)".to_owned(),
        lines => format!(" ({lines} malformed lines)"),
    };
    let name = &source.name;
    let (found, todo) = match shape {
        Some(shape) => (format!("it looks like {shape}"), shape.hint()),
        None => (
            format!("most often, {reason}"),
            "fix the file or its declaration".to_owned(),
        ),
    };
    let others = match without_row.count() as u64 {
        0 => String::new(),
        1 => "; nor has 1 other file".to_owned(),
        others => format!("; nor have {others} other files"),
    };
    Err(Error::data(format!(
        "the file `{file}` of the source `{name}` has no good line{lines}: {found}{others}"
    ))
    .with_hint(format!(
        "{todo}; or move it away, or publish without it: --max-rejects 100%"
    )))
}
