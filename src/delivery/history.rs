//! The published state of a table, read from the names of its manifests and its newest log entry.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use crate::cycle::Cycle;
use crate::delivery::log::{LogEntry, TableState};
use crate::delivery::{log_store, reread};
use crate::error::{Error, Result};
use crate::layout::{self, ManifestName, TableName};
use crate::manifest::Manifest;
use crate::store::{CONCURRENCY, Destination};

/// Reads a manifest that a listing named.
///
/// # Errors
/// Fails if it does not exist any more, or is not a manifest of this name that this version can read.
pub(crate) async fn read_manifest(
    destination: &Destination,
    name: &ManifestName,
) -> Result<Manifest> {
    let (manifest, ()) = read_named(destination, name, |_| ()).await?;
    Ok(manifest)
}

/// Reads a manifest as [`read_manifest`] does. Returns it with the SHA-256 of its bytes, hexadecimal.
pub(crate) async fn read_manifest_and_digest(
    destination: &Destination,
    name: &ManifestName,
) -> Result<(Manifest, String)> {
    read_named(destination, name, |text| {
        format!("{:x}", Sha256::digest(text))
    })
    .await
}

async fn read_named<T>(
    destination: &Destination,
    name: &ManifestName,
    derive: impl Fn(&[u8]) -> T,
) -> Result<(Manifest, T)> {
    let key = name.path();
    let gone = || Error::data(format!("the manifest `{key}` was listed but is gone"));
    let parse = |text: &[u8]| {
        let manifest = Manifest::parse(&key, text)?;
        match manifest.name() == *name {
            true => Ok((manifest, derive(text))),
            false => Err(
                Error::data(format!("`{key}` calls itself `{}`", manifest.name()))
                    .with_hint("restore the manifest that belongs there"),
            ),
        }
    };
    let read = reread::read(destination, &key, parse).await?;
    read.ok_or_else(gone)
}

/// The published state of one table, derived from the names of its manifests alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct History {
    pub table: TableName,
    /// The sequence number of the next log entry.
    pub next_sequence: u64,
    /// The time at which the newest log entry was written; absent if the table has no log.
    pub committed_at: Option<DateTime<Utc>>,
    /// The state that the newest log entry carries.
    pub state: TableState,
    /// The keys of foreign objects whose numbers are beyond those of manifests and log entries. They
    /// count for nothing.
    pub foreign: Vec<String>,
    /// The newest revision of each cycle.
    revisions: BTreeMap<Cycle, u32>,
}

/// Reads manifests, in the order of their names.
async fn read_manifests(
    destination: &Destination,
    names: &[ManifestName],
) -> Result<Vec<Manifest>> {
    let reads: Vec<_> = names
        .iter()
        .map(|name| read_manifest(destination, name))
        .collect();
    futures::stream::iter(reads)
        .buffered(CONCURRENCY.manifest_reads)
        .try_collect()
        .await
}

impl History {
    /// Loads the history by listing the table's manifests. `newest` is the newest entry of its log,
    /// with no work of it pending.
    pub(crate) async fn load(
        destination: &Destination,
        table: &TableName,
        newest: Option<&LogEntry>,
    ) -> Result<Self> {
        let manifests = destination.list(&layout::manifest_folder(table)).await?;
        let names = manifests
            .iter()
            .filter_map(|object| ManifestName::parse(&object.location));
        let history = Self::new(
            table.clone(),
            newest.map_or(Ok(1), LogEntry::next_sequence)?,
            newest.map(|entry| entry.written_at),
            newest.map(|entry| entry.state.clone()).unwrap_or_default(),
            names,
        );
        Ok(Self {
            foreign: log_store::beyond_range(&manifests),
            ..history
        })
    }

    fn new(
        table: TableName,
        next_sequence: u64,
        committed_at: Option<DateTime<Utc>>,
        state: TableState,
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
            committed_at,
            state,
            foreign: Vec::new(),
            revisions,
        }
    }

    /// Returns the history as it will be once a committed publication, `name`, is finished.
    #[must_use]
    pub(crate) fn with_published(mut self, name: &ManifestName) -> Self {
        self.revisions.insert(name.cycle, name.revision);
        self
    }

    /// Returns the cycles that are published and need no republishing.
    pub(crate) fn published(&self) -> BTreeSet<Cycle> {
        let cycles = self.revisions.keys().copied();
        cycles
            .filter(|cycle| !self.state.needs_republish.contains(cycle))
            .collect()
    }

    /// Returns the first cycle that was ever published or has to be published again. From it on, runs
    /// without dates publish every cycle.
    pub(crate) fn first(&self) -> Option<Cycle> {
        let cycles = self.revisions.keys().chain(&self.state.needs_republish);
        cycles.min().copied()
    }

    /// Returns the name of the newest manifest of a cycle.
    pub(crate) fn newest_of(&self, cycle: Cycle) -> Option<ManifestName> {
        let revision = *self.revisions.get(&cycle)?;
        Some(self.name(cycle, revision))
    }

    /// Returns the name of the newest manifest of the newest cycle.
    pub(crate) fn newest(&self) -> Option<ManifestName> {
        let (cycle, revision) = self.revisions.last_key_value()?;
        Some(self.name(*cycle, *revision))
    }

    /// Returns the name of the newest manifest of every cycle, oldest cycle first.
    pub(crate) fn current(&self) -> impl Iterator<Item = ManifestName> + '_ {
        self.revisions
            .iter()
            .map(|(cycle, revision)| self.name(*cycle, *revision))
    }

    /// Reads the newest manifest of every cycle, oldest cycle first.
    pub(crate) async fn manifests(&self, destination: &Destination) -> Result<Vec<Manifest>> {
        let names: Vec<ManifestName> = self.current().collect();
        read_manifests(destination, &names).await
    }

    /// Reads the newest manifest of each of the last `count` cycles before a cycle, newest cycle first.
    pub(crate) async fn manifests_before(
        &self,
        destination: &Destination,
        cycle: Cycle,
        count: u32,
    ) -> Result<Vec<Manifest>> {
        let earlier = self.revisions.range(..cycle).rev();
        let names: Vec<ManifestName> = earlier
            .take(usize::try_from(count).unwrap_or(usize::MAX))
            .map(|(cycle, revision)| self.name(*cycle, *revision))
            .collect();
        read_manifests(destination, &names).await
    }

    fn name(&self, cycle: Cycle, revision: u32) -> ManifestName {
        ManifestName {
            table: self.table.clone(),
            cycle,
            revision,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(names: &[(&str, u32)], needs_republish: &[&str]) -> Self {
        let table: TableName = "t".parse().unwrap();
        let state = TableState {
            needs_republish: needs_republish
                .iter()
                .map(|cycle| cycle.parse().unwrap())
                .collect(),
            ..TableState::default()
        };
        let names = names.iter().map(|(cycle, revision)| ManifestName {
            table: "t".parse().unwrap(),
            cycle: cycle.parse().unwrap(),
            revision: *revision,
        });
        Self::new(table, 1, None, state, names)
    }
}
