//! Manifests: the published record of one table and one cycle, which proves that it is complete.
//!
//! Version 1. Members may be added without a new version, so readers ignore unknown members; a member
//! never changes its meaning. The JSON schema is `docs/manifest.v1.schema.json`. The text of a manifest
//! ends with a checksum of itself, which is no member of [`Manifest`].

mod audit_record;
mod checksum;
mod cycle_marker;
mod late_record;
mod record_header;

pub use audit_record::{AuditRecord, AuditSeverity, AuditVerdict};
pub use cycle_marker::{
    CycleMarker, FailedRerun, LatestCycle, MarkedTable, MarkerState, NextCycle,
};
pub use late_record::{LateReason, LateRecord};
pub use record_header::WRITER;
pub(crate) use record_header::{RecordHeader, RecordKind};

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::books::Balance;
use crate::cycle::{Cycle, SyncMode};
use crate::error::{Error, Result};
use crate::layout::{FileFormat, ManifestName, NullPartitions, Partition, TableName};
use crate::schema::ExportSchema;

/// The version of the manifests that are written, and the only one that is read.
pub const VERSION: u32 = 1;

const KIND: RecordKind = RecordKind {
    name: "a manifest",
    version: VERSION,
};

/// The manifest of one revision of one table and cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the manifest's format.
    pub version: u32,
    /// The table.
    pub table: TableName,
    /// The leading comment of the definition.
    pub description: String,
    /// The sync mode: cycles append to the table, or replace it.
    pub sync_mode: SyncMode,
    /// The cycle that is published.
    pub cycle: CycleRecord,
    /// 0 for the first publication of the cycle; a rerun adds 1.
    pub revision: u32,
    /// The id of the run that published the cycle.
    pub run_id: String,
    /// The time at which the run started.
    pub started_at: DateTime<Utc>,
    /// The time of the commit.
    pub committed_at: DateTime<Utc>,
    /// The program that wrote it, with its version.
    pub writer: String,
    /// The format of the files.
    pub format: FileFormat,
    /// The compression of the files: `gzip`, `snappy`, …
    pub compression: String,
    /// The partition columns in the order of the folders; their values are only in the paths.
    pub partition_by: ExportSchema,
    /// The values of folders for rows that have NULL in a partition column.
    #[serde(default, skip_serializing_if = "NullPartitions::is_empty")]
    pub null_partitions: NullPartitions,
    /// The column that the window selects by, if the files contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_column: Option<String>,
    /// The columns inside the files.
    pub schema: ExportSchema,
    /// The version of the table's schema, which `schema/<table>/v<version>.json` describes. Absent in
    /// manifests from before there were versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
    /// The definition that the table was exported by.
    pub definition: DefinitionRecord,
    /// The results of the table's audits, in the order of their file; empty without such a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audits: Vec<AuditRecord>,
    /// The sources that were read, by name.
    pub sources: Vec<SourceRecord>,
    /// The rows that were read against those that were exported. Absent in manifests from before there
    /// were books.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// The sources that were not ready when the cycle was published: it is provisional. Empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisional: Vec<UnreadySource>,
    /// The reason why the cycle was published again by itself; absent for first publications and for reruns
    /// on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The time until which source files that arrive late make a new revision; absent for snapshots and in
    /// manifests from before there were such revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_after: Option<DateTime<Utc>>,
    /// The sum over `files`.
    pub rows: u64,
    /// The sum over `files`.
    pub bytes: u64,
    /// The files, by key.
    pub files: Vec<DataFile>,
    /// The files of rejects of each source that has malformed lines: several if these are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<RejectsFile>,
    /// The files of the replaced manifest that this one does not name; they are deleted.
    pub replaced: Vec<String>,
}

impl Manifest {
    /// Returns the name that the manifest is published under.
    pub fn name(&self) -> ManifestName {
        ManifestName {
            table: self.table.clone(),
            cycle: self.cycle.id,
            revision: self.revision,
        }
    }

    /// Parses a published manifest. `key` is its key, for errors.
    ///
    /// # Errors
    /// [`Error::outdated`] for a manifest of a newer version; [`Error::data`] for anything else that is
    /// not a manifest as it was written.
    pub fn parse(key: &Path, text: &[u8]) -> Result<Self> {
        let header = RecordHeader::parse(KIND, key, text)?;
        serde_json::from_slice(text).map_err(|error| header.unreadable(KIND, key, error))
    }

    /// Serializes the manifest as it is published, with its checksum.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::internal("cannot write a manifest").with_source(error))?;
        text.push(b'\n');
        Ok(checksummed(text))
    }
}

/// Appends a checksum of itself to the text of a record, a JSON object with members.
pub(crate) fn checksummed(text: Vec<u8>) -> Vec<u8> {
    checksum::append(text)
}

/// Keeps of the newest manifests of every cycle, oldest first, those whose files make up the table: the
/// last snapshot, which replaced all that was before it, and what was added later.
pub(crate) fn current(mut manifests: Vec<Manifest>) -> Vec<Manifest> {
    let last = manifests
        .iter()
        .rposition(|manifest| manifest.sync_mode == SyncMode::Snapshot);
    manifests.drain(..last.unwrap_or(0));
    manifests
}

/// The reason why a cycle was published again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// Source files arrived or changed after the cycle was published.
    LateSource {
        /// The number of files that were added.
        added: u64,
        /// The number of files that were changed.
        changed: u64,
        /// The URLs of the first of these files.
        files: Vec<String>,
        /// The rows of this revision less those of the one before.
        rows_difference: i64,
    },
}

/// A source that was not ready when a cycle was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadySource {
    /// The name of the source.
    pub name: String,
    /// The rule that did not hold, as a sentence.
    pub reason: String,
}

/// The window of a cycle, half-open: `[start, end)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleRecord {
    /// The UTC day.
    pub id: Cycle,
    /// The start of the window, inclusive.
    pub start: DateTime<Utc>,
    /// The end of the window, exclusive.
    pub end: DateTime<Utc>,
}

impl From<Cycle> for CycleRecord {
    fn from(cycle: Cycle) -> Self {
        Self {
            id: cycle,
            start: cycle.start(),
            end: cycle.end(),
        }
    }
}

/// The record of the definition that produced the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefinitionRecord {
    /// The file's name, without its folder.
    pub file: String,
    /// The SHA-256 of the definition's text, hexadecimal.
    pub sha256: String,
    /// The SHA-256 of the text of the table's audits, hexadecimal; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audits_sha256: Option<String>,
    /// The values of the parameters beyond the window.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// The record of what was read from one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The name of the source.
    pub name: String,
    /// The number of files in the file list snapshot.
    pub files: u64,
    /// The sum of their stored (compressed) sizes.
    pub bytes: u64,
    /// The number of rows read.
    pub rows_read: u64,
    /// The number of malformed lines that were set aside.
    pub rows_rejected: u64,
    /// The columns that were read and for which no line had a value, such as `user.id`. Only JSON
    /// sources have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_values: Vec<String>,
    /// The SHA-256 of the file list snapshot: one line `key TAB size TAB etag` per file, sorted by key.
    pub digest: String,
    /// The folders and files that the listing passed over, because they are no data by their names or are not
    /// of the declared pattern. Absent if there are none, and in manifests from before it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<PassedOverRecord>,
    /// The rows outside of the time of their folder, which no cycle exports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misplaced: Option<MisplacedRecord>,
}

/// The record of folders and files that a listing passed over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PassedOverRecord {
    /// Their number. A folder counts once, whatever is in it.
    pub count: u64,
    /// The URLs of the first of them. Those of folders end with a slash.
    pub names: Vec<String>,
}

/// The record of rows that lie outside of the time of their folder so that no cycle exports them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisplacedRecord {
    /// The number of rows.
    pub rows: u64,
    /// The `time_slack` with which cycles would export them, in seconds.
    pub slack_seconds: u64,
    /// The number of files with such rows.
    pub file_count: u64,
    /// The first of these files.
    pub files: Vec<MisplacedFile>,
}

/// A file with misplaced rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisplacedFile {
    /// The file's URL.
    pub file: String,
    /// The number of rows.
    pub rows: u64,
}

/// A file of rejects, malformed lines of one source: gzip JSON lines with `file`, `line`,
/// `offset`, `field` and `reason`, and no value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejectsFile {
    /// The name of the source.
    pub source: String,
    /// The key, relative to the prefix of the destination.
    pub path: String,
    /// The number of malformed lines in the file.
    pub rows: u64,
    /// The compressed size of the file, in bytes.
    pub bytes: u64,
    /// The ETag from the store, without quotes; absent if the store has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The SHA-256 of the file's bytes, hexadecimal.
    pub sha256: String,
}

/// The record of one data file of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// The key, relative to the prefix of the destination.
    pub path: String,
    /// The Hive partition of the file.
    pub partition: Partition,
    /// The number of rows.
    pub rows: u64,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// The ETag from the store, without quotes; absent if the store has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The SHA-256 of the file's bytes, hexadecimal.
    pub sha256: String,
    /// The minimum of the window column, if the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_min: Option<DateTime<Utc>>,
    /// The maximum of the window column, if the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_max: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// A manifest as it was written before there were checksums.
    const VERSION_1: &str = include_str!("../tests/it/manifest/v1.json");

    #[test]
    fn every_flipped_bit_is_noticed_or_harmless() {
        let key = Path::from("manifests/t/2026-01-15.r0.json");
        let manifest = Manifest::parse(&key, VERSION_1.as_bytes()).unwrap();
        let written = manifest.to_json().unwrap();
        let mut harmless = 0;
        for index in 0..written.len() {
            for bit in 0..8 {
                let mut flipped = written.clone();
                flipped[index] ^= 1 << bit;
                match Manifest::parse(&key, &flipped) {
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Data, "{index}: {error}"),
                    // Only the name of the checksum can become that of an unknown member.
                    Ok(parsed) => {
                        assert_eq!(parsed, manifest, "byte {index}, bit {bit}");
                        harmless += 1;
                    }
                }
            }
        }
        assert!(harmless < 8 * "checksum".len(), "{harmless}");
        assert_eq!(Manifest::parse(&key, &written).unwrap(), manifest);
    }

    #[test]
    fn a_manifest_without_a_checksum_is_read_as_before() {
        let key = Path::from("manifests/t/2026-01-15.r0.json");
        assert!(Manifest::parse(&key, VERSION_1.as_bytes()).is_ok());
        let elsewhere = VERSION_1.replacen('{', r#"{"checksum": "sha256:00","#, 1);
        let error = Manifest::parse(&key, elsewhere.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[test]
    fn a_newer_manifest_names_its_writer() {
        let key = Path::from("manifests/t/2026-01-15.r0.json");
        let newer = VERSION_1
            .replacen("\"version\": 1", "\"version\": 2", 1)
            .replacen("dayport 0.1.0", "dayport 7.5.0", 1);
        for text in [newer.clone().into_bytes(), checksummed(newer.into_bytes())] {
            let error = Manifest::parse(&key, &text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Outdated);
            assert!(
                error.to_string().contains("dayport 7.5.0 wrote it"),
                "{error}"
            );
        }
        let unknown = VERSION_1.replacen("\"incremental\"", "\"hourly\"", 1);
        let error = Manifest::parse(&key, unknown.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "it may be damaged");
        let error = Manifest::parse(&key, &checksummed(unknown.into_bytes())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Outdated, "it is as it was written");
    }
}
