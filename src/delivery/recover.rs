//! Finishes what an earlier run left open, before anything new is done.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use tracing::info;

use crate::delivery::commit::{Commit, commit};
use crate::delivery::history::History;
use crate::delivery::log::{self, Action, LogEntry};
use crate::delivery::publish::{Publish, publish};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::Destination;

/// Times that another run may be faster at voiding an entry before this one gives up.
const ATTEMPTS: u32 = 3;

/// A table as it is found.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub history: History,
    pub open: Open,
}

/// What the newest log entry left to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Open {
    Nothing,
    /// It is voided, but the run that did so may have died before it deleted these.
    Deletes(Vec<String>),
    /// It is committed, and its manifest is not there.
    Publication(Box<LogEntry>),
}

/// Looks at a table; writes nothing.
pub async fn inspect(destination: &Destination, table: &TableName) -> Result<State> {
    let newest = log::newest(destination, table).await?;
    let history = History::load(destination, table, newest.as_ref()).await?;
    let open = match newest {
        None => Open::Nothing,
        Some(entry) => match &entry.action {
            Action::Void { delete, .. } => Open::Deletes(delete.clone()),
            Action::Publish { manifest, .. } => {
                let published = history.newest_of(manifest.cycle.id);
                match published.is_some_and(|name| name.revision >= manifest.revision) {
                    true => Open::Nothing,
                    false => Open::Publication(Box::new(entry)),
                }
            }
        },
    };
    Ok(State { history, open })
}

/// Brings a table into a state without unfinished business, and tells its history.
///
/// The newest log entry is finished if its manifest is missing; if its uploads cannot be completed
/// any more, it is voided: what it made visible is deleted, and its cycle is due again.
pub async fn recover(
    destination: &Destination,
    table: &TableName,
    run_id: &str,
    now: DateTime<Utc>,
) -> Result<History> {
    for _ in 0..ATTEMPTS {
        let State { history, open } = inspect(destination, table).await?;
        let entry = match open {
            Open::Nothing => return Ok(history),
            Open::Deletes(files) => {
                delete_files(destination, &files).await?;
                return Ok(history);
            }
            Open::Publication(entry) => entry,
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
                    // Its deletes are done when it is looked at as the newest entry.
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
    let paths = files.iter().map(|path| layout::recorded(path));
    let paths: Vec<Path> = paths.collect::<Result<_>>()?;
    destination.delete(&paths).await
}

/// The entry that takes back `entry`.
fn void(
    entry: &LogEntry,
    visible: &[String],
    lost: &[String],
    run_id: &str,
    now: DateTime<Utc>,
) -> Result<LogEntry> {
    let Action::Publish { manifest, uploads } = &entry.action else {
        return Err(Error::internal("only a publishing entry can be voided"));
    };
    let mut memory = entry.memory.clone();
    let all = manifest.files.iter().map(|file| file.path.as_str());
    memory.retire(all);
    // Files replaced under their own name are gone, so the manifest before is no longer true.
    let replaces = uploads.iter().any(|upload| upload.replaces_etag.is_some());
    if replaces && !visible.is_empty() {
        memory.damaged.insert(manifest.cycle.id);
    }
    let action = Action::Void {
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
        memory,
    ))
}
