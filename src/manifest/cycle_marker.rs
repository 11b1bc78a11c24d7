//! Cycle markers: the record that every table of a cycle is published, and by which manifests.
//!
//! Version 1, with the same rules as manifests: members may be added, and never change their meaning.
//! The JSON schemas are `docs/cycle.v1.schema.json` and `docs/latest.v1.schema.json`.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::cycle::{Cycle, SyncMode};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{CycleMarkerName, ManifestName, TableName};
use crate::manifest::{CycleRecord, Manifest, RecordHeader, RecordKind, WRITER, checksummed};

const VERSION: u32 = 1;

const MARKER: RecordKind = RecordKind {
    name: "a cycle marker",
    version: VERSION,
};

const LATEST: RecordKind = RecordKind {
    name: "the hint of the newest complete cycle",
    version: VERSION,
};

/// What a marker says of its cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkerState {
    /// Every table of the cycle is published.
    Complete,
    /// What an earlier revision of the marker said is no longer true: a rerun replaced some of its
    /// tables, or lost files of them, and failed for others.
    Withdrawn,
}

/// One revision of the marker of a cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleMarker {
    /// The version of the marker's format.
    pub version: u32,
    /// The cycle.
    pub cycle: CycleRecord,
    /// 0 for the first marker of the cycle. A later one has a greater revision; it is not the revision
    /// of any table.
    pub revision: u32,
    /// The statement about the cycle.
    pub state: MarkerState,
    /// The id of the run that wrote the marker.
    pub run_id: String,
    /// The time at which the marker was written, by the clock of the run.
    pub written_at: DateTime<Utc>,
    /// The program that wrote it, with its version.
    pub writer: String,
    /// The manifests that make up the cycle, by table; none if the marker is withdrawn.
    pub tables: Vec<MarkedTable>,
    /// The tables that a withdrawn marker waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<TableName>,
    /// Those of them whose rerun failed. Markers from before there was this member lack it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_reruns: Vec<FailedRerun>,
    /// The sum over `tables`.
    pub rows: u64,
}

/// A table whose rerun failed: the cycle is not complete before it has a greater revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FailedRerun {
    /// The table.
    pub table: TableName,
    /// Its newest revision when the rerun failed; `None` if it had none of the cycle.
    pub revision: Option<u32>,
}

/// A table of a complete cycle, by its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedTable {
    /// The table.
    pub table: TableName,
    /// The sync mode: the cycle added to the table, or replaced it.
    pub sync_mode: SyncMode,
    /// The cycle of the manifest: that of the marker, or for a snapshot possibly a later one.
    pub cycle: Cycle,
    /// The revision of the manifest.
    pub revision: u32,
    /// The key of the manifest.
    pub manifest: String,
    /// The SHA-256 of the manifest's bytes, hexadecimal.
    pub sha256: String,
    /// The number of rows of the manifest.
    pub rows: u64,
    /// The size of the files of the manifest, in bytes.
    pub bytes: u64,
    /// The number of files of the manifest.
    pub files: u64,
}

impl MarkedTable {
    /// Creates the entry of a manifest. `sha256` is that of its bytes.
    pub(crate) fn new(manifest: &Manifest, sha256: String) -> Self {
        Self {
            table: manifest.table.clone(),
            sync_mode: manifest.sync_mode,
            cycle: manifest.cycle.id,
            revision: manifest.revision,
            manifest: manifest.name().path().to_string(),
            sha256,
            rows: manifest.rows,
            bytes: manifest.bytes,
            files: manifest.files.len() as u64,
        }
    }

    /// Returns the name of the manifest.
    pub fn name(&self) -> ManifestName {
        ManifestName {
            table: self.table.clone(),
            cycle: self.cycle,
            revision: self.revision,
        }
    }
}

impl CycleMarker {
    /// Creates the marker `name`, which says that the cycle consists of `tables`.
    pub(crate) fn complete(
        name: CycleMarkerName,
        tables: Vec<MarkedTable>,
        run_id: &str,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            version: VERSION,
            cycle: name.cycle.into(),
            revision: name.revision,
            state: MarkerState::Complete,
            run_id: run_id.to_owned(),
            written_at: now,
            writer: WRITER.to_owned(),
            rows: tables.iter().map(|table| table.rows).sum(),
            tables,
            missing: Vec::new(),
            failed_reruns: Vec::new(),
        }
    }

    /// Creates the marker `name`, which takes back the one before it. The cycle waits for `missing`, of which the
    /// reruns of `failed_reruns` failed.
    pub(crate) fn withdrawn(
        name: CycleMarkerName,
        missing: Vec<TableName>,
        failed_reruns: Vec<FailedRerun>,
        run_id: &str,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            state: MarkerState::Withdrawn,
            missing,
            failed_reruns,
            ..Self::complete(name, Vec::new(), run_id, now)
        }
    }

    /// Returns the name that the marker is written under.
    pub fn name(&self) -> CycleMarkerName {
        CycleMarkerName {
            cycle: self.cycle.id,
            revision: self.revision,
        }
    }

    /// Returns true if the marker says that its cycle is complete.
    pub fn is_complete(&self) -> bool {
        self.state == MarkerState::Complete
    }

    /// Parses a marker. `name` is the one that it was found under.
    ///
    /// # Errors
    /// As [`Manifest::parse`], and if the marker belongs under another name.
    pub fn parse(name: CycleMarkerName, text: &[u8]) -> Result<Self> {
        let key = name.path();
        let header = RecordHeader::parse(MARKER, &key, text).map_err(with_remedy)?;
        let marker: Self =
            serde_json::from_slice(text).map_err(|error| header.unreadable(MARKER, &key, error))?;
        match marker.name() == name {
            true => Ok(marker),
            false => Err(
                Error::data(format!("`{key}` calls itself `{}`", marker.name().path()))
                    .with_hint("restore the marker that belongs there"),
            ),
        }
    }

    /// Serializes the marker as it is written, with its checksum.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        to_text(self, "a cycle marker")
    }
}

/// Adds the advice about a marker that is none, or not as it was written. Nothing depends on markers, which
/// follow from manifests.
fn with_remedy(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Data => error.with_hint(
            "restore the object from a copy, or delete it if it is not from dayport; a run then marks the \
             cycle, and tables do not depend on it",
        ),
        _ => error,
    }
}

/// The hint `latest.json`: the newest complete cycle, and when the next one is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatestCycle {
    /// The version of the format.
    pub version: u32,
    /// The newest complete cycle.
    pub cycle: CycleRecord,
    /// The revision of its marker.
    pub revision: u32,
    /// The key of its marker.
    pub marker: String,
    /// The SHA-256 of the marker's bytes, hexadecimal.
    pub sha256: String,
    /// The time at which the marker was written.
    pub completed_at: DateTime<Utc>,
    /// The cycle that comes next.
    pub next: NextCycle,
    /// The program that wrote the hint, with its version.
    pub writer: String,
}

/// The cycle after the newest complete one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextCycle {
    /// The UTC day.
    pub id: Cycle,
    /// The end of its window: from then on, a run exports it.
    pub due_at: DateTime<Utc>,
}

impl LatestCycle {
    /// Creates the hint that names a complete marker. Returns `None` after the last cycle of all.
    pub(crate) fn of(marker: &CycleMarker, sha256: String) -> Option<Self> {
        let next = marker.cycle.id.next()?;
        Some(Self {
            version: VERSION,
            cycle: marker.cycle.clone(),
            revision: marker.revision,
            marker: marker.name().path().to_string(),
            sha256,
            completed_at: marker.written_at,
            next: NextCycle {
                id: next,
                due_at: next.end(),
            },
            writer: WRITER.to_owned(),
        })
    }

    /// Returns the name of the marker that it names.
    pub(crate) fn name(&self) -> CycleMarkerName {
        CycleMarkerName {
            cycle: self.cycle.id,
            revision: self.revision,
        }
    }

    /// Parses the hint at `key`.
    ///
    /// # Errors
    /// As [`Manifest::parse`].
    pub fn parse(key: &Path, text: &[u8]) -> Result<Self> {
        let header = RecordHeader::parse(LATEST, key, text)?;
        serde_json::from_slice(text).map_err(|error| header.unreadable(LATEST, key, error))
    }

    /// Serializes the hint as it is written, with its checksum.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        to_text(self, "the hint of the newest complete cycle")
    }
}

fn to_text(record: &impl Serialize, what: &str) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(record)
        .map_err(|error| Error::internal(format!("cannot write {what}")).with_source(error))?;
    text.push(b'\n');
    Ok(checksummed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> CycleMarker {
        let name = CycleMarkerName {
            cycle: "2026-01-15".parse().unwrap(),
            revision: 1,
        };
        let table = MarkedTable {
            table: "views".parse().unwrap(),
            sync_mode: SyncMode::Incremental,
            cycle: name.cycle,
            revision: 2,
            manifest: "manifests/views/2026-01-15.r2.json".to_owned(),
            sha256: "0".repeat(64),
            rows: 3,
            bytes: 40,
            files: 1,
        };
        CycleMarker::complete(name, vec![table], "run", name.cycle.end())
    }

    #[test]
    fn a_marker_is_read_back_under_its_own_name_and_as_it_was_written_alone() {
        let marker = marker();
        let text = marker.to_json().unwrap();
        assert_eq!(CycleMarker::parse(marker.name(), &text).unwrap(), marker);
        let other = CycleMarkerName {
            revision: 0,
            ..marker.name()
        };
        let error = CycleMarker::parse(other, &text).unwrap_err().to_string();
        assert!(error.contains("calls itself"), "{error}");
        let changed = String::from_utf8(text)
            .unwrap()
            .replace("\"rows\": 3", "\"rows\": 4");
        let error = CycleMarker::parse(marker.name(), changed.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        let newer = changed.replacen("\"version\": 1", "\"version\": 2", 1);
        let (covered, _) = newer.rsplit_once(",\n  \"checksum\"").unwrap();
        let newer = checksummed(format!("{covered}\n}}\n").into_bytes());
        let error = CycleMarker::parse(marker.name(), &newer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Outdated);
    }

    #[test]
    fn the_hint_says_when_the_next_cycle_is_due() {
        let marker = marker();
        let latest = LatestCycle::of(&marker, "0".repeat(64)).unwrap();
        assert_eq!(latest.name(), marker.name());
        assert_eq!(
            latest.next.due_at,
            "2026-01-17T00:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
        let key = crate::layout::latest_file();
        let text = latest.to_json().unwrap();
        assert_eq!(LatestCycle::parse(&key, &text).unwrap(), latest);
    }
}
