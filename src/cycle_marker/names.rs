//! The names of all manifests and markers of a destination, each from one listing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;

use crate::cycle::Cycle;
use crate::error::Result;
use crate::layout::{self, CycleMarkerName, ManifestName, TableName};
use crate::store::Destination;

/// The number of cycles, up to one, in which a table without a definition has to have a manifest in
/// order to belong to that cycle.
pub(crate) const RECENT_CYCLES: u32 = 7;

/// The newest revision of a manifest or a marker, as a listing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedRevision {
    pub revision: u32,
    /// The time at which the object was written, by the clock of the store.
    pub written: DateTime<Utc>,
}

/// The newest revision of every cycle of every table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PublishedNames(BTreeMap<TableName, BTreeMap<Cycle, ListedRevision>>);

impl PublishedNames {
    /// Lists all manifests.
    pub(crate) async fn list(destination: &Destination) -> Result<Self> {
        let listed = destination.list(&layout::manifests_folder()).await?;
        Ok(Self::new(&listed))
    }

    /// Keeps what a listing shows of manifests.
    pub(crate) fn new(listed: &[ObjectMeta]) -> Self {
        let mut names = Self::default();
        for object in listed {
            if let Some(name) = ManifestName::parse(&object.location) {
                names.add(name, object.last_modified);
            }
        }
        names
    }

    fn add(&mut self, name: ManifestName, written: DateTime<Utc>) {
        let cycles = self.0.entry(name.table).or_default();
        keep_newest(cycles, name.cycle, name.revision, written);
    }

    /// Returns the tables that have a manifest.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.0.keys()
    }

    /// Returns the newest revision of each cycle of a table.
    pub(crate) fn cycles(
        &self,
        table: &TableName,
    ) -> impl DoubleEndedIterator<Item = (Cycle, ListedRevision)> {
        let cycles = self.0.get(table).into_iter().flatten();
        cycles.map(|(cycle, listed)| (*cycle, *listed))
    }

    /// Returns the newest revision of one cycle of a table.
    pub(crate) fn newest_of(&self, table: &TableName, cycle: Cycle) -> Option<ListedRevision> {
        self.0.get(table)?.get(&cycle).copied()
    }

    /// Returns the names of the newest manifests of one cycle.
    pub(crate) fn of_cycle(&self, cycle: Cycle) -> Vec<ManifestName> {
        let listed = self.0.iter().filter_map(|(table, cycles)| {
            let revision = cycles.get(&cycle)?.revision;
            Some(ManifestName {
                table: table.clone(),
                cycle,
                revision,
            })
        });
        listed.collect()
    }

    #[cfg(test)]
    pub(crate) fn for_tests(names: &[(&str, &str, u32)]) -> Self {
        let mut all = Self::default();
        for (table, cycle, revision) in names {
            let name = ManifestName {
                table: table.parse().unwrap(),
                cycle: cycle.parse().unwrap(),
                revision: *revision,
            };
            all.add(name, DateTime::UNIX_EPOCH);
        }
        all
    }
}

/// The newest marker of every cycle that has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MarkerNames(BTreeMap<Cycle, ListedRevision>);

impl MarkerNames {
    /// Lists all markers.
    pub(crate) async fn list(destination: &Destination) -> Result<Self> {
        let mut names = Self::default();
        for object in destination.list(&layout::cycles_folder()).await? {
            if let Some(name) = CycleMarkerName::parse(&object.location) {
                names.add(name, object.last_modified);
            }
        }
        Ok(names)
    }

    /// Adds a marker.
    pub(crate) fn add(&mut self, name: CycleMarkerName, written: DateTime<Utc>) {
        keep_newest(&mut self.0, name.cycle, name.revision, written);
    }

    /// Returns the newest marker of a cycle, if it has one.
    pub(crate) fn newest_of(&self, cycle: Cycle) -> Option<ListedRevision> {
        self.0.get(&cycle).copied()
    }

    /// Returns true if a complete cycle gets a marker, according to those of the cycles around it: runs
    /// mark every cycle from the oldest marker on, unless they stopped to mark any.
    pub(crate) fn are_kept_at(&self, cycle: Cycle) -> bool {
        let before = cycle.days_before(RECENT_CYCLES).ok();
        let mut cycles = self.0.keys();
        let (first, last) = (cycles.next(), self.0.keys().next_back());
        let is_begun = first.is_some_and(|first| *first <= cycle);
        is_begun && last.is_some_and(|last| before.is_none_or(|before| *last >= before))
    }

    /// Returns the names of the newest marker of each cycle, oldest cycle first.
    pub(crate) fn newest(&self) -> impl DoubleEndedIterator<Item = CycleMarkerName> {
        self.0.iter().map(|(cycle, listed)| CycleMarkerName {
            cycle: *cycle,
            revision: listed.revision,
        })
    }
}

fn keep_newest(
    cycles: &mut BTreeMap<Cycle, ListedRevision>,
    cycle: Cycle,
    revision: u32,
    written: DateTime<Utc>,
) {
    let listed = ListedRevision { revision, written };
    let newest = cycles.entry(cycle).or_insert(listed);
    if revision > newest.revision {
        *newest = listed;
    }
}
