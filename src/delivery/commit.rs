//! The one commit point: a create-if-absent put of the next log entry.

use std::time::Duration;

use bytes::Bytes;

use crate::delivery::log::{self, LogEntry};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::{Created, Destination};

/// A store may answer `409 Conflict` without storing anything: then the put is tried again.
const ATTEMPTS: u32 = 5;

/// What became of an entry.
#[derive(Debug)]
pub enum Commit {
    /// It is in the log: from here on it will be published, by this run or by another.
    Won,
    /// Another entry has its place; nothing of ours is or will be published.
    Lost { winner: Box<LogEntry> },
    /// The store does not tell. The entry may be in the log, so its uploads must stay.
    Unknown(Error),
}

/// Puts `entry` into the log.
///
/// "Already exists" does not mean that another run won: the client retries, and may find its own
/// first put. Every entry carries its run id, so it is read back and compared.
pub async fn commit(
    destination: &Destination,
    table: &TableName,
    entry: &LogEntry,
) -> Result<Commit> {
    let key = layout::log_entry(table, entry.sequence);
    let text = Bytes::from(entry.to_json()?);
    for attempt in 0..ATTEMPTS {
        let failure = match destination.create(&key, text.clone()).await {
            Created::Yes => return Ok(Commit::Won),
            Created::Contested => None,
            Created::Unknown(error) => Some(error),
        };
        match (log::read(destination, table, entry.sequence).await, failure) {
            (Ok(Some(there)), _) if there.run_id == entry.run_id && there == *entry => {
                return Ok(Commit::Won);
            }
            (Ok(Some(winner)), _) => {
                return Ok(Commit::Lost {
                    winner: Box::new(winner),
                });
            }
            // Contested, yet nothing there: a conflict in passing.
            (Ok(None), None) => {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            }
            // The put may still be on its way to the store.
            (Ok(None), Some(error)) | (Err(_), Some(error)) => {
                return Ok(Commit::Unknown(error));
            }
            (Err(error), None) => return Ok(Commit::Unknown(error)),
        }
    }
    Ok(Commit::Unknown(Error::unavailable(format!(
        "the store refuses to create `{key}` although nothing is there"
    ))))
}
