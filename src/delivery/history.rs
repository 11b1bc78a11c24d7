//! What a table's manifests and log say, once everything unfinished is finished.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};

use crate::cycle::Cycle;
use crate::delivery::log::{LogEntry, Memory};
use crate::error::{Error, Result};
use crate::layout::{self, ManifestName, TableName};
use crate::manifest::Manifest;
use crate::store::Destination;

/// Manifests read at once.
const CONCURRENT_READS: usize = 32;

/// Reads a manifest that was listed.
pub async fn read_manifest(destination: &Destination, name: &ManifestName) -> Result<Manifest> {
    let key = name.path();
    let text = destination.get(&key).await?;
    let text =
        text.ok_or_else(|| Error::data(format!("the manifest `{key}` was listed but is gone")))?;
    Manifest::parse(&key, &text)
}

/// The published state of one table, from names alone.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    pub table: TableName,
    /// The number of the next log entry.
    pub next_sequence: u64,
    pub memory: Memory,
    /// The newest revision of each cycle.
    revisions: BTreeMap<Cycle, u32>,
}

impl History {
    /// Lists the manifests of a table. `newest` is the newest entry of its log, finished.
    pub async fn load(
        destination: &Destination,
        table: &TableName,
        newest: Option<&LogEntry>,
    ) -> Result<Self> {
        let manifests = destination.list(&layout::manifest_folder(table)).await?;
        let names = manifests
            .iter()
            .filter_map(|object| ManifestName::parse(&object.location));
        Ok(Self::new(
            table.clone(),
            newest.map_or(1, |entry| entry.sequence + 1),
            newest.map(|entry| entry.memory.clone()).unwrap_or_default(),
            names,
        ))
    }

    fn new(
        table: TableName,
        next_sequence: u64,
        memory: Memory,
        names: impl Iterator<Item = ManifestName>,
    ) -> Self {
        let mut revisions = BTreeMap::new();
        for name in names {
            let newest = revisions.entry(name.cycle).or_insert(name.revision);
            *newest = name.revision.max(*newest);
        }
        Self {
            table,
            next_sequence,
            memory,
            revisions,
        }
    }

    /// As it will be once a publication that is committed is finished.
    #[must_use]
    pub fn assuming(mut self, name: &ManifestName) -> Self {
        self.revisions.insert(name.cycle, name.revision);
        self
    }

    /// The cycles that are published and whole.
    pub fn published(&self) -> BTreeSet<Cycle> {
        let cycles = self.revisions.keys().copied();
        cycles
            .filter(|cycle| !self.memory.damaged.contains(cycle))
            .collect()
    }

    /// The newest manifest of a cycle.
    pub fn newest_of(&self, cycle: Cycle) -> Option<ManifestName> {
        let revision = *self.revisions.get(&cycle)?;
        Some(self.name(cycle, revision))
    }

    /// The newest manifest of the newest cycle.
    pub fn newest(&self) -> Option<ManifestName> {
        let (cycle, revision) = self.revisions.last_key_value()?;
        Some(self.name(*cycle, *revision))
    }

    /// The newest manifest of every cycle, oldest cycle first.
    pub fn current(&self) -> impl Iterator<Item = ManifestName> + '_ {
        self.revisions
            .iter()
            .map(|(cycle, revision)| self.name(*cycle, *revision))
    }

    /// Reads the newest manifest of every cycle, oldest cycle first.
    pub async fn manifests(&self, destination: &Destination) -> Result<Vec<Manifest>> {
        let names: Vec<ManifestName> = self.current().collect();
        let reads: Vec<_> = names
            .iter()
            .map(|name| read_manifest(destination, name))
            .collect();
        futures::stream::iter(reads)
            .buffered(CONCURRENT_READS)
            .try_collect()
            .await
    }

    fn name(&self, cycle: Cycle, revision: u32) -> ManifestName {
        ManifestName {
            table: self.table.clone(),
            cycle,
            revision,
        }
    }

    #[cfg(test)]
    pub fn for_tests(names: &[(&str, u32)], damaged: &[&str]) -> Self {
        let table: TableName = "t".parse().unwrap();
        let memory = Memory {
            damaged: damaged.iter().map(|cycle| cycle.parse().unwrap()).collect(),
            ..Memory::default()
        };
        let names = names.iter().map(|(cycle, revision)| ManifestName {
            table: "t".parse().unwrap(),
            cycle: cycle.parse().unwrap(),
            revision: *revision,
        });
        Self::new(table, 1, memory, names)
    }
}
