//! The published state of one table: the current manifests, and a commit in progress.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};

use crate::cycle::{Cycle, SyncMode};
use crate::delivery::{History, LogAction, newest_entry, read_manifest};
use crate::error::{ErrorKind, Result};
use crate::layout::{self, ManifestName, TableName};
use crate::manifest::Manifest;
use crate::store::{CONCURRENCY, Destination, is_forbidden};

/// The newest revision of one cycle.
#[derive(Debug, Clone)]
pub(super) enum RecordedManifest {
    Read(Box<Manifest>),
    /// The manifest exists, but cannot be used.
    Broken {
        name: ManifestName,
        reason: String,
    },
}

impl RecordedManifest {
    pub(super) fn sync_mode(&self) -> Option<SyncMode> {
        match self {
            RecordedManifest::Read(manifest) => Some(manifest.sync_mode),
            RecordedManifest::Broken { .. } => None,
        }
    }
}

/// A commit whose manifest does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnfinishedCommit {
    pub cycle: Cycle,
    /// The key of the log entry.
    pub key: String,
    pub detail: String,
    /// The files that may be visible already, and those that may be deleted already.
    pub files: BTreeSet<String>,
}

/// The published state of one table, by its manifests and its log.
#[derive(Debug, Clone)]
pub(super) struct PublishedTable {
    pub table: TableName,
    /// The manifests that make up the table now, oldest cycle first.
    pub current: Vec<RecordedManifest>,
    pub unfinished: Option<UnfinishedCommit>,
    /// The names of the manifests from which this state was read.
    pub names: Vec<ManifestName>,
}

/// Reads the published state of a table.
pub(super) async fn read(destination: &Destination, table: &TableName) -> Result<PublishedTable> {
    // The log is read first: a commit that is finished in between shows up among the manifests.
    let entry = match newest_entry(destination, table).await {
        Ok(entry) => entry,
        // A receiver may have no right to read the log.
        Err(error) if is_forbidden(&error) => None,
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // The log is internal, so that a newer dayport may write it in another way; the manifests have
        // all that a receiver needs.
        Err(_) => None,
    };
    let history = History::load(destination, table, None).await?;
    let unfinished = entry.and_then(|entry| {
        let LogAction::Publish { manifest, uploads } = entry.action else {
            return None;
        };
        let made = uploads.into_iter().map(|upload| upload.path);
        let files = made.chain(manifest.replaced.iter().cloned()).collect();
        let name = manifest.name();
        let published = history.newest_of(name.cycle);
        let is_published = published.is_some_and(|newest| newest.revision >= name.revision);
        (!is_published).then(|| UnfinishedCommit {
            cycle: name.cycle,
            key: layout::log_entry(table, entry.sequence).to_string(),
            detail: format!(
                "run {} committed `{}`, which is not there yet; the next run finishes it. Until then the files \
                 that it replaces are not compared with the older manifest",
                entry.run_id,
                name.path()
            ),
            files,
        })
    });
    let names: Vec<ManifestName> = history.current().collect();
    let reads: Vec<_> = names
        .iter()
        .map(|name| read_record(destination, name))
        .collect();
    let records = futures::stream::iter(reads)
        .buffered(CONCURRENCY.manifest_reads)
        .try_collect()
        .await?;
    Ok(PublishedTable {
        table: table.clone(),
        current: current(records),
        unfinished,
        names,
    })
}

/// Returns true if the manifests are still those from which `published` was read.
pub(super) async fn is_unchanged(
    destination: &Destination,
    published: &PublishedTable,
) -> Result<bool> {
    let history = History::load(destination, &published.table, None).await?;
    Ok(history.current().eq(published.names.iter().cloned()))
}

async fn read_record(destination: &Destination, name: &ManifestName) -> Result<RecordedManifest> {
    let broken = |reason| RecordedManifest::Broken {
        name: name.clone(),
        reason,
    };
    let manifest = match read_manifest(destination, name).await {
        Ok(manifest) => manifest,
        Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::Outdated) => {
            return Ok(broken(error.chain()));
        }
        Err(error) => return Err(error),
    };
    let cycle = &manifest.cycle;
    if (cycle.start, cycle.end) != (cycle.id.start(), cycle.id.end()) {
        return Ok(broken(format!(
            "its window is {} to {}, which is not that day",
            cycle.start, cycle.end
        )));
    }
    Ok(RecordedManifest::Read(Box::new(manifest)))
}

/// Removes the records that a later snapshot replaced.
fn current(mut records: Vec<RecordedManifest>) -> Vec<RecordedManifest> {
    let is_snapshot = |index: usize| {
        // A broken record counts as one of the mode that the table had before it; otherwise an older
        // snapshot would be compared with files that are replaced.
        let known = records[..=index]
            .iter()
            .rev()
            .find_map(RecordedManifest::sync_mode);
        known == Some(SyncMode::Snapshot)
    };
    let last_snapshot = (0..records.len()).rev().find(|index| is_snapshot(*index));
    records.drain(..last_snapshot.unwrap_or(0));
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::plan::tests::manifest;

    #[test]
    fn a_snapshot_replaces_everything_before_it() {
        let of = |mode: SyncMode, cycle: &str| {
            let mut manifest = manifest(cycle, &[]);
            manifest.sync_mode = mode;
            RecordedManifest::Read(Box::new(manifest))
        };
        let broken = |cycle: &str| RecordedManifest::Broken {
            name: manifest(cycle, &[]).name(),
            reason: String::new(),
        };
        let cycles = |records: Vec<RecordedManifest>| -> Vec<String> {
            let current = current(records);
            let cycle = |record: &RecordedManifest| match record {
                RecordedManifest::Read(manifest) => manifest.cycle.id.to_string(),
                RecordedManifest::Broken { name, .. } => name.cycle.to_string(),
            };
            current.iter().map(cycle).collect()
        };
        use SyncMode::{Incremental, Snapshot};
        let (first, second, third) = ("2026-01-14", "2026-01-15", "2026-01-16");
        assert_eq!(cycles(Vec::new()), Vec::<String>::new());
        assert_eq!(
            cycles(vec![of(Incremental, first), of(Incremental, second)]),
            [first, second]
        );
        assert_eq!(
            cycles(vec![of(Incremental, first), of(Snapshot, second)]),
            [second]
        );
        assert_eq!(
            cycles(vec![
                of(Snapshot, first),
                of(Snapshot, second),
                of(Incremental, third)
            ]),
            [second, third]
        );
        assert_eq!(cycles(vec![of(Snapshot, first), broken(second)]), [second]);
        assert_eq!(
            cycles(vec![of(Incremental, first), broken(second)]),
            [first, second]
        );
    }
}
