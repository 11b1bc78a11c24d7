//! Lists what a receiver has to load again: the cycles whose newest manifest was written since an
//! instant.
//!
//! ```text
//! one listing of manifests ─select (pure)→ changed cycles and what they replace ─read both manifests→ files
//! ```
//! The times are those of the store, at which manifests appeared, and not those of commits: a commit may
//! be finished long after it was made, by another run.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use serde::Serialize;

use crate::cycle::{Cycle, SyncMode};
use crate::delivery::read_manifest;
use crate::error::Result;
use crate::layout::{self, ManifestName, Partition, TableName};
use crate::manifest::{DataFile, Manifest};
use crate::store::{CONCURRENCY, Destination};

/// What was published since an instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Changes {
    /// The URL or path of the destination.
    pub destination: String,
    /// The instant, inclusive.
    pub since: DateTime<Utc>,
    /// The instant for the next call: the time of the newest manifest, by the clock of the store. What is
    /// published in the same second is listed again.
    pub through: DateTime<Utc>,
    /// The cycles to load, by cycle, then table.
    pub changes: Vec<ChangedCycle>,
}

/// A cycle of a table to load, in place of what is loaded of it, or for a snapshot of the whole table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ChangedCycle {
    pub table: TableName,
    pub sync_mode: SyncMode,
    pub cycle: Cycle,
    pub revision: u32,
    /// The key of the manifest.
    pub manifest: String,
    /// The time at which the manifest appeared.
    pub published_at: DateTime<Utc>,
    pub rows: u64,
    pub bytes: u64,
    /// The key of the manifest before `since` that this one takes the place of; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The files that the replaced manifest does not name.
    pub added: Vec<ChangedFile>,
    /// The files that have the name of one of the replaced manifest, and other bytes.
    pub replaced: Vec<ChangedFile>,
    /// The keys of the files of the replaced manifest that are gone.
    pub removed: Vec<String>,
    /// The number of files that both manifests name, with the same bytes.
    pub unchanged: u64,
}

/// A file to load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ChangedFile {
    /// The key, relative to the prefix of the destination.
    pub path: String,
    /// The Hive partition of the file.
    pub partition: Partition,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

impl From<&DataFile> for ChangedFile {
    fn from(file: &DataFile) -> Self {
        Self {
            path: file.path.clone(),
            partition: file.partition.clone(),
            rows: file.rows,
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        }
    }
}

/// A cycle whose newest manifest was written since the instant.
#[derive(Debug, Clone, PartialEq)]
struct SelectedCycle {
    newest: ManifestName,
    published_at: DateTime<Utc>,
    /// The newest revision of the cycle from before the instant.
    before: Option<ManifestName>,
    /// The newest manifest of the table from before the instant, which a snapshot replaces.
    table_before: Option<ManifestName>,
}

/// The revisions of a cycle, each with the time at which its manifest was written.
type Revisions = Vec<(u32, DateTime<Utc>)>;

/// Lists the changes since an instant.
///
/// # Errors
/// Fails if the store does, or a manifest cannot be read.
pub(crate) async fn changes(
    destination: &Destination,
    since: DateTime<Utc>,
    tables: &[TableName],
) -> Result<Changes> {
    let listed = destination.list(&layout::manifests_folder()).await?;
    let (selected, through) = select(&listed, since, tables);
    let reads: Vec<_> = selected
        .iter()
        .map(|selected| read_change(destination, selected))
        .collect();
    let read: Vec<ChangedCycle> = futures::stream::iter(reads)
        .buffered(CONCURRENCY.manifest_reads)
        .try_collect()
        .await?;
    let mut changes = without_superseded(read);
    changes.sort_by(|one, other| (one.cycle, &one.table).cmp(&(other.cycle, &other.table)));
    Ok(Changes {
        destination: destination.to_string(),
        since,
        through,
        changes,
    })
}

/// Selects the cycles whose newest manifest was written since the instant, by table and cycle. Returns
/// them with the time of the newest manifest of all.
fn select(
    listed: &[ObjectMeta],
    since: DateTime<Utc>,
    tables: &[TableName],
) -> (Vec<SelectedCycle>, DateTime<Utc>) {
    let mut by_table: BTreeMap<TableName, BTreeMap<Cycle, Revisions>> = BTreeMap::new();
    let mut through = since;
    for object in listed {
        let Some(name) = ManifestName::parse(&object.location) else {
            continue;
        };
        if !tables.is_empty() && !tables.contains(&name.table) {
            continue;
        }
        through = through.max(object.last_modified);
        let cycles = by_table.entry(name.table).or_default();
        let revisions = cycles.entry(name.cycle).or_default();
        revisions.push((name.revision, object.last_modified));
    }
    let mut selected = Vec::new();
    for (table, cycles) in by_table {
        let named = |cycle: Cycle, revision: u32| ManifestName {
            table: table.clone(),
            cycle,
            revision,
        };
        let before = |revisions: &[(u32, DateTime<Utc>)]| {
            let before = revisions.iter().filter(|(_, written)| *written < since);
            before.map(|(revision, _)| *revision).max()
        };
        let table_before = cycles.iter().rev().find_map(|(cycle, revisions)| {
            before(revisions).map(|revision| named(*cycle, revision))
        });
        for (cycle, revisions) in &cycles {
            let newest = revisions
                .iter()
                .max()
                .filter(|(_, written)| *written >= since);
            selected.extend(newest.map(|(revision, written)| SelectedCycle {
                newest: named(*cycle, *revision),
                published_at: *written,
                before: before(revisions).map(|revision| named(*cycle, revision)),
                table_before: table_before.clone(),
            }));
        }
    }
    (selected, through)
}

async fn read_change(destination: &Destination, selected: &SelectedCycle) -> Result<ChangedCycle> {
    let manifest = read_manifest(destination, &selected.newest).await?;
    let before = match manifest.sync_mode {
        SyncMode::Incremental => &selected.before,
        SyncMode::Snapshot => &selected.table_before,
    };
    let before = match before {
        Some(name) => Some(read_manifest(destination, name).await?),
        None => None,
    };
    Ok(compare(&manifest, before.as_ref(), selected.published_at))
}

/// Compares the files of a manifest with those of the one that it replaces.
fn compare(
    manifest: &Manifest,
    before: Option<&Manifest>,
    published_at: DateTime<Utc>,
) -> ChangedCycle {
    let files_before = before.into_iter().flat_map(|before| &before.files);
    let mut old: BTreeMap<&str, &str> = files_before
        .map(|file| (file.path.as_str(), file.sha256.as_str()))
        .collect();
    let (mut added, mut replaced, mut unchanged) = (Vec::new(), Vec::new(), 0);
    for file in &manifest.files {
        match old.remove(file.path.as_str()) {
            None => added.push(file.into()),
            Some(sha256) if sha256 == file.sha256 => unchanged += 1,
            Some(_) => replaced.push(file.into()),
        }
    }
    ChangedCycle {
        table: manifest.table.clone(),
        sync_mode: manifest.sync_mode,
        cycle: manifest.cycle.id,
        revision: manifest.revision,
        manifest: manifest.name().path().to_string(),
        published_at,
        rows: manifest.rows,
        bytes: manifest.bytes,
        replaces: before.map(|before| before.name().path().to_string()),
        added,
        replaced,
        removed: old.into_keys().map(str::to_owned).collect(),
        unchanged,
    }
}

/// Leaves out the changes of a table before its last snapshot, which replaces them. They are ordered by
/// table and cycle.
fn without_superseded(changes: Vec<ChangedCycle>) -> Vec<ChangedCycle> {
    let mut last_snapshots: BTreeMap<TableName, Cycle> = BTreeMap::new();
    for change in &changes {
        if change.sync_mode == SyncMode::Snapshot {
            last_snapshots.insert(change.table.clone(), change.cycle);
        }
    }
    let is_superseded = |change: &ChangedCycle| {
        let last = last_snapshots.get(&change.table);
        last.is_some_and(|last| change.cycle < *last)
    };
    let mut kept = changes;
    kept.retain(|change| !is_superseded(change));
    kept
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    fn at(minute: u32) -> DateTime<Utc> {
        format!("2026-01-16T03:{minute:02}:00Z").parse().unwrap()
    }

    fn listed(names: &[(&str, u32)]) -> Vec<ObjectMeta> {
        let objects = names.iter().map(|(key, minute)| ObjectMeta {
            location: Path::from(*key),
            last_modified: at(*minute),
            size: 0,
            e_tag: None,
            version: None,
        });
        objects.collect()
    }

    #[test]
    fn the_newest_revision_is_compared_with_the_newest_one_from_before() {
        let listed = listed(&[
            ("manifests/views/2026-01-13.r0.json", 1),
            ("manifests/views/2026-01-14.r0.json", 1),
            ("manifests/views/2026-01-14.r1.json", 2),
            ("manifests/views/2026-01-14.r2.json", 5),
            ("manifests/views/2026-01-14.r10.json", 6),
            ("manifests/views/2026-01-15.r0.json", 5),
            ("manifests/views/readme.txt", 9),
        ]);
        let shown = |since: u32| -> (Vec<String>, DateTime<Utc>) {
            let (selected, through) = select(&listed, at(since), &[]);
            let shown = selected.iter().map(|selected| {
                let name = |name: &Option<ManifestName>| {
                    name.as_ref().map_or("-".to_owned(), ToString::to_string)
                };
                let (before, table) = (name(&selected.before), name(&selected.table_before));
                format!("{}, {before}, {table}", selected.newest)
            });
            (shown.collect(), through)
        };
        let after_all = "views 2026-01-14 r10, views 2026-01-14 r1, views 2026-01-14 r1";
        let new_day = "views 2026-01-15 r0, -, views 2026-01-14 r1";
        assert_eq!(
            shown(5),
            (vec![after_all.to_owned(), new_day.to_owned()], at(6))
        );
        assert_eq!(
            shown(6).0,
            ["views 2026-01-14 r10, views 2026-01-14 r2, views 2026-01-15 r0"]
        );
        assert_eq!(shown(7), (Vec::new(), at(7)));
        let other = ["sites".parse().unwrap()];
        assert_eq!(select(&listed, at(0), &other).0, []);
    }
}
