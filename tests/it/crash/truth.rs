//! The contents of a storage, compared with the expected ones.
//!
//! Reading uses nothing of dayport: objects are bytes, manifests and log entries are JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};

use bytes::Bytes;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::storage::{Object, Storage};
use super::world::{Row, Table};

/// An exported row: id, text, and the day of the partition, if the table has partitions.
type ExportedRow = (i64, String, Option<i64>);

/// The expected contents of a storage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Truth {
    /// The rows of each table by cycle; for a snapshot, only the last cycle counts.
    pub tables: BTreeMap<Table, BTreeMap<String, Vec<Row>>>,
    /// The foreign keys under `data/`.
    pub foreign: BTreeSet<String>,
}

impl Truth {
    pub(crate) fn publish(&mut self, table: Table, cycle: &str, rows: Vec<Row>) {
        let cycles = self.tables.entry(table).or_default();
        cycles.insert(cycle.to_owned(), rows);
    }
}

/// All objects and unfinished uploads of a storage at one moment.
#[derive(Clone, PartialEq)]
pub(crate) struct StorageContents {
    objects: BTreeMap<String, Object>,
    uploads: Vec<(String, String)>,
}

/// The manifest of the newest revision of a cycle.
struct Current<'a> {
    key: &'a str,
    manifest: Value,
}

impl StorageContents {
    pub(crate) fn of(storage: &Storage) -> Self {
        Self {
            objects: storage.objects(),
            uploads: storage.uploads(),
        }
    }

    /// Leaves out the lists of source files: one that no log entry names is harmless.
    pub(crate) fn without_lists(mut self) -> Self {
        self.objects
            .retain(|key, _| !key.contains("_dayport/lists/"));
        self
    }

    fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a Object)> {
        let objects = self.objects.iter();
        objects
            .filter(move |(key, _)| key.starts_with(folder))
            .map(|(key, object)| (key.as_str(), object))
    }

    /// Returns the objects that readers see: all but the internal ones.
    pub(crate) fn published(&self) -> BTreeMap<&str, &Object> {
        let objects = self.below("");
        objects
            .filter(|(key, _)| !key.starts_with("_dayport/"))
            .collect()
    }

    /// Returns the keys that were added since `before`, for messages.
    pub(crate) fn added_since(&self, before: &Self) -> Vec<&str> {
        let objects = self
            .objects
            .keys()
            .filter(|key| !before.objects.contains_key(*key));
        let uploads = self
            .uploads
            .iter()
            .filter(|upload| !before.uploads.contains(upload))
            .map(|(key, _)| key);
        objects.chain(uploads).map(String::as_str).collect()
    }

    /// Returns the keys of all staged files and unfinished uploads.
    pub(crate) fn staged(&self) -> Vec<&str> {
        let files = self.below("_dayport/staging/").map(|(key, _)| key);
        let uploads = self.uploads.iter().map(|(key, _)| key.as_str());
        files.chain(uploads).collect()
    }

    /// Returns the log of a table, oldest entry first.
    pub(crate) fn log(&self, table: Table) -> Vec<Value> {
        let folder = format!("_dayport/log/{}/", table.name());
        let entries = self.below(&folder);
        entries
            .map(|(_, object)| serde_json::from_slice(&object.bytes).expect("a log entry is JSON"))
            .collect()
    }

    /// Returns the bytes of an object.
    pub(crate) fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.objects.get(key).map(|object| object.bytes.as_slice())
    }

    /// Returns true if the run has committed a publication.
    pub(crate) fn has_commit_of(&self, table: Table, run_id: &str) -> bool {
        let log = self.log(table);
        log.iter()
            .any(|entry| entry["run_id"] == run_id && entry["action"]["kind"] == "publish")
    }

    /// Returns true if an entry of the log voids the one before it.
    pub(crate) fn has_void(&self, table: Table) -> bool {
        let log = self.log(table);
        log.iter().any(|entry| entry["action"]["kind"] == "void")
    }

    /// Returns true if the newest entry of the log is not finished.
    pub(crate) fn has_pending_work(&self, table: Table) -> bool {
        let log = self.log(table);
        let Some(newest) = log.last() else {
            return false;
        };
        let action = &newest["action"];
        match action["kind"].as_str() {
            Some("publish") => !self
                .objects
                .contains_key(&manifest_key(&action["manifest"])),
            _ => {
                let delete = action["delete"].as_array().unwrap().iter();
                delete.clone().count() > 0
                    && delete
                        .into_iter()
                        .any(|key| self.objects.contains_key(key.as_str().unwrap()))
            }
        }
    }

    /// Returns the newest revision of each cycle of a table; for a snapshot, only of its newest cycle.
    fn current(&self, table: Table) -> Vec<Current<'_>> {
        let folder = format!("manifests/{}/", table.name());
        let mut newest: BTreeMap<String, (u64, Current<'_>)> = BTreeMap::new();
        for (key, object) in self.objects.range(folder.clone()..) {
            if !key.starts_with(&folder) || !key.ends_with(".json") {
                break;
            }
            let manifest: Value = serde_json::from_slice(&object.bytes).expect("JSON");
            let cycle = manifest["cycle"]["id"].as_str().unwrap().to_owned();
            let revision = manifest["revision"].as_u64().unwrap();
            let current = Current { key, manifest };
            match newest.get(&cycle) {
                Some((later, _)) if *later > revision => {}
                _ => {
                    newest.insert(cycle, (revision, current));
                }
            }
        }
        let mut current = newest.into_values().map(|(_, current)| current);
        match table {
            Table::Visits | Table::Days => current.collect(),
            Table::Names => current.next_back().into_iter().collect(),
        }
    }

    /// Returns the problems of a storage while no run is in progress; none if it is as expected.
    pub(crate) fn problems(&self, truth: &Truth) -> Vec<String> {
        let mut problems = Vec::new();
        let mut named: BTreeSet<String> = truth.foreign.clone();
        for (table, cycles) in &truth.tables {
            self.check_table(*table, cycles, &mut named, &mut problems);
            self.check_log(*table, &mut problems);
        }
        self.check_markers(truth, &mut problems);
        for (key, _) in self.below("data/").chain(self.below("rejects/")) {
            if !named.contains(key) {
                problems.push(format!("no manifest names `{key}`"));
            }
        }
        for key in &truth.foreign {
            if !self.objects.contains_key(key) {
                problems.push(format!("the foreign object `{key}` is gone"));
            }
        }
        problems
    }

    /// Returns the problems for readers after an interrupted run: tables without pending work must be
    /// published completely.
    pub(crate) fn problems_for_readers(&self, truth: &Truth) -> Vec<String> {
        let mut problems = Vec::new();
        for (table, cycles) in &truth.tables {
            if !self.has_pending_work(*table) {
                self.check_table(*table, cycles, &mut BTreeSet::new(), &mut problems);
            }
        }
        problems
    }

    fn check_table(
        &self,
        table: Table,
        cycles: &BTreeMap<String, Vec<Row>>,
        named: &mut BTreeSet<String>,
        problems: &mut Vec<String>,
    ) {
        let expected: BTreeMap<&String, &Vec<Row>> = match table {
            Table::Visits | Table::Days => cycles.iter().collect(),
            Table::Names => cycles.last_key_value().into_iter().collect(),
        };
        let current = self.current(table);
        let published: BTreeSet<&str> = current
            .iter()
            .map(|current| current.manifest["cycle"]["id"].as_str().unwrap())
            .collect();
        let expected_cycles: BTreeSet<&str> = expected.keys().map(|cycle| cycle.as_str()).collect();
        if published != expected_cycles {
            problems.push(format!(
                "{table:?}: published are {published:?}, not {expected_cycles:?}"
            ));
        }
        for Current { key, manifest } in &current {
            let cycle = manifest["cycle"]["id"].as_str().unwrap().to_owned();
            let mut rows: Vec<ExportedRow> = Vec::new();
            for file in manifest["files"].as_array().unwrap() {
                let path = file["path"].as_str().unwrap();
                if !named.insert(path.to_owned()) {
                    problems.push(format!("`{key}` names `{path}`, and so does another"));
                }
                match self.objects.get(path) {
                    None => problems.push(format!("`{key}` names `{path}`, which is missing")),
                    Some(object) => {
                        check_file(key, file, object, problems);
                        rows.extend(decode(path, &object.bytes));
                    }
                }
            }
            for file in manifest["rejects"].as_array().into_iter().flatten() {
                let path = file["path"].as_str().unwrap();
                named.insert(path.to_owned());
                match self.objects.get(path) {
                    None => problems.push(format!("`{key}` names `{path}`, which is missing")),
                    Some(object) => check_bytes(key, file, object, problems),
                }
            }
            let sum = |member: &str| -> u64 {
                let files = manifest["files"].as_array().unwrap().iter();
                files.map(|file| file[member].as_u64().unwrap()).sum()
            };
            for member in ["rows", "bytes"] {
                if manifest[member].as_u64() != Some(sum(member)) {
                    problems.push(format!("`{key}`: {member} is not the sum over its files"));
                }
            }
            rows.sort();
            let mut expected_rows: Vec<ExportedRow> = expected
                .get(&cycle)
                .into_iter()
                .flat_map(|rows| rows.iter())
                .map(|row| {
                    let day = (!table.is_snapshot()).then_some(row.day);
                    (row.id, row.text.clone(), day)
                })
                .collect();
            expected_rows.sort();
            if rows != expected_rows {
                problems.push(format!(
                    "{table:?} {cycle}: the rows are {rows:?}, not {expected_rows:?}"
                ));
            }
        }
    }

    /// Checks that each cycle with a manifest of every table has a marker, and that the newest one of a
    /// cycle names its manifests: each of them as it is, and the newest revision of each.
    fn check_markers(&self, truth: &Truth, problems: &mut Vec<String>) {
        let tables: Vec<Table> = truth.tables.keys().copied().collect();
        let mut cycles: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        for table in &tables {
            let folder = format!("manifests/{}/", table.name());
            for (key, _) in self.below(&folder) {
                let (cycle, revision) = revision_of(key);
                let newest = cycles.entry(cycle).or_default();
                let known = newest.entry(table.name()).or_default();
                *known = revision.max(*known);
            }
        }
        let mut newest_markers: BTreeMap<String, (u64, &Object)> = BTreeMap::new();
        for (key, object) in self.below("cycles/") {
            let (cycle, revision) = revision_of(key);
            let known = newest_markers.get(&cycle).map(|(known, _)| *known);
            if known.is_none_or(|known| known < revision) {
                newest_markers.insert(cycle, (revision, object));
            }
        }
        for (cycle, manifests) in &cycles {
            let marker = newest_markers.get(cycle);
            if marker.is_none() && manifests.len() == tables.len() {
                problems.push(format!("the complete cycle {cycle} has no marker"));
            }
            let Some((revision, object)) = marker else {
                continue;
            };
            let at = format!("the marker {cycle}.r{revision}");
            let marker: Value = serde_json::from_slice(&object.bytes).expect("JSON");
            if marker["state"] != "complete" {
                problems.push(format!("{at} is {}", marker["state"]));
            }
            let marked = marker["tables"].as_array().unwrap();
            for table in marked {
                let manifest = self.bytes(table["manifest"].as_str().unwrap());
                let sha256 = manifest.map(|bytes| format!("{:x}", Sha256::digest(bytes)));
                if sha256.as_deref() != table["sha256"].as_str() {
                    problems.push(format!("{at} names another {}", table["manifest"]));
                }
            }
            for (table, revision) in manifests {
                let is_named = marked.iter().any(|marked| {
                    marked["table"] == **table
                        && marked["cycle"] == **cycle
                        && marked["revision"] == *revision
                });
                if !is_named {
                    problems.push(format!("{at} does not name {table} r{revision}"));
                }
            }
        }
        let latest = self.bytes("latest.json");
        let latest: Option<Value> = latest.map(|text| serde_json::from_slice(text).expect("JSON"));
        let named =
            latest.map(|latest| (latest["cycle"]["id"].clone(), latest["revision"].clone()));
        let newest = newest_markers.last_key_value();
        let newest =
            newest.map(|(cycle, (revision, _))| (cycle.as_str().into(), (*revision).into()));
        if named != newest {
            problems.push(format!("latest.json names {named:?}, not {newest:?}"));
        }
    }

    /// Checks that the log has no gaps, that every entry has its manifest or was voided, and that no
    /// staged file of an entry is left.
    fn check_log(&self, table: Table, problems: &mut Vec<String>) {
        let log = self.log(table);
        let mut pending: BTreeSet<(String, String)> = BTreeSet::new();
        for (index, entry) in log.iter().enumerate() {
            if entry["sequence"].as_u64() != Some(index as u64 + 1) {
                problems.push(format!("{table:?}: the log has a gap at {}", index + 1));
            }
            let action = &entry["action"];
            if action["kind"] == "void" {
                continue;
            }
            let is_void = log
                .get(index + 1)
                .is_some_and(|next| next["action"]["kind"] == "void");
            let key = manifest_key(&action["manifest"]);
            let manifest = self.objects.get(&key).map(|object| {
                serde_json::from_slice::<Value>(&object.bytes).expect("a manifest is JSON")
            });
            let is_published =
                manifest.is_some_and(|manifest| manifest["run_id"] == entry["run_id"]);
            if is_void == is_published {
                problems.push(format!(
                    "{table:?}: entry {} is {}, its manifest `{key}` is {}",
                    index + 1,
                    if is_void { "void" } else { "in force" },
                    if is_published { "there" } else { "not there" },
                ));
            }
            for upload in action["uploads"].as_array().unwrap() {
                let token = &upload["token"];
                let key = match token["kind"].as_str() {
                    Some("multipart") => (&upload["path"], &token["upload_id"]),
                    _ => (&token["staged"], &Value::Null),
                };
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                pending.insert((text(key.0), text(key.1)));
            }
        }
        for upload in &self.uploads {
            if pending.contains(upload) {
                problems.push(format!("a committed upload of `{}` is left", upload.0));
            }
        }
        for (staged, _) in self.below("_dayport/staging/") {
            if pending.contains(&(staged.to_owned(), String::new())) {
                problems.push(format!("the committed file `{staged}` is left"));
            }
        }
    }
}

/// Asserts that a storage has exactly the expected contents.
#[track_caller]
pub(crate) fn assert_whole(storage: &Storage, truth: &Truth) {
    let problems = StorageContents::of(storage).problems(truth);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn manifest_key(manifest: &Value) -> String {
    format!(
        "manifests/{}/{}.r{}.json",
        manifest["table"].as_str().unwrap(),
        manifest["cycle"]["id"].as_str().unwrap(),
        manifest["revision"]
    )
}

/// Returns the cycle and the revision of the key of a manifest or a marker.
fn revision_of(key: &str) -> (String, u64) {
    let (_, name) = key.rsplit_once('/').expect("a folder");
    let name = name.strip_suffix(".json").expect("a record");
    let (cycle, revision) = name.split_once(".r").expect("a revision");
    (cycle.to_owned(), revision.parse().expect("a number"))
}

/// Checks the bytes of a file of any kind.
fn check_bytes(key: &str, file: &Value, object: &Object, problems: &mut Vec<String>) {
    let path = file["path"].as_str().unwrap();
    let sha256: String = format!("{:x}", Sha256::digest(&object.bytes));
    if file["bytes"].as_u64() != Some(object.bytes.len() as u64) {
        problems.push(format!("`{key}`: the size of `{path}` differs"));
    }
    if file["sha256"] != sha256 {
        problems.push(format!("`{key}`: the bytes of `{path}` differ"));
    }
    if file["etag"] != object.etag {
        problems.push(format!("`{key}`: the ETag of `{path}` differs"));
    }
}

/// Checks a file of rows.
fn check_file(key: &str, file: &Value, object: &Object, problems: &mut Vec<String>) {
    check_bytes(key, file, object, problems);
    let path = file["path"].as_str().unwrap();
    if file["rows"].as_u64() != Some(decode(path, &object.bytes).len() as u64) {
        problems.push(format!("`{key}`: the number of rows of `{path}` differs"));
    }
}

/// Decodes the rows of a file; the day comes from its folder.
fn decode(path: &str, bytes: &[u8]) -> Vec<ExportedRow> {
    let day = path
        .split('/')
        .find_map(|part| part.strip_prefix("day="))
        .map(|day| day.parse().expect("a day is a number"));
    let rows: Vec<(i64, String)> = match path.ends_with(".json.gz") {
        true => BufReader::new(MultiGzDecoder::new(bytes))
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let text = row["text"].as_str().unwrap().to_owned();
                (row["id"].as_i64().unwrap(), text)
            })
            .collect(),
        false => ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes))
            .and_then(|builder| builder.build())
            .unwrap_or_else(|error| panic!("`{path}`: {error}"))
            .flat_map(|batch| rows_of(&batch.unwrap()))
            .collect(),
    };
    rows.into_iter().map(|(id, text)| (id, text, day)).collect()
}

fn rows_of(batch: &RecordBatch) -> Vec<(i64, String)> {
    let column = |name: &str| batch.column_by_name(name).expect("the column is there");
    let ids = column("id").as_primitive::<Int64Type>().values();
    let texts = column("text").as_string::<i32>().iter();
    ids.iter()
        .zip(texts)
        .map(|(id, text)| (*id, text.unwrap().to_owned()))
        .collect()
}
