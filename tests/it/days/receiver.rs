//! A receiver that follows manifests, and the checks of a destination. Nothing here uses dayport.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::expected::{Expected, Exported, TABLES, Table};
use super::landing::cycle;

/// A receiver. It loads the greatest revision of each cycle, and again when there is a greater one.
pub(crate) struct Receiver {
    folder: PathBuf,
    loaded: BTreeMap<(Table, String), LoadedCycle>,
}

/// Manifests, or markers, by cycle and revision.
type Manifests = BTreeMap<(String, u32), PathBuf>;

struct LoadedCycle {
    revision: u32,
    rows: Vec<Exported>,
}

impl Receiver {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            loaded: BTreeMap::new(),
        }
    }

    /// Loads what is new.
    pub(crate) fn follow(&mut self) -> Result<(), String> {
        for table in TABLES {
            for ((cycle, revision), path) in current(
                table,
                newest(&self.folder.join("manifests").join(table.name())),
            ) {
                let key = (table, cycle);
                let known = self.loaded.get(&key).map(|loaded| loaded.revision);
                if known.is_some_and(|known| known >= revision) {
                    continue;
                }
                let rows = self.load(&json(&path)?)?;
                self.loaded.insert(key, LoadedCycle { revision, rows });
            }
        }
        Ok(())
    }

    fn load(&self, manifest: &Value) -> Result<Vec<Exported>, String> {
        let mut rows = Vec::new();
        for file in manifest["files"].as_array().ok_or("no files")? {
            let path = file["path"].as_str().ok_or("no path")?;
            let bytes =
                fs::read(self.folder.join(path)).map_err(|error| format!("{path}: {error}"))?;
            if file["sha256"] != format!("{:x}", Sha256::digest(&bytes)) {
                return Err(format!("{path} has other bytes"));
            }
            for line in BufReader::new(MultiGzDecoder::new(bytes.as_slice())).lines() {
                let line = line.map_err(|error| format!("{path}: {error}"))?;
                let row: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
                let number = |name: &str| row[name].as_u64().unwrap_or_default();
                rows.push((number("id"), number("note")));
            }
        }
        rows.sort_unstable();
        Ok(rows)
    }

    /// Compares the rows with the expected ones.
    ///
    /// # Errors
    /// The first cycle that differs.
    pub(crate) fn check(&self, expected: &Expected) -> Result<(), String> {
        let of_snapshot = |table: Table, day: u32| {
            let mut later = expected.published.range((table, day + 1)..);
            table == Table::People && later.next().is_some_and(|((of, _), _)| *of == table)
        };
        for ((table, day), published) in &expected.published {
            if of_snapshot(*table, *day) {
                continue;
            }
            let at = format!("{} {} ({day})", table.name(), cycle(*day));
            let Some(loaded) = self.loaded.get(&(*table, cycle(*day))) else {
                return Err(format!("{at} is not published"));
            };
            if loaded.rows != published.rows {
                return Err(format!(
                    "{at} r{} has the rows {:?} instead of {:?}",
                    loaded.revision, loaded.rows, published.rows
                ));
            }
            if loaded.revision != published.revision {
                return Err(format!(
                    "{at} is r{} instead of r{}",
                    loaded.revision, published.revision
                ));
            }
        }
        let known: BTreeSet<(Table, String)> = expected
            .published
            .keys()
            .map(|(table, day)| (*table, cycle(*day)))
            .collect();
        match self.loaded.keys().find(|key| !known.contains(*key)) {
            Some(key) => Err(format!("{key:?} is published")),
            None => Ok(()),
        }
    }

    /// Returns the number of rows, and checks that no row is there twice.
    pub(crate) fn count(&self) -> Result<u64, String> {
        let mut seen: BTreeSet<(Table, Exported)> = BTreeSet::new();
        for ((table, cycle), loaded) in &self.loaded {
            for row in loaded.rows.iter().filter(|_| *table != Table::People) {
                if !seen.insert((*table, *row)) {
                    return Err(format!(
                        "{table:?} {cycle} has the row {row:?} a second time"
                    ));
                }
            }
        }
        Ok(seen.len() as u64)
    }

    /// Checks that the newest marker of each cycle names the newest manifests as they are, and that each
    /// cycle of all tables has one.
    pub(crate) fn check_markers(&self, expected: &Expected) -> Result<(), String> {
        let markers: BTreeMap<String, (u32, Value)> = newest(&self.folder.join("cycles"))
            .into_iter()
            .map(|((cycle, revision), path)| Ok((cycle, (revision, json(&path)?))))
            .collect::<Result<_, String>>()?;
        let days: BTreeSet<u32> = expected.published.keys().map(|(_, day)| *day).collect();
        for day in days {
            let is_published = |table| expected.published.contains_key(&(table, day));
            let Some((revision, marker)) = markers.get(&cycle(day)) else {
                if TABLES.into_iter().all(is_published) {
                    return Err(format!("the complete cycle {} has no marker", cycle(day)));
                }
                continue;
            };
            let at = format!("the marker {}.r{revision}", cycle(day));
            if marker["state"] == "withdrawn" && expected.half_done.contains(&day) {
                continue;
            }
            if marker["state"] != "complete" {
                return Err(format!("{at} is {}", marker["state"]));
            }
            let tables = marker["tables"].as_array().ok_or("no tables")?;
            for table in tables {
                let key = table["manifest"].as_str().ok_or("no manifest")?;
                let bytes =
                    fs::read(self.folder.join(key)).map_err(|error| format!("{key}: {error}"))?;
                if table["sha256"] != format!("{:x}", Sha256::digest(&bytes)) {
                    return Err(format!("{at} names another {key}"));
                }
            }
            for table in TABLES.into_iter().filter(|table| is_published(*table)) {
                let revision = expected.published[&(table, day)].revision;
                let key = format!("manifests/{}/{}.r{revision}.json", table.name(), cycle(day));
                if !tables.iter().any(|table| table["manifest"] == *key) {
                    return Err(format!("{at} does not name {key}"));
                }
            }
        }
        let latest = json(&self.folder.join("latest.json"));
        let named =
            latest.map(|latest| (latest["cycle"]["id"].clone(), latest["revision"].clone()));
        let newest = markers.last_key_value();
        let newest =
            newest.map(|(cycle, (revision, _))| (cycle.as_str().into(), (*revision).into()));
        match named.clone().ok() == newest {
            true => Ok(()),
            false => Err(format!("latest.json names {named:?} instead of {newest:?}")),
        }
    }

    /// Checks that `data/` has the files of the newest manifests and no others, and that no staged file is
    /// left.
    pub(crate) fn check_files(&self) -> Result<(), String> {
        let mut named = BTreeSet::new();
        for table in TABLES {
            let manifests = newest(&self.folder.join("manifests").join(table.name()));
            for path in current(table, manifests).into_values() {
                let manifest = json(&path)?;
                for file in manifest["files"].as_array().ok_or("no files")? {
                    named.insert(self.folder.join(file["path"].as_str().ok_or("no path")?));
                }
            }
        }
        let mut found = BTreeSet::new();
        files_below(&self.folder.join("data"), &mut found);
        match found.symmetric_difference(&named).next() {
            Some(path) => Err(format!("{} is a stray or missing", path.display())),
            None => Ok(()),
        }
    }
}

/// Returns the entries of the logs that a run has written: table and cycle of each publication.
pub(crate) fn committed_by(folder: &Path, run_id: &str) -> Vec<(Table, String)> {
    let mut found = Vec::new();
    for table in TABLES {
        let mut paths = BTreeSet::new();
        files_below(&folder.join("_dayport/log").join(table.name()), &mut paths);
        for path in paths {
            let Ok(entry) = json(&path) else { continue };
            if entry["run_id"] == run_id && entry["action"]["kind"] == "publish" {
                let cycle = &entry["action"]["manifest"]["cycle"]["id"];
                found.push((table, cycle.as_str().unwrap_or_default().to_owned()));
            }
        }
    }
    found
}

/// Returns all files with their bytes.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut paths = BTreeSet::new();
    files_below(folder, &mut paths);
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap_or_default()))
        .collect()
}

/// Returns the greatest revision of each cycle of a folder.
fn newest(folder: &Path) -> Manifests {
    let mut paths = BTreeSet::new();
    files_below(folder, &mut paths);
    let mut newest: BTreeMap<String, (u32, PathBuf)> = BTreeMap::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((cycle, revision)) = name
            .strip_suffix(".json")
            .and_then(|name| name.split_once(".r"))
        else {
            continue;
        };
        let revision: u32 = revision.parse().unwrap();
        let known = newest.get(cycle).map(|(known, _)| *known);
        if known.is_none_or(|known| known < revision) {
            newest.insert(cycle.to_owned(), (revision, path.clone()));
        }
    }
    newest
        .into_iter()
        .map(|(cycle, (revision, path))| ((cycle, revision), path))
        .collect()
}

/// Of a snapshot, only the newest cycle counts.
fn current(table: Table, mut manifests: Manifests) -> Manifests {
    match table {
        Table::People => manifests.pop_last().into_iter().collect(),
        _ => manifests,
    }
}

fn files_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, found),
            false => {
                found.insert(path);
            }
        }
    }
}

fn json(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}
