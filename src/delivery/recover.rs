//! Finishes the work that an earlier run left pending, before anything new is done.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use tracing::{info, warn};

use crate::cycle::{Cycle, SyncMode};
use crate::delivery::commit::{Commit, commit};
use crate::delivery::history::History;
use crate::delivery::log::{LogAction, LogEntry};
use crate::delivery::log_store;
use crate::delivery::ownership::require_own_keys;
use crate::delivery::publish::{Publish, publish};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::manifest::Manifest;
use crate::store::Destination;

/// The maximum number of attempts at a recovery before it fails because of a concurrent run.
const MAX_ATTEMPTS: u32 = 3;

/// The state of a table before recovery.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InspectedTable {
    pub history: History,
    pub pending: PendingWork,
}

/// The work that the newest log entry left pending.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PendingWork {
    None,
    /// The entry is a void, but the run that wrote it may have died before it deleted these files.
    Deletes(Vec<String>),
    /// The entry is committed, and its manifest does not exist.
    Publication(Box<LogEntry>),
}

/// Inspects a table without writing anything.
///
/// # Errors
/// Fails if the newest log entry cannot be read, or leaves work pending with keys of other tables.
pub(crate) async fn inspect(
    destination: &Destination,
    table: &TableName,
) -> Result<InspectedTable> {
    let (newest, foreign) = log_store::newest_and_foreign(destination, table).await?;
    let mut history = History::load(destination, table, newest.as_ref()).await?;
    history.foreign.extend(foreign);
    let pending = match newest {
        None => PendingWork::None,
        Some(entry) => match &entry.action {
            LogAction::Void { delete, .. } => {
                require_own_keys(table, &entry)?;
                PendingWork::Deletes(delete.clone())
            }
            LogAction::Publish { manifest, .. } => {
                let published = history.newest_of(manifest.cycle.id);
                match published.is_some_and(|name| name.revision >= manifest.revision) {
                    true => PendingWork::None,
                    false => {
                        require_own_keys(table, &entry)?;
                        PendingWork::Publication(Box::new(entry))
                    }
                }
            }
        },
    };
    Ok(InspectedTable { history, pending })
}

/// Recovers a table, so that no work is pending, and returns its history.
///
/// Finishes the newest log entry if its manifest is missing. If its uploads cannot be completed any
/// more, voids it: the files that it made visible are deleted, and its cycle is due again.
///
/// # Errors
/// Fails as unavailable if concurrent runs keep changing the table.
pub(crate) async fn recover(
    destination: &Destination,
    table: &TableName,
    run_id: &str,
    now: DateTime<Utc>,
) -> Result<History> {
    for _ in 0..MAX_ATTEMPTS {
        let InspectedTable { history, pending } = inspect(destination, table).await?;
        let entry = match pending {
            PendingWork::None => return Ok(history),
            PendingWork::Deletes(files) => {
                delete_files(destination, table, &files).await?;
                return Ok(history);
            }
            PendingWork::Publication(entry) => entry,
        };
        let (cycle, of) = (entry.cycle(), &entry.run_id);
        match publish(destination, &entry).await? {
            Publish::Published(_) => {
                info!(%table, %cycle, run_id, of, "finished what an earlier run committed");
                return History::load(destination, table, Some(&entry)).await;
            }
            Publish::Impossible { visible, lost } => {
                warn!(
                    %table, %cycle, run_id, of, lost = lost.len(),
                    "takes back what an earlier run committed, since uploads of it can no longer be completed; the cycle is due again"
                );
                let damaged = damaged_before(destination, table, &entry).await?;
                let void = void(&entry, &history, damaged, &visible, &lost, run_id, now)?;
                match commit(destination, table, &void).await? {
                    // The next attempt finds it as the newest entry and makes its deletes.
                    Commit::Won | Commit::Lost { .. } => {}
                    Commit::Unknown(error) => return Err(error),
                }
            }
        }
    }
    Err(Error::unavailable(format!(
        "other runs keep changing the table `{table}`"
    )))
}

/// Returns the cycle whose files a publication replaces: a snapshot those of the newest cycle.
fn replaced_cycle(manifest: &Manifest, history: &History) -> Option<Cycle> {
    match manifest.sync_mode {
        SyncMode::Incremental => Some(manifest.cycle.id),
        SyncMode::Snapshot => history.newest().map(|name| name.cycle),
    }
}

async fn delete_files(
    destination: &Destination,
    table: &TableName,
    files: &[String],
) -> Result<()> {
    let paths: Vec<Path> = files
        .iter()
        .map(|path| layout::parse_own(table, path))
        .collect::<Result<_>>()?;
    destination.delete(&paths).await
}

/// Returns the cycles that had to be published again before `entry` was committed. Its own state no longer
/// has those that it was to replace.
async fn damaged_before(
    destination: &Destination,
    table: &TableName,
    entry: &LogEntry,
) -> Result<BTreeSet<Cycle>> {
    let Some(sequence) = entry.sequence.checked_sub(1) else {
        return Ok(BTreeSet::new());
    };
    let before = log_store::read(destination, table, sequence).await?;
    Ok(before.map_or_else(BTreeSet::new, |before| before.state.needs_republish))
}

/// Returns the entry that voids `entry`, which `history` does not contain. The cycles of `damaged` had to
/// be published again before it.
fn void(
    entry: &LogEntry,
    history: &History,
    damaged: BTreeSet<Cycle>,
    visible: &[String],
    lost: &[String],
    run_id: &str,
    now: DateTime<Utc>,
) -> Result<LogEntry> {
    let LogAction::Publish { manifest, uploads } = &entry.action else {
        return Err(Error::internal("only a publishing entry can be voided"));
    };
    let mut state = entry.state.clone();
    state.needs_republish.extend(damaged);
    state.retire(manifest.files.iter().map(|file| file.path.as_str()));
    // Files replaced under their own name are gone, so the previous manifest is no longer true.
    let replaces = uploads.iter().any(|upload| upload.replaces_etag.is_some());
    if replaces && !visible.is_empty() {
        state
            .needs_republish
            .extend(replaced_cycle(manifest, history));
    }
    // Without a publication before it, a run on a later day would not come back to it.
    let cycle = manifest.cycle.id;
    let is_first = history.first().is_none_or(|first| cycle < first);
    if is_first && manifest.sync_mode == SyncMode::Incremental {
        state.needs_republish.insert(cycle);
    }
    let action = LogAction::Void {
        cycle: manifest.cycle.id,
        delete: visible.to_vec(),
        reason: format!(
            "{} of {} uploads were swept away before they were completed, first `{}`",
            lost.len(),
            uploads.len(),
            lost.first().map_or("", String::as_str)
        ),
    };
    Ok(LogEntry::new(
        entry.next_sequence()?,
        run_id,
        now,
        action,
        state,
    ))
}
