//! Manifests: the published record of one table and one cycle, which proves that it is complete.
//!
//! Version 1. Members may be added without a new version, so readers ignore unknown members; a member
//! never changes its meaning. The JSON schema is `docs/manifest.v1.schema.json`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::cycle::{Cycle, SyncMode};
use crate::error::{Error, Result};
use crate::layout::{FileFormat, ManifestName, Partition, TableName};
use crate::schema::ExportSchema;

/// The version of the manifests that are written, and the only one that is read.
pub const VERSION: u32 = 1;

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
    /// The column that the window selects by, if the files contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_column: Option<String>,
    /// The columns inside the files.
    pub schema: ExportSchema,
    /// The definition that the table was exported by.
    pub definition: DefinitionRecord,
    /// The sources that were read, by name.
    pub sources: Vec<SourceRecord>,
    /// The sum over `files`.
    pub rows: u64,
    /// The sum over `files`.
    pub bytes: u64,
    /// The files, by key.
    pub files: Vec<DataFile>,
    /// The files of rejects, one for each source that has malformed lines.
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
    /// Fails on anything but a manifest of the current version.
    pub fn parse(key: &Path, text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed =
            |error| Error::data(format!("`{key}` is not a manifest")).with_source(error);
        let Versioned { version } = serde_json::from_slice(text).map_err(malformed)?;
        if version != VERSION {
            return Err(Error::data(format!(
                "`{key}` is a manifest of version {version}; this program reads version {VERSION}"
            ))
            .with_hint("use a newer dayport"));
        }
        serde_json::from_slice(text).map_err(malformed)
    }

    /// Serializes the manifest as it is published.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::internal("cannot write a manifest").with_source(error))?;
        text.push(b'\n');
        Ok(text)
    }
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
    /// The SHA-256 of the file list snapshot: one line `key TAB size TAB etag` per file, sorted by key.
    pub digest: String,
}

/// A file of rejects, the malformed lines of one source: gzip JSON lines with `file`, `line`,
/// `offset` and `reason`.
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
