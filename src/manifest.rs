//! The published record of one table and one cycle: the proof that it is complete.
//!
//! Version 1. Members may be added without a new version, so readers ignore what they do not know;
//! a member never changes its meaning. The JSON schema is `docs/manifest.v1.schema.json`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::cycle::{Cycle, SyncMode};
use crate::error::{Error, Result};
use crate::layout::{FileFormat, ManifestName, Partition, TableName};
use crate::schema::ExportSchema;

/// The version written, and the only one there is.
pub const VERSION: u32 = 1;

/// One table, one cycle, one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    pub table: TableName,
    /// The leading comment of the definition.
    pub description: String,
    pub sync_mode: SyncMode,
    pub cycle: CycleRecord,
    /// 0 for the first publication of the cycle; a rerun adds 1.
    pub revision: u32,
    pub run_id: String,
    pub started_at: DateTime<Utc>,
    pub committed_at: DateTime<Utc>,
    /// Program and version.
    pub writer: String,
    pub format: FileFormat,
    /// `gzip`, `snappy`, …
    pub compression: String,
    /// The partition columns in the order of the folders; their values are in the path only.
    pub partition_by: ExportSchema,
    /// The column that the window selects by, where the files contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_column: Option<String>,
    /// The columns inside the files.
    pub schema: ExportSchema,
    pub definition: DefinitionRecord,
    pub sources: Vec<SourceRecord>,
    /// The sum over `files`.
    pub rows: u64,
    /// The sum over `files`.
    pub bytes: u64,
    pub files: Vec<DataFile>,
    /// Where the malformed lines of the sources are, one file for each source that has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<RejectsFile>,
    /// Files of the replaced manifest that this one does not name; they are deleted.
    pub replaced: Vec<String>,
}

impl Manifest {
    /// The name it is published under.
    pub fn name(&self) -> ManifestName {
        ManifestName {
            table: self.table.clone(),
            cycle: self.cycle.id,
            revision: self.revision,
        }
    }

    /// Parses a published manifest; `key` is named in errors.
    pub fn parse(key: &Path, text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |error| Error::data(format!("`{key}` is not a manifest")).with_source(error);
        let Versioned { version } = serde_json::from_slice(text).map_err(damaged)?;
        if version != VERSION {
            return Err(Error::data(format!(
                "`{key}` is a manifest of version {version}; this program reads version {VERSION}"
            ))
            .with_hint("use a newer dayport"));
        }
        serde_json::from_slice(text).map_err(damaged)
    }

    /// The published text.
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
    pub id: Cycle,
    pub start: DateTime<Utc>,
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

/// The query that made the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefinitionRecord {
    /// The file's name, without its folder.
    pub file: String,
    /// Of the file's text, hexadecimal.
    pub sha256: String,
    /// The parameters given beyond the window.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// What was read of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    pub name: String,
    /// How many files were in the frozen list.
    pub files: u64,
    /// Their size as stored.
    pub bytes: u64,
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// SHA-256 of the frozen list: one line `key TAB size TAB etag` a file, sorted by key.
    pub digest: String,
}

/// The malformed lines that were set aside in one source: gzip JSON lines with `file`, `line`,
/// `offset` and `reason`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejectsFile {
    pub source: String,
    /// Relative to the prefix of the destination.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    /// As the store gives it, without quotes; absent where the store has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Of the file's bytes, hexadecimal.
    pub sha256: String,
}

/// One file of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Relative to the prefix of the destination.
    pub path: String,
    pub partition: Partition,
    pub rows: u64,
    pub bytes: u64,
    /// As the store gives it, without quotes; absent where the store has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Of the file's bytes, hexadecimal.
    pub sha256: String,
    /// The least value of the window column, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_min: Option<DateTime<Utc>>,
    /// The greatest value of the window column, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_max: Option<DateTime<Utc>>,
}
