//! Declared keys that no line has, and those among them that occur in another case.
//!
//! SQL folds names that are not quoted to lower case: `eventId BIGINT` declares the key `eventid`, and
//! every value would be NULL without a word.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Fields, Schema};
use parking_lot::Mutex;
use serde_json::Value;

use crate::arrow_leaves::leaf_ranges;
use crate::error::{Error, Result};
use crate::jsonl::LineChunk;

/// The number of lines of a chunk that are searched for the spelling of a key without values.
const LINES: usize = 100;

/// The maximum number of chunks that are searched in one scan: sparse columns are common.
const CHUNKS: usize = 16;

/// The names from the column down to a field. The items of lists have no name.
type Path = Vec<String>;

/// The keys of one scan that were found, and those that are spelled in another case.
#[derive(Debug, Default)]
pub(crate) struct KeyLog(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    /// The keys that had a value, or were there without one.
    found: BTreeSet<Path>,
    /// Another spelling of keys that were not found so far, with its file and line.
    spelled: BTreeMap<Path, (String, String, u64)>,
    /// The keys of columns that some batch had no value of.
    without_values: BTreeSet<Path>,
    searched: usize,
}

/// The presence of a declared key in a line.
enum Presence {
    Found,
    Spelled(String),
}

impl KeyLog {
    /// Notes the keys of the rows that a chunk of a file was decoded to. Only for columns and fields
    /// without any value it looks into the text. `used` has one flag for each leaf of the rows, those of
    /// other scans are passed over; `None` means that all are used.
    pub(super) fn note(
        &self,
        declared: &Schema,
        used: Option<&[bool]>,
        rows: &[RecordBatch],
        chunk: &LineChunk,
        file: &str,
    ) {
        let mut keys = self.0.lock();
        let mut missing = BTreeSet::new();
        for batch in rows.iter().filter(|batch| batch.num_rows() > 0) {
            let mut notes = ValueNotes {
                used,
                path: Vec::new(),
                found: &mut keys.found,
                missing: &mut missing,
            };
            notes.fields(batch.schema().fields(), batch.columns(), 0);
        }
        keys.without_values.extend(missing.iter().cloned());
        missing.retain(|path| !keys.found.contains(path) && !keys.spelled.contains_key(path));
        if missing.is_empty() || keys.searched >= CHUNKS {
            return;
        }
        keys.searched += 1;
        for line in chunk.lines().take(LINES) {
            let Ok(object) = serde_json::from_slice::<Value>(line.text) else {
                continue;
            };
            for path in &missing {
                match presence(&object, declared.fields(), path) {
                    Some(Presence::Found) => {
                        keys.found.insert(path.clone());
                    }
                    Some(Presence::Spelled(written)) => {
                        let place = (written, file.to_owned(), line.number);
                        keys.spelled.entry(path.clone()).or_insert(place);
                    }
                    None => {}
                }
            }
        }
    }

    /// Returns the paths of the keys that were found, and of those that no line had. A struct that no
    /// line had stands for its fields.
    pub(super) fn found_and_absent(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let keys = self.0.lock();
        let absent = keys.without_values.difference(&keys.found);
        let joined = |path: &Path| path.join(".");
        (
            keys.found.iter().map(joined).collect(),
            absent.map(joined).collect(),
        )
    }

    /// Fails if a declared key was not found, and another spelling was.
    ///
    /// # Errors
    /// [`Error::data`] with the spelling, file and line.
    pub(crate) fn check(&self, source: &str) -> Result<()> {
        let keys = self.0.lock();
        let mut spelled = keys.spelled.iter();
        let wrong = spelled.find(|(path, _)| !keys.found.contains(*path));
        let Some((path, (written, file, line))) = wrong else {
            return Ok(());
        };
        let declared = path.join(".");
        Err(Error::data(format!(
            "no line of the source `{source}` has the key `{declared}`, but `{written}` occurs, which \
             differs in case only (`{file}` line {line})"
        ))
        .with_hint(format!(
            "declare it as \"{written}\", in double quotes, and write it so in queries: a name without \
             quotes is lower case"
        )))
    }
}

/// Notes which columns and fields have a value in a batch.
struct ValueNotes<'a> {
    /// One flag for each leaf of the batch.
    used: Option<&'a [bool]>,
    /// The path of the fields that are noted.
    path: Path,
    found: &'a mut BTreeSet<Path>,
    missing: &'a mut BTreeSet<Path>,
}

impl ValueNotes<'_> {
    /// Notes the fields that have a used leaf. `first_leaf` is the index of their first leaf.
    fn fields(&mut self, fields: &Fields, arrays: &[ArrayRef], first_leaf: usize) {
        for ((field, leaves), array) in leaf_ranges(fields, first_leaf).zip(arrays) {
            let flags = self.used.map(|used| used.get(leaves.clone()));
            let is_used =
                flags.is_none_or(|flags| flags.is_some_and(|flags| flags.contains(&true)));
            if is_used {
                self.path.push(field.name().clone());
                self.values(array, leaves.start);
                self.path.pop();
            }
        }
    }

    fn values(&mut self, array: &ArrayRef, first_leaf: usize) {
        if array.null_count() == array.len() {
            self.missing.insert(self.path.clone());
            return;
        }
        if !self.found.contains(&self.path) {
            self.found.insert(self.path.clone());
        }
        match array.data_type() {
            DataType::Struct(fields) => {
                self.fields(fields, array.as_struct().columns(), first_leaf);
            }
            // The items have the path of their list.
            DataType::List(_) => {
                let items = array.as_list::<i32>().values();
                if items.null_count() < items.len() {
                    self.values(items, first_leaf);
                }
            }
            _ => {}
        }
    }
}

/// Returns how a line writes the key at `path`, if it has it in some spelling.
fn presence(value: &Value, declared: &Fields, path: &[String]) -> Option<Presence> {
    let (name, inner) = path.split_first()?;
    match value {
        Value::Array(items) => items.iter().find_map(|item| presence(item, declared, path)),
        Value::Object(members) => match (members.get(name), inner) {
            (Some(_), []) => Some(Presence::Found),
            (Some(member), _) => presence(member, fields_of(declared, name), inner),
            (None, []) => {
                let is_spelling = |key: &&String| {
                    key.to_lowercase() == name.to_lowercase() && declared.find(key).is_none()
                };
                let written = members.keys().find(is_spelling)?;
                Some(Presence::Spelled(written.clone()))
            }
            (None, _) => None,
        },
        _ => None,
    }
}

/// Returns the fields of a struct, or of the structs in a list, among `declared`.
fn fields_of<'a>(declared: &'a Fields, name: &str) -> &'a Fields {
    fn inner(data_type: &DataType) -> Option<&Fields> {
        match data_type {
            DataType::Struct(fields) => Some(fields),
            DataType::List(item) => inner(item.data_type()),
            _ => None,
        }
    }
    let field = declared.find(name).map(|(_, field)| field);
    field
        .and_then(|field| inner(field.data_type()))
        .unwrap_or(declared)
}
