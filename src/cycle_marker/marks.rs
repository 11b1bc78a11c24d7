//! Writes the signs of a complete cycle that other systems know, if the operator asks for them.
//!
//! ```text
//! marks/success/2026-01-15/_SUCCESS                                   while the cycle is complete
//! marks/symlink/<table>/year=2026/month=1/day=15/2026-01-15.txt       the files of the cycle in the partition
//! marks/symlink/<table>/snapshot.txt                                  the files of the newest snapshot
//! ```
//! They are derived from manifests and are overwritten, so nothing of dayport relies on them. They are written
//! after the manifests and before the marker that says so: a run that dies in between leaves a cycle without
//! its marker, and the next run writes all of them again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use object_store::path::Path;

use crate::cycle::{Cycle, SyncMode};
use crate::cycle_marker::names::PublishedNames;
use crate::delivery::read_manifest;
use crate::error::{Error, Result};
use crate::layout::{self, CycleMarkerName};
use crate::manifest::{CycleMarker, Manifest, MarkedTable};
use crate::store::Destination;

/// One more sign of a complete cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// An object `_SUCCESS` in a folder of the cycle, as Hadoop's jobs write it.
    Success,
    /// The lists of the files of each partition, as Hive's `SymlinkTextInputFormat` reads them.
    Symlink,
}

/// Writes the marks of a cycle that is complete. `newest` is the marker that holds until now.
///
/// # Errors
/// A manifest cannot be read, or the store does not take an object.
pub(super) async fn write(
    destination: &Destination,
    marks: &BTreeSet<Mark>,
    name: CycleMarkerName,
    tables: &[MarkedTable],
    newest: Option<&CycleMarker>,
    names: &PublishedNames,
) -> Result<()> {
    if marks.contains(&Mark::Symlink) {
        for table in tables {
            let mut held = newest.into_iter().flat_map(|marker| &marker.tables);
            let held = held.find(|held| held.table == table.table);
            write_symlinks(destination, table, held, names).await?;
        }
    }
    if marks.contains(&Mark::Success) {
        let text = format!("{}\n", name.path());
        let key = layout::success_file(name.cycle);
        destination.put(&key, Bytes::from(text)).await?;
    }
    Ok(())
}

/// Removes what says that a cycle is complete. The lists of files stay: each is that of a manifest.
///
/// # Errors
/// The store does not delete the object.
pub(super) async fn withdraw(
    destination: &Destination,
    marks: &BTreeSet<Mark>,
    cycle: Cycle,
) -> Result<()> {
    match marks.contains(&Mark::Success) {
        true => destination.delete(&[layout::success_file(cycle)]).await,
        false => Ok(()),
    }
}

async fn write_symlinks(
    destination: &Destination,
    table: &MarkedTable,
    held: Option<&MarkedTable>,
    names: &PublishedNames,
) -> Result<()> {
    let newest = names.cycles(&table.table).next_back();
    let is_newest = newest.is_none_or(|(newest, _)| newest <= table.cycle);
    if table.sync_mode == SyncMode::Snapshot && !is_newest {
        // The list of a snapshot names the newest one, whichever cycle it completes.
        return Ok(());
    }
    let manifest = read_manifest(destination, &table.name()).await?;
    let lists = symlinks(destination, &manifest)?;
    let mut stale: BTreeSet<Path> = BTreeSet::new();
    if let Some(held) = held.filter(|held| held.cycle == table.cycle) {
        let replaced = read_manifest(destination, &held.name()).await?;
        stale.extend(symlinks(destination, &replaced)?.into_keys());
    }
    for (key, text) in &lists {
        destination.put(key, Bytes::from(text.clone())).await?;
        stale.remove(key);
    }
    let stale: Vec<Path> = stale.into_iter().collect();
    destination.delete(&stale).await
}

/// Returns the list of each partition, by its key: one line with the address of each file. A table without
/// files has one empty list, unless it is partitioned.
///
/// # Errors
/// The manifest names a file that is no data of its table.
fn symlinks(destination: &Destination, manifest: &Manifest) -> Result<BTreeMap<Path, String>> {
    let table = layout::symlinks_folder(&manifest.table);
    let list = match manifest.sync_mode {
        SyncMode::Incremental => format!("{}.txt", manifest.cycle.id),
        SyncMode::Snapshot => "snapshot.txt".to_owned(),
    };
    let data = layout::table_folder(&manifest.table);
    let mut lists: BTreeMap<Path, String> = BTreeMap::new();
    if manifest.partition_by.columns().is_empty() {
        lists.insert(table.clone().join(list.as_str()), String::new());
    }
    for file in &manifest.files {
        let key = layout::parse_recorded(&file.path)?;
        let parts = key.prefix_match(&data).ok_or_else(|| {
            let path = &file.path;
            Error::data(format!("`{path}` is no data of `{}`", manifest.table))
        })?;
        let mut folders: Vec<_> = parts.collect();
        folders.pop();
        let folder = folders
            .into_iter()
            .fold(table.clone(), |folder, part| folder.join(part));
        let text = lists.entry(folder.join(list.as_str())).or_default();
        text.push_str(&destination.address_of(&key));
        text.push('\n');
    }
    Ok(lists)
}
