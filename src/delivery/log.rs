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

/// The version written, and the only one there is.
const VERSION: u32 = 1;

/// One commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    version: u32,
    pub sequence: u64,
    /// The run that wrote the entry: tells whose create-if-absent put won.
    pub run_id: String,
    pub written_at: DateTime<Utc>,
    pub action: Action,
    /// What later entries must know, carried from entry to entry.
    pub memory: Memory,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Publishes a manifest, as soon as its uploads are completed.
    Publish {
        /// Without the ETags, which are known when the uploads are completed.
        manifest: Box<Manifest>,
        /// One for each file that the manifest names.
        uploads: Vec<PendingUpload>,
    },
    /// Takes back the entry before it, whose uploads could not be completed any more.
    Void {
        cycle: Cycle,
        /// What that entry had made visible, to be deleted.
        delete: Vec<String>,
        reason: String,
    },
}

/// An upload of which only the completion is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingUpload {
    /// The final key, relative to the prefix.
    pub path: String,
    pub bytes: u64,
    pub token: UploadToken,
    /// The ETag of the file that the upload replaces under the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces_etag: Option<String>,
}

/// What the whole log says, in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// For each partition the greatest shard number that was given up; never used again.
    #[serde(default)]
    pub retired: Vec<Retired>,
    /// Cycles whose replacement was voided half-way: to be published again although they have a
    /// manifest.
    #[serde(default)]
    pub damaged: BTreeSet<Cycle>,
}

/// The greatest shard number given up in one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retired {
    pub partition: Partition,
    pub number: u64,
}

impl Memory {
    /// The retired numbers by partition.
    pub fn retired(&self) -> BTreeMap<Partition, u64> {
        let retired = self.retired.iter();
        retired
            .map(|retired| (retired.partition.clone(), retired.number))
            .collect()
    }

    /// Remembers that the names of these files were given up.
    pub fn retire<'a>(&mut self, paths: impl IntoIterator<Item = &'a str>) {
        let mut retired = self.retired();
        for path in paths {
            let shard = layout::recorded(path).ok();
            if let Some(shard) = shard.and_then(|path| Shard::parse(&path)) {
                let greatest = retired.entry(shard.partition).or_insert(shard.number);
                *greatest = shard.number.max(*greatest);
            }
        }
        self.retired = retired
            .into_iter()
            .map(|(partition, number)| Retired { partition, number })
            .collect();
    }
}

impl LogEntry {
    pub fn new(
        sequence: u64,
        run_id: &str,
        written_at: DateTime<Utc>,
        action: Action,
        memory: Memory,
    ) -> Self {
        Self {
            version: VERSION,
            sequence,
            run_id: run_id.to_owned(),
            written_at,
            action,
            memory,
        }
    }

    /// The cycle that the entry is about.
    pub fn cycle(&self) -> Cycle {
        match &self.action {
            Action::Publish { manifest, .. } => manifest.cycle.id,
            Action::Void { cycle, .. } => *cycle,
        }
    }

    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::internal("cannot write a log entry").with_source(error))
    }
}

/// Reads one entry; `None` if there is none.
pub async fn read(
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
            "`{key}` is entry {} of version {}, which does not belong there",
            entry.sequence, entry.version
        )));
    }
    Ok(Some(entry))
}

/// Reads the newest entry; `None` if the table has no log yet.
pub async fn newest(destination: &Destination, table: &TableName) -> Result<Option<LogEntry>> {
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
    fn the_greatest_number_given_up_is_remembered_for_each_partition() {
        let mut memory = Memory::default();
        memory.retire([
            "data/t/day=1/data-000000000002.parquet",
            "data/t/day=1/data-000000000001.parquet",
            "data/t/data-000000000000.json.gz",
        ]);
        memory.retire(["data/t/data-000000000004.json.gz", "not a shard"]);
        let numbers: Vec<(String, u64)> = memory
            .retired()
            .into_iter()
            .map(|(partition, number)| (partition.to_string(), number))
            .collect();
        assert_eq!(numbers, [("".to_owned(), 4), ("day=1".to_owned(), 2)]);
    }
}
