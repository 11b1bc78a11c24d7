//! The commit log of a table: one immutable object for each commit, numbered from 1.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::cycle::Cycle;
use crate::error::{Error, Result};
use crate::layout::{self, Partition, Shard, TableName};
use crate::manifest::Manifest;
use crate::staged::UploadToken;
use crate::store::Destination;

/// The version of the entries that are written, and the only one that is read.
const VERSION: u32 = 1;

/// One commit of a table: an immutable entry of its log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    version: u32,
    pub sequence: u64,
    /// The run that wrote the entry; identifies whose create-if-absent put won.
    pub run_id: String,
    pub written_at: DateTime<Utc>,
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
    /// Cycles whose replacement was voided half-way: they have to be published again although they
    /// have a manifest.
    #[serde(default, rename = "damaged")]
    pub needs_republish: BTreeSet<Cycle>,
}

/// The greatest retired shard number of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RetiredNumber {
    pub partition: Partition,
    pub number: u64,
}

impl TableState {
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
            action,
            state,
        }
    }

    /// Returns the cycle that the entry publishes or voids.
    pub(crate) fn cycle(&self) -> Cycle {
        match &self.action {
            LogAction::Publish { manifest, .. } => manifest.cycle.id,
            LogAction::Void { cycle, .. } => *cycle,
        }
    }

    /// Serializes the entry as it is stored.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::internal("cannot write a log entry").with_source(error))
    }
}

/// Reads one entry. Returns `None` if it does not exist.
///
/// # Errors
/// Fails if the object is not an entry of this version with this sequence number.
pub(super) async fn read(
    destination: &Destination,
    table: &TableName,
    sequence: u64,
) -> Result<Option<LogEntry>> {
    let key = layout::log_entry(table, sequence);
    let Some(text) = destination.get(&key).await? else {
        return Ok(None);
    };
    let entry: LogEntry = serde_json::from_slice(&text).map_err(|error| {
        Error::data(format!("`{key}` is not an entry of the commit log"))
            .with_source(error)
            .with_hint("was it written by a newer dayport?")
    })?;
    if entry.version != VERSION || entry.sequence != sequence {
        return Err(Error::data(format!(
            "`{key}` is entry {} of version {}, which is not expected at this key",
            entry.sequence, entry.version
        )));
    }
    Ok(Some(entry))
}

/// Reads the newest entry. Returns `None` if the table has no log yet.
pub(crate) async fn newest(
    destination: &Destination,
    table: &TableName,
) -> Result<Option<LogEntry>> {
    let objects = destination.list(&layout::log_folder(table)).await?;
    let sequences = objects
        .iter()
        .filter_map(|object| layout::parse_log_entry(&object.location));
    let Some(sequence) = sequences.map(|(_, sequence)| sequence).max() else {
        return Ok(None);
    };
    read(destination, table, sequence).await
}

#[cfg(test)]
mod tests {
    use super::*;

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
