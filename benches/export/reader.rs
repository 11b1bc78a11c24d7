//! An independent reader: objects as bytes, manifests and log entries as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{FIRST_DAY, Raw, date};

const TABLES: [&str; 3] = ["visits", "clicks", "names"];

/// The objects of the destination at one moment.
#[derive(PartialEq)]
pub(crate) struct Reader {
    objects: BTreeMap<String, Bytes>,
}

/// What a reader found.
#[derive(Default)]
pub(crate) struct Findings {
    pub problems: Vec<String>,
    /// The version of the rows of each table and day.
    pub versions: BTreeMap<(&'static str, u32), u32>,
    /// The files that a manifest names.
    named: BTreeSet<String>,
}

impl Reader {
    pub(crate) fn new(objects: BTreeMap<String, Bytes>) -> Self {
        Self { objects }
    }

    /// Parses the JSON objects below a folder.
    fn json(&self, folder: &str) -> Vec<Value> {
        let objects = self.objects.iter();
        objects
            .filter(|(key, _)| key.starts_with(folder))
            .map(|(_, text)| serde_json::from_slice(text).expect("JSON"))
            .collect()
    }

    fn log(&self, table: &str) -> Vec<Value> {
        self.json(&format!("_dayport/log/{table}/"))
    }

    /// Counts the log entries of all tables.
    pub(crate) fn commits(&self) -> usize {
        TABLES.iter().map(|table| self.log(table).len()).sum()
    }

    /// Returns true if each table has a log entry.
    pub(crate) fn has_commits(&self) -> bool {
        TABLES.iter().all(|table| !self.log(table).is_empty())
    }

    /// Counts the log entries that void another.
    pub(crate) fn voids(&self) -> usize {
        let entries = TABLES.iter().flat_map(|table| self.log(table));
        entries
            .filter(|entry| entry["action"]["kind"] == "void")
            .count()
    }

    /// Returns what identifies the uploads that the log names: upload ids, in a folder staged files.
    pub(crate) fn committed_uploads(&self) -> BTreeSet<String> {
        let entries = TABLES.iter().flat_map(|table| self.log(table));
        entries
            .flat_map(|entry| entry["action"]["uploads"].as_array().cloned())
            .flatten()
            .filter_map(|upload| {
                let token = &upload["token"];
                let id = token["upload_id"].as_str();
                Some(id.or_else(|| token["staged"].as_str())?.to_owned())
            })
            .collect()
    }

    /// Returns the cycles that the newest entry of the log records as damaged by a voided replacement.
    fn damaged(&self, table: &str) -> BTreeSet<String> {
        let log = self.log(table);
        let damaged = log
            .last()
            .and_then(|entry| entry["memory"]["damaged"].as_array());
        damaged
            .into_iter()
            .flatten()
            .filter_map(|cycle| Some(cycle.as_str()?.to_owned()))
            .collect()
    }

    /// Returns true if the newest entry of the log is not finished.
    fn is_unfinished(&self, table: &str) -> bool {
        let log = self.log(table);
        let Some(newest) = log.last() else {
            return false;
        };
        let manifest = &newest["action"]["manifest"];
        let key = format!(
            "manifests/{table}/{}.r{}.json",
            manifest["cycle"]["id"].as_str().unwrap_or_default(),
            manifest["revision"]
        );
        !self.objects.contains_key(&key)
    }

    /// Returns the newest manifest of each cycle; for the snapshot, only of its newest cycle.
    fn current(&self, table: &str) -> BTreeMap<String, Value> {
        let mut newest: BTreeMap<String, Value> = BTreeMap::new();
        for manifest in self.json(&format!("manifests/{table}/")) {
            let cycle = manifest["cycle"]["id"].as_str().expect("an id").to_owned();
            let revision = |manifest: &Value| manifest["revision"].as_u64();
            let known = newest.get(&cycle).and_then(revision);
            if known < revision(&manifest) {
                newest.insert(cycle, manifest);
            }
        }
        if table == "names" {
            newest = newest.into_iter().next_back().into_iter().collect();
        }
        newest
    }

    /// Returns the problems, as [`Self::check`] finds them.
    pub(crate) fn problems(&self, raw: &Raw, finished: bool) -> Vec<String> {
        self.check(raw, finished).problems
    }

    /// Reads everything. Unless the export is `finished`, tables with pending work and damaged cycles are
    /// left out, and cycles may be missing.
    pub(crate) fn check(&self, raw: &Raw, finished: bool) -> Findings {
        let mut findings = Findings::default();
        for table in TABLES {
            if finished || !self.is_unfinished(table) {
                self.check_table(raw, table, finished, &mut findings);
            }
        }
        self.check_markers(raw, finished, &mut findings.problems);
        if finished {
            let data = self.objects.keys().filter(|key| key.starts_with("data/"));
            let unnamed = data.filter(|key| !findings.named.contains(*key));
            let problems = unnamed.map(|key| format!("no manifest names `{key}`"));
            findings.problems.extend(problems);
        }
        findings
    }

    /// Checks that the newest marker of each cycle names manifests that exist as they are, and once the
    /// export is finished, that every cycle has one, which names the newest revisions.
    fn check_markers(&self, raw: &Raw, finished: bool, problems: &mut Vec<String>) {
        let mut newest: BTreeMap<String, Value> = BTreeMap::new();
        for marker in self.json("cycles/") {
            let cycle = marker["cycle"]["id"].as_str().expect("an id").to_owned();
            let revision = |marker: &Value| marker["revision"].as_u64();
            if newest.get(&cycle).and_then(revision) < revision(&marker) {
                newest.insert(cycle, marker);
            }
        }
        for (cycle, marker) in &newest {
            for table in marker["tables"].as_array().expect("a list") {
                let key = table["manifest"].as_str().expect("a key");
                let manifest = self.objects.get(key);
                let sha256 = manifest.map(|text| format!("{:x}", Sha256::digest(text)));
                if sha256.as_deref() != table["sha256"].as_str() {
                    problems.push(format!("the marker of {cycle} names another `{key}`"));
                }
            }
        }
        let days = (FIRST_DAY..=raw.last_day()).filter(|_| finished).map(date);
        for day in days {
            let Some(marker) = newest.get(&day) else {
                problems.push(format!("{day} has no marker"));
                continue;
            };
            for table in TABLES {
                let current = self.current(table);
                let revision = current.get(&day).map(|manifest| &manifest["revision"]);
                let is_named = marker["tables"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .any(|marked| {
                        let is_snapshot = table == "names";
                        let is_newest = Some(&marked["revision"]) == revision;
                        marked["table"] == table && (is_snapshot || is_newest)
                    });
                if !is_named {
                    let state = &marker["state"];
                    problems.push(format!("the {state} marker of {day} does not name {table}"));
                }
            }
        }
    }

    fn check_table(&self, raw: &Raw, table: &'static str, finished: bool, findings: &mut Findings) {
        let Findings {
            problems,
            versions: seen,
            named,
        } = findings;
        let current = self.current(table);
        let damaged = self.damaged(table);
        if finished && !damaged.is_empty() {
            problems.push(format!("{table}: damaged are {damaged:?}"));
        }
        let days = FIRST_DAY..=raw.last_day();
        if finished {
            let expected: BTreeSet<String> = match table {
                "names" => BTreeSet::from([date(raw.last_day())]),
                _ => days.clone().map(date).collect(),
            };
            let published: BTreeSet<String> = current.keys().cloned().collect();
            if published != expected {
                problems.push(format!("{table}: published are {published:?}"));
            }
        }
        for day in days {
            let id = date(day);
            let Some(manifest) = current.get(&id).filter(|_| !damaged.contains(&id)) else {
                continue;
            };
            let (mut ids, mut versions) = (Vec::new(), BTreeSet::new());
            for file in manifest["files"].as_array().expect("a list") {
                let path = file["path"].as_str().expect("a path");
                if !named.insert(path.to_owned()) {
                    problems.push(format!("`{path}` is named twice"));
                }
                let Some(bytes) = self.objects.get(path) else {
                    problems.push(format!("{table} {}: `{path}` is missing", date(day)));
                    continue;
                };
                if file["sha256"] != format!("{:x}", Sha256::digest(bytes)) {
                    problems.push(format!("{table} {}: `{path}` has other bytes", date(day)));
                    continue;
                }
                for (id, version) in rows(bytes) {
                    let folder = format!("/day={}/", Raw::partition(id, version));
                    if table == "visits" && !path.contains(&folder) {
                        problems.push(format!("visit {id} is in `{path}`"));
                    }
                    ids.push(id);
                    versions.insert(version);
                }
            }
            ids.sort_unstable();
            if !ids.iter().copied().eq(raw.ids(table, day)) {
                problems.push(format!("{table} {}: the ids are {ids:?}", date(day)));
            }
            let is_one = versions.len() == 1;
            if !is_one || versions.last() > Some(&raw.version(day)) {
                problems.push(format!("{table} {}: versions {versions:?}", date(day)));
            }
            seen.extend(versions.last().map(|version| ((table, day), *version)));
        }
    }
}

/// Decodes id and version of each row.
fn rows(bytes: &Bytes) -> Vec<(u64, u32)> {
    let lines = BufReader::new(MultiGzDecoder::new(bytes.as_ref())).lines();
    lines
        .map(|line| {
            let row: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            let text = row["text"].as_str().expect("a text");
            let (version, _) = text.split_once('-').expect("a version");
            let id = row["id"].as_u64().expect("an id");
            (id, version.parse().expect("a number"))
        })
        .collect()
}
