//! The record of source files that a published revision lacks, and does not get.
//!
//! `_dayport/late/<table>/<cycle>.r<revision>.<digest>.json`, written once for each state of the sources. It
//! is a note for operators: no run decides anything by it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::cycle::Cycle;
use crate::layout::{ManifestName, TableName};

/// The version of the format. Members may be added, and never change their meaning.
const VERSION: u32 = 1;

/// Source files that arrived or changed after a revision was published, which is not published again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRecord {
    /// The version of the format.
    pub version: u32,
    /// The table.
    pub table: TableName,
    /// The cycle.
    pub cycle: Cycle,
    /// The published revision, which lacks the files.
    pub revision: u32,
    /// The id of the run that found them.
    pub run_id: String,
    /// The time at which it did.
    pub found_at: DateTime<Utc>,
    /// The number of files that were added.
    pub added: u64,
    /// The number of files that were changed.
    pub changed: u64,
    /// The URLs of the first of these files.
    pub files: Vec<String>,
    /// The reason why the cycle is not published again.
    #[serde(flatten)]
    pub reason: LateReason,
}

/// The reason why a cycle is not published again for its late files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum LateReason {
    /// It has been final since this time.
    Final {
        /// The time.
        since: DateTime<Utc>,
    },
    /// Source files that it was read from are gone, and their rows would be lost.
    SourceGone {
        /// The URL of the first of them.
        first: String,
    },
    /// Its query gives other rows each time, and it was published again once.
    NotComparable,
}

impl LateRecord {
    /// Creates the record of a revision. The counts, the files and the reason are to be filled in.
    pub fn new(
        name: &ManifestName,
        run_id: &str,
        found_at: DateTime<Utc>,
        reason: LateReason,
    ) -> Self {
        Self {
            version: VERSION,
            table: name.table.clone(),
            cycle: name.cycle,
            revision: name.revision,
            run_id: run_id.to_owned(),
            found_at,
            added: 0,
            changed: 0,
            files: Vec::new(),
            reason,
        }
    }

    /// Parses a record. Returns `None` for what is none, or of a newer version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.version <= VERSION).then_some(record)
    }

    /// Returns the number of files.
    pub fn count(&self) -> u64 {
        self.added.saturating_add(self.changed)
    }
}
