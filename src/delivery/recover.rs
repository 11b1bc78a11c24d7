//! Finishes the work that an earlier run left pending, before anything new is done.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use tracing::info;

use crate::delivery::commit::{Commit, commit};
use crate::delivery::history::History;
use crate::delivery::log::{self, LogAction, LogEntry};
use crate::delivery::publish::{Publish, publish};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
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
pub(crate) async fn inspect(
    destination: &Destination,
    table: &TableName,
) -> Result<InspectedTable> {
    let newest = log::newest(destination, table).await?;
    let history = History::load(destination, table, newest.as_ref()).await?;
    let pending = match newest {
        None => PendingWork::None,
        Some(entry) => match &entry.action {
            LogAction::Void { delete, .. } => PendingWork::Deletes(delete.clone()),
            LogAction::Publish { manifest, .. } => {
                let published = history.newest_of(manifest.cycle.id);
                match published.is_some_and(|name| name.revision >= manifest.revision) {
                    true => PendingWork::None,
                    false => PendingWork::Publication(Box::new(entry)),
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
                delete_files(destination, &files).await?;
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
                info!(%table, %cycle, run_id, of, "takes back what an earlier run committed");
                let void = void(&entry, &visible, &lost, run_id, now)?;
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

async fn delete_files(destination: &Destination, files: &[String]) -> Result<()> {
    let paths: Vec<Path> = files
        .iter()
        .map(|path| layout::parse_recorded(path))
        .collect::<Result<_>>()?;
    destination.delete(&paths).await
}

/// Returns the entry that voids `entry`.
fn void(
    entry: &LogEntry,
    visible: &[String],
    lost: &[String],
    run_id: &str,
    now: DateTime<Utc>,
) -> Result<LogEntry> {
    let LogAction::Publish { manifest, uploads } = &entry.action else {
        return Err(Error::internal("only a publishing entry can be voided"));
    };
    let mut state = entry.state.clone();
    state.retire(manifest.files.iter().map(|file| file.path.as_str()));
    // Files replaced under their own name are gone, so the previous manifest is no longer true.
    let replaces = uploads.iter().any(|upload| upload.replaces_etag.is_some());
    if replaces && !visible.is_empty() {
        state.needs_republish.insert(manifest.cycle.id);
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
        entry.sequence + 1,
        run_id,
        now,
        action,
        state,
    ))
}
