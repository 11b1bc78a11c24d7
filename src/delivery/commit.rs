//! The one commit point: a create-if-absent put of the next log entry.

use std::time::Duration;

use bytes::Bytes;

use crate::delivery::log::LogEntry;
use crate::delivery::{entry_text, log_store};
use crate::error::{Error, Result};
use crate::layout::{self, TableName};
use crate::store::{Created, Destination};

/// The maximum number of puts of one entry. A store may respond `409 Conflict` without storing
/// anything; only then is the put retried.
const MAX_ATTEMPTS: u32 = 5;

/// The backoff after the first conflict; it doubles with each attempt.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// The outcome of a commit.
#[derive(Debug)]
pub(crate) enum Commit {
    /// The entry is in the log: from now on it will be published, by this run or by another.
    Won,
    /// Another run's entry has this sequence number; nothing of ours is or will be published.
    Lost { winner: Box<LogEntry> },
    /// The store failed before it was known whether the entry is in the log, so its uploads must
    /// stay.
    Unknown(Error),
}

/// Commits `entry` by putting it into the log if no entry has its sequence number.
///
/// "Already exists" does not mean that another run won: the client retries, and may find its own
/// first put. So the entry is read back and compared, by its run id first.
pub(crate) async fn commit(
    destination: &Destination,
    table: &TableName,
    entry: &LogEntry,
) -> Result<Commit> {
    let key = layout::log_entry(table, entry.sequence);
    let text = Bytes::from(entry_text::serialize(entry)?);
    for attempt in 0..MAX_ATTEMPTS {
        let failure = match destination.create(&key, text.clone()).await {
            Created::Yes => return Ok(Commit::Won),
            Created::Contested => None,
            Created::Unknown(error) => Some(error),
        };
        match (
            log_store::read(destination, table, entry.sequence).await,
            failure,
        ) {
            (Ok(Some(stored)), _) if stored.run_id == entry.run_id && stored == *entry => {
                return Ok(Commit::Won);
            }
            (Ok(Some(winner)), _) => {
                return Ok(Commit::Lost {
                    winner: Box::new(winner),
                });
            }
            // Contested, yet no entry exists: a transient conflict.
            (Ok(None), None) => {
                tokio::time::sleep(INITIAL_BACKOFF * (1 << attempt)).await;
            }
            // The put may still reach the store.
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
