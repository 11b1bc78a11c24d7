//! Reads a sample of a source: some lines of some of its files.

use std::io::{Cursor, Read};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectStore};
use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::init::documents::record_lines;
use crate::init::explore::{FoundFile, FoundSource, Problem, spread};
use crate::init::folders::{TimeRange, time_of_file, time_of_folders};
use crate::init::json::Json;
use crate::init::parquet_file::{ParquetSample, read_parquet};
use crate::init::place::Place;
use crate::jsonl::{Compression, FileError, Framing, RecordPath, TextShape};

/// The stored bytes that are read of all files of lines together, and at least of each.
const STORED_BYTES: u64 = 128 << 20;
const MIN_STORED_BYTES: u64 = 1 << 20;

/// The bytes of text that are read of all files of lines together, and at least of each.
const TEXT_BYTES: u64 = 256 << 20;
const MIN_TEXT_BYTES: u64 = 16 << 20;

/// The maximum size of a Parquet file that is read, in bytes.
const MAX_PARQUET_BYTES: u64 = 256 << 20;

/// The maximum number of bytes of the lines that are kept of a source.
const MAX_SAMPLE_BYTES: usize = 64 << 20;

/// The number of files that are read at the same time.
const CONCURRENT_FILES: usize = 4;

/// The text that stands for a line that is not UTF-8. It is no JSON.
const NOT_UTF8: &str = "(not UTF-8)\n";

/// The limits of a sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleSize {
    /// The maximum number of files of a source.
    pub(crate) files: usize,
    /// The maximum number of rows of a source.
    pub(crate) rows: usize,
}

/// A sample of a source.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) files: Vec<SampledFile>,
    /// The lines that are objects, in the order of the files.
    pub(super) lines: Vec<SampledLine>,
    /// The lines that are not, with the reason.
    pub(super) malformed: Vec<(Place, String)>,
    /// The files that are no files of lines.
    pub(super) problems: Vec<Problem>,
    /// The schemas of the files, if they are Parquet.
    pub(super) parquet: Vec<(usize, ParquetSample)>,
    /// True if some file was not read to its end.
    pub(super) is_partial: bool,
    /// The path of the records in the documents of the files, if it has to be declared.
    pub(super) records: Option<RecordPath>,
}

#[derive(Debug)]
pub(super) struct SampledFile {
    /// The name relative to `--from`.
    pub(super) name: String,
    /// The time that its folders are named after.
    pub(super) folder_time: Option<TimeRange>,
    /// The time that the file is named after.
    pub(super) file_time: Option<TimeRange>,
    /// The columns of its folders with their values.
    pub(super) folders: Vec<(String, String)>,
    /// True if the file is JSON documents, whose records are the lines of the sample.
    pub(super) is_documents: bool,
}

#[derive(Debug)]
pub(super) struct SampledLine {
    pub(super) place: Place,
    pub(super) text: String,
}

impl Sample {
    /// Names a place, as errors of sources do.
    pub(super) fn show(&self, place: Place) -> String {
        let file = self.files.get(place.file);
        let name = file.map_or("?", |file| file.name.as_str());
        let unit = match file {
            Some(file) if file.is_documents => "record",
            _ => "line",
        };
        format!("`{name}` {unit} {}", place.line)
    }

    /// Returns true if some file is JSON documents.
    pub(super) fn has_documents(&self) -> bool {
        self.files.iter().any(|file| file.is_documents)
    }
}

/// The limits of what is read of one file.
#[derive(Debug, Clone, Copy)]
struct FileLimits {
    stored: u64,
    text: u64,
    rows: usize,
    /// The bytes of the lines that are kept.
    kept: usize,
}

impl FileLimits {
    fn of(files: usize, rows: usize) -> Self {
        let files = files.max(1);
        let share = files as u64;
        Self {
            stored: (STORED_BYTES / share).max(MIN_STORED_BYTES),
            text: (TEXT_BYTES / share).max(MIN_TEXT_BYTES),
            rows: (rows / files).max(1),
            kept: MAX_SAMPLE_BYTES / files,
        }
    }
}

/// The content of one file.
enum Content {
    Lines { text: String, is_whole: bool },
    Parquet(ParquetSample),
    Problem(Problem),
}

/// Reads a sample of a source.
///
/// # Errors
/// [`Error::store`] if a file cannot be read. A file that is damaged is among the problems instead.
pub(super) async fn sample(
    store: &dyn ObjectStore,
    source: &FoundSource,
    size: SampleSize,
) -> Result<Sample> {
    let picked = spread(source.files.clone(), size.files);
    let limits = FileLimits::of(picked.len(), size.rows);
    let mut sample = Sample {
        files: picked.iter().map(sampled_file).collect(),
        lines: Vec::new(),
        malformed: Vec::new(),
        problems: Vec::new(),
        parquet: Vec::new(),
        is_partial: picked.len() < source.files.len(),
        records: None,
    };
    let names: Vec<String> = picked.iter().map(|file| file.name.clone()).collect();
    let mut contents = stream::iter(picked)
        .map(|file| async move { read(store, &file, limits).await })
        .buffered(CONCURRENT_FILES);
    let mut index = 0;
    while let Some(content) = contents.try_next().await? {
        let name = names.get(index).map_or("", String::as_str);
        match content {
            Content::Problem(problem) => sample.problems.push(problem),
            Content::Lines { text, is_whole } => {
                sample.is_partial |= !is_whole;
                add_text(&mut sample, (index, name), &text, is_whole, limits);
            }
            Content::Parquet(parquet) => {
                let lines = parquet
                    .rows
                    .iter()
                    .zip(1..)
                    .map(|(text, line)| SampledLine {
                        place: Place { file: index, line },
                        text: text.clone(),
                    });
                sample.lines.extend(lines);
                sample.is_partial |= parquet.is_partial;
                sample.parquet.push((index, parquet));
            }
        }
        index += 1;
    }
    Ok(sample)
}

fn sampled_file(file: &FoundFile) -> SampledFile {
    SampledFile {
        folder_time: time_of_folders(&file.folders),
        file_time: time_of_file(file.name.rsplit('/').next().unwrap_or_default()),
        name: file.name.clone(),
        folders: file
            .folders
            .iter()
            .map(|(name, value)| (name.clone(), percent_decoded(value)))
            .collect(),
        is_documents: false,
    }
}

/// Decodes a value of a folder, as a run does.
fn percent_decoded(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// Adds the lines or the records of a file. Adds a problem if it has none, and if the path of its records
/// would have to be declared, but other files have another one.
fn add_text(
    sample: &mut Sample,
    (file, name): (usize, &str),
    text: &str,
    is_whole: bool,
    limits: FileLimits,
) {
    let detected = || Framing::Auto.record_path(text.as_bytes());
    let path = sample.records.clone().or_else(detected);
    let Err(problem) = add_split(sample, (file, name), (text, path), is_whole, limits) else {
        return;
    };
    let path = match &problem.shape {
        TextShape::ObjectsInList(Some(key)) => Some(RecordPath::of_list(key)),
        TextShape::Joined | TextShape::PrettyPrinted => Some(RecordPath::default()),
        _ => None,
    };
    if sample.records.is_none()
        && sample.lines.is_empty()
        && let Some(path) = path
    {
        let split = (text, Some(path.clone()));
        if add_split(sample, (file, name), split, is_whole, limits).is_ok() {
            sample.records = Some(path);
            return;
        }
    }
    let Unreadable { shape, what } = problem;
    sample.problems.push(Problem::new(name, what, shape.hint()));
}

/// A file without lines or records.
struct Unreadable {
    shape: TextShape,
    what: String,
}

/// Adds the lines of a file, or the records at a path.
fn add_split(
    sample: &mut Sample,
    (file, name): (usize, &str),
    (text, path): (&str, Option<RecordPath>),
    is_whole: bool,
    limits: FileLimits,
) -> Result<(), Unreadable> {
    let is_documents = path.is_some();
    let lines = path.map(|path| record_lines(text, path));
    if let Some(sampled) = sample.files.get_mut(file) {
        sampled.is_documents = is_documents;
    }
    let broken = lines.as_ref().and_then(|lines| lines.broken.as_ref());
    if let (Some(reason), true) = (broken, is_whole) {
        let what = format!("it cannot be read {reason}");
        let remedy = "was it cut off, or is it no JSON? replace it or move it away";
        sample.problems.push(Problem::new(name, what, remedy));
        return Ok(());
    }
    let text = lines.as_ref().map_or(text, |lines| lines.text.as_str());
    add_lines(sample, file, text, limits)
}

/// Adds lines of a file, at even distances.
///
/// # Errors
/// No line is an object, or each is only the frame of others.
fn add_lines(
    sample: &mut Sample,
    file: usize,
    text: &str,
    limits: FileLimits,
) -> Result<(), Unreadable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<(u64, &str)> = (1..)
        .zip(text.split('\n'))
        .map(|(number, line)| (number, line.trim_matches([' ', '\t', '\r'])))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    let count = lines.len();
    let (mut good, mut malformed, mut frame) = (Vec::new(), Vec::new(), None);
    let mut frames = 0;
    // As many lines as the bytes allow if all have the same length.
    let by_bytes = (count as u128 * limits.kept as u128 / (text.len() as u128).max(1)).max(1);
    let rows = limits
        .rows
        .min(usize::try_from(by_bytes).unwrap_or(usize::MAX));
    sample.is_partial |= count > rows;
    for (number, line) in spread(lines, rows) {
        let place = Place { file, line: number };
        match Json::parse(line) {
            Ok(value @ Json::Object(_)) => {
                if let Some(key) = frame_key(&value) {
                    frames += 1;
                    frame = Some(key);
                }
                let text = line.to_owned();
                good.push(SampledLine { place, text });
            }
            _ if line == NOT_UTF8.trim_end() => {
                malformed.push((place, "the line is not UTF-8".to_owned()))
            }
            Ok(_) => malformed.push((place, "the line is not an object".to_owned())),
            Err(reason) => malformed.push((place, reason)),
        }
    }
    let shape = match (good.is_empty(), frame) {
        (false, Some(key)) if frames == good.len() => Some(TextShape::ObjectsInList(Some(key))),
        (true, _) if count > 0 => {
            Some(TextShape::of(text.as_bytes(), |_| true).unwrap_or(TextShape::Plain))
        }
        _ => None,
    };
    if let Some(shape) = shape {
        let what = match malformed.first() {
            Some((place, reason)) if matches!(shape, TextShape::Plain) => {
                format!(
                    "no line of it is an object of JSON; line {}: {reason}",
                    place.line
                )
            }
            _ => format!("it looks like {shape}, not like JSON lines"),
        };
        return Err(Unreadable { shape, what });
    }
    sample.lines.extend(good);
    sample.malformed.extend(malformed);
    Ok(())
}

/// Returns the key of the list of objects that an object is only the frame of: `{"Records": [{…}, …]}`.
fn frame_key(value: &Json<'_>) -> Option<String> {
    const MAX_MEMBERS: usize = 3;
    let Json::Object(members) = value else {
        return None;
    };
    let is_list_of_objects = |value: &Json<'_>| match value {
        Json::List(items) => matches!(items.first(), Some(Json::Object(_))),
        _ => false,
    };
    let mut lists = members
        .iter()
        .filter(|(_, value)| is_list_of_objects(value));
    let (key, _) = lists.next()?;
    let others = members.iter().filter(|(other, _)| other != key);
    let are_scalars = others
        .clone()
        .all(|(_, value)| !matches!(value, Json::List(_) | Json::Object(_)));
    let is_known =
        ["Records", "records", "events", "data", "items", "logs"].contains(&key.as_ref());
    let is_name = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_frame = members.len() == 1 || is_known && members.len() <= MAX_MEMBERS && are_scalars;
    (is_frame && is_name).then(|| key.to_string())
}

async fn read(store: &dyn ObjectStore, file: &FoundFile, limits: FileLimits) -> Result<Content> {
    let fault = |error| Error::store("read", &file.name, error);
    let is_parquet = file.name.to_ascii_lowercase().ends_with(".parquet");
    let size = file.meta.size;
    if is_parquet && size > MAX_PARQUET_BYTES {
        let what = format!("it has {size} bytes, and is too large for a sample");
        let remedy = "write smaller files, or a small one of the same columns beside it";
        return Ok(Content::Problem(Problem::new(&file.name, what, remedy)));
    }
    let limit = if is_parquet {
        size
    } else {
        size.min(limits.stored)
    };
    let options = GetOptions {
        range: (limit < size).then_some(GetRange::Bounded(0..limit)),
        ..GetOptions::default()
    };
    let response = store
        .get_opts(&file.meta.location, options)
        .await
        .map_err(fault)?;
    let stored = response.bytes().await.map_err(fault)?;
    let (name, key) = (file.name.clone(), file.meta.location.to_string());
    let is_whole = limit == size;
    if is_parquet || stored.starts_with(b"PAR1") && is_whole {
        return Ok(match read_parquet(&stored, limits.rows) {
            Ok(parquet) => Content::Parquet(parquet),
            Err(reason) => {
                let what = format!("it cannot be read as Parquet: {reason}");
                let remedy = "was it damaged when it was stored? replace or remove it";
                Content::Problem(Problem::new(name, what, remedy))
            }
        });
    }
    let text =
        tokio::task::spawn_blocking(move || inflate(&key, &stored, limits.text, is_whole)).await;
    let text = text.map_err(|error| Error::internal("a sample was not read").with_source(error))?;
    Ok(match text {
        Ok((text, is_whole)) => Content::Lines { text, is_whole },
        Err((what, remedy)) => Content::Problem(Problem::new(name, what, remedy)),
    })
}

/// Returns the text of a file, and true if it is all of it.
fn inflate(
    key: &str,
    stored: &Bytes,
    max_text: u64,
    is_whole: bool,
) -> Result<(String, bool), (String, String)> {
    let refused = |error: std::io::Error| {
        let by_content = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<FileError>());
        match by_content {
            Some(fault) => (format!("it {fault}"), fault.hint().to_owned()),
            None => (
                format!("it cannot be read: {error}"),
                "was it damaged when it was stored? replace or remove it".to_owned(),
            ),
        }
    };
    let reader = Compression::Auto
        .reader(key, Cursor::new(stored))
        .map_err(refused)?;
    let mut text = Vec::new();
    let read = reader.take(max_text).read_to_end(&mut text);
    // The rest of a file that was not read whole is missing.
    if let Err(error) = read
        && is_whole
    {
        return Err(refused(error));
    }
    let is_whole = is_whole && (text.len() as u64) < max_text;
    if !is_whole && Framing::Auto.record_path(&text).is_some() {
        // The records end with the last whole one.
        let valid = std::str::from_utf8(&text).map_or_else(|error| error.valid_up_to(), str::len);
        text.truncate(valid);
    } else if !is_whole {
        let end = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        text.truncate(end);
        if text.is_empty() {
            let what = "its first line is too long for a sample".to_owned();
            let remedy = "does it have one object on each line? write them so".to_owned();
            return Err((what, remedy));
        }
    }
    match String::from_utf8(text) {
        Ok(text) => Ok((text, is_whole)),
        // Other lines may be of use; those that are not UTF-8 are malformed.
        Err(error) => {
            let bytes = error.into_bytes();
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            let valid = lines.map(|line| std::str::from_utf8(line).unwrap_or(NOT_UTF8));
            Ok((valid.collect(), is_whole))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str) -> Option<String> {
        frame_key(&Json::parse(line).unwrap())
    }

    #[test]
    fn frames_are_told_from_rows() {
        let frame = Some("Records".to_owned());
        assert_eq!(key(r#"{"Records":[{"a":1}]}"#), frame);
        assert_eq!(key(r#"{"Records":[{"a":1}],"nextToken":"x"}"#), frame);
        assert_eq!(key(r#"{"id":1,"commits":[{"a":1}]}"#), None);
        assert_eq!(key(r#"{"Records":[1,2]}"#), None);
        assert_eq!(key(r#"{"events":[{"a":1}],"user":{"id":1}}"#), None);
        assert_eq!(key(r#"{"odd key":[{"a":1}]}"#), None);
    }

    #[test]
    fn a_text_is_cut_behind_its_last_whole_line() {
        let stored = Bytes::from_static(b"{\"a\":1}\n{\"a\":2}\n{\"a\"");
        let cut = inflate("a.json", &stored, 99, false).unwrap();
        assert_eq!(cut, ("{\"a\":1}\n{\"a\":2}\n".to_owned(), false));
        let whole = inflate("a.json", &stored, 99, true).unwrap();
        assert_eq!(whole.0.len(), stored.len());
        assert!(inflate("a.json", &Bytes::from_static(b"{\"a\":"), 99, false).is_err());
        let (what, _) =
            inflate("a.json", &Bytes::from_static(b"BZh91AY&SY\0\0"), 99, true).unwrap_err();
        assert_eq!(what, "it looks like a bzip2 file, not like JSON lines");
    }
}
