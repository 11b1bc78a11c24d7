//! Finishes what an earlier run left open, before anything new is done.

use chrono::{DateTime, Utc};
use object_store::path::Path;

use crate::delivery::commit::{Commit, commit};
use crate::delivery::history::History;
use crate::delivery::log::{self, Action, LogEntry};
use crate::delivery::publish::{Publish, publish};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::Destination;

/// Times that another run may be faster at voiding an entry before this one gives up.
const ATTEMPTS: u32 = 3;

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
        let newest = log::newest(destination, table).await?;
        let Some(entry) = &newest else {
            return History::load(destination, table, None).await;
        };
        match &entry.action {
            Action::Void { delete, .. } => {
                // The run that voided it may have died before it deleted; the names are retired.
                delete_files(destination, delete).await?;
                return History::load(destination, table, Some(entry)).await;
            }
            Action::Publish { manifest, .. } => {
                let history = History::load(destination, table, Some(entry)).await?;
                let published = history.newest_of(manifest.cycle.id);
                if published.is_some_and(|name| name.revision >= manifest.revision) {
                    return Ok(history);
                }
            }
        }
        match publish(destination, entry).await? {
            Publish::Published(_) => {
                return History::load(destination, table, Some(entry)).await;
            }
            Publish::Impossible { visible, lost } => {
                let void = void(entry, &visible, &lost, run_id, now)?;
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
