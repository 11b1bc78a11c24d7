//! The commit log of a table: one immutable object for each commit, numbered from 1.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::cycle::Cycle;
use crate::error::{Error, Result};
use crate::layout::{self, MAX_SEQUENCE, Partition, Shard};
use crate::manifest::{Manifest, WRITER};
use crate::schema_version::SchemaVersion;
use crate::staged::UploadToken;

/// The version of the entries that are written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// One commit of a table: an immutable entry of its log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    version: u32,
    pub sequence: u64,
    /// The run that wrote the entry; identifies whose create-if-absent put won.
    pub run_id: String,
    pub written_at: DateTime<Utc>,
    /// The program that wrote the entry, with its version; absent in entries of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    pub action: LogAction,
    /// The state of the table after this entry, carried from entry to entry.
    #[serde(rename = "memory")]
    pub state: TableState,
}

/// The action of a log entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum LogAction {
    /// Publishes a manifest as soon as its uploads are completed.
    Publish {
        /// The manifest without ETags, which are known once the uploads are completed.
        manifest: Box<Manifest>,
        /// The uploads, one for each file that the manifest names.
        uploads: Vec<PendingUpload>,
    },
    /// Voids the previous entry, whose uploads could not be completed any more.
    Void {
        cycle: Cycle,
        /// Keys of the files that the voided entry had made visible, to be deleted.
        delete: Vec<String>,
        reason: String,
    },
}

/// An upload whose completion is withheld until its entry is committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingUpload {
    /// The final key, relative to the prefix.
    pub path: String,
    pub bytes: u64,
    pub token: UploadToken,
    /// The ETag of the file that the upload replaces under the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces_etag: Option<String>,
}

/// The state that each log entry carries on, so that no older entry has to be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableState {
    /// The greatest shard number that was retired in each partition; such numbers are never reused.
    #[serde(default)]
    pub retired: Vec<RetiredNumber>,
    /// Cycles that have to be published again: those whose replacement was voided half-way, although
    /// they have a manifest, and a voided one before all others.
    #[serde(default, rename = "damaged")]
    pub needs_republish: BTreeSet<Cycle>,
    /// The newest version of the schema; absent in entries from before there were versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaVersion>,
    /// The columns of each JSON source for which a line of some cycle had a value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with_values: BTreeMap<String, BTreeSet<String>>,
}

/// The greatest retired shard number of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RetiredNumber {
    pub partition: Partition,
    pub number: u64,
}

impl TableState {
    /// Notes the columns of a source for which a line had a value.
    pub(crate) fn note_values(&mut self, source: &str, columns: &BTreeSet<String>) {
        if !columns.is_empty() {
            let noted = self.with_values.entry(source.to_owned()).or_default();
            noted.extend(columns.iter().cloned());
        }
    }

    /// Returns true if a line of some cycle had a value of the column.
    pub(crate) fn had_values(&self, source: &str, column: &str) -> bool {
        let noted = self.with_values.get(source);
        noted.is_some_and(|columns| columns.contains(column))
    }

    /// Returns the retired numbers by partition.
    pub(crate) fn retired(&self) -> BTreeMap<Partition, u64> {
        self.retired
            .iter()
            .map(|retired| (retired.partition.clone(), retired.number))
            .collect()
    }

    /// Retires the names of these files. Keys that are no shards are ignored.
    pub(crate) fn retire<'a>(&mut self, paths: impl IntoIterator<Item = &'a str>) {
        let mut retired = self.retired();
        for path in paths {
            let key = layout::parse_recorded(path).ok();
            if let Some(shard) = key.and_then(|key| Shard::parse(&key)) {
                let greatest = retired.entry(shard.partition).or_insert(shard.number);
                *greatest = shard.number.max(*greatest);
            }
        }
        self.retired = retired
            .into_iter()
            .map(|(partition, number)| RetiredNumber { partition, number })
            .collect();
    }
}

impl LogEntry {
    /// Creates an entry of the current version.
    pub(crate) fn new(
        sequence: u64,
        run_id: &str,
        written_at: DateTime<Utc>,
        action: LogAction,
        state: TableState,
    ) -> Self {
        Self {
            version: VERSION,
            sequence,
            run_id: run_id.to_owned(),
            written_at,
            writer: Some(WRITER.to_owned()),
            action,
            state,
        }
    }

    /// Returns the sequence number of the entry after this one.
    ///
    /// # Errors
    /// [`Error::data`] if there is none.
    pub(crate) fn next_sequence(&self) -> Result<u64> {
        let next = self.sequence.checked_add(1);
        next.filter(|next| *next <= MAX_SEQUENCE).ok_or_else(|| {
            Error::data(format!(
                "the log has the entry {}, and no number comes after it",
                self.sequence
            ))
            .with_hint("does the newest entry of the log belong to the table?")
        })
    }

    /// Returns the cycle that the entry publishes or voids.
    pub(crate) fn cycle(&self) -> Cycle {
        match &self.action {
            LogAction::Publish { manifest, .. } => manifest.cycle.id,
            LogAction::Void { cycle, .. } => *cycle,
        }
    }

    /// Returns the manifest that the entry publishes, if it publishes one.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match &self.action {
            LogAction::Publish { manifest, .. } => Some(manifest),
            LogAction::Void { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sequence_number_comes_after_the_greatest() {
        let text = include_str!("../../tests/it/version_skew/void.v1.json");
        let mut entry: LogEntry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.next_sequence().unwrap(), 3);
        for last in [MAX_SEQUENCE, u64::MAX] {
            entry.sequence = last;
            assert!(entry.next_sequence().is_err());
        }
    }

    #[test]
    fn the_greatest_retired_number_of_each_partition_is_kept() {
        let mut state = TableState::default();
        state.retire([
            "data/t/day=1/data-000000000002.parquet",
            "data/t/day=1/data-000000000001.parquet",
            "data/t/data-000000000000.json.gz",
        ]);
        state.retire(["data/t/data-000000000004.json.gz", "not a shard"]);
        let numbers: Vec<(String, u64)> = state
            .retired()
            .into_iter()
            .map(|(partition, number)| (partition.to_string(), number))
            .collect();
        assert_eq!(numbers, [("".to_owned(), 4), ("day=1".to_owned(), 2)]);
    }
}
