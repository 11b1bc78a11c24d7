//! Proves that the store refuses to put an object where one exists: the condition that every commit
//! relies on. Some servers ignore it, and two runs would then both win the same commit.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path;
use tokio::sync::OnceCell;
use tracing::{debug, warn};

use crate::delivery::History;
use crate::error::{Error, Result};
use crate::layout;
use crate::store::{Created, Destination};

/// The age of the newest commit of a table from which the condition is proved again. Less than a day, so
/// that the first run of every day does it.
const PROOF_AGE: TimeDelta = TimeDelta::hours(20);

/// The maximum number of puts of the object, and the time between them.
const MAX_ATTEMPTS: u32 = 10;
const BACKOFF: Duration = Duration::from_millis(50);

/// The content of the object that is created.
const FIRST: &[u8] = b"dayport run";

/// The content of the second put, which must not replace the first.
const SECOND: &[u8] = b"dayport run, a second time";

/// The proof of one run, made at most once.
#[derive(Debug, Default)]
pub struct ConditionProof(OnceCell<()>);

impl ConditionProof {
    /// Proves the condition if this run has not, and the table has no commit of the last hours.
    ///
    /// # Errors
    /// Fails as invalid if the store ignores the condition.
    pub(crate) async fn require(
        &self,
        destination: &Destination,
        history: &History,
        run_id: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if history.committed_at.is_some_and(|at| now - at < PROOF_AGE) {
            return Ok(());
        }
        let prove = || prove(destination, run_id);
        self.0.get_or_try_init(prove).await.copied()
    }
}

async fn prove(destination: &Destination, run_id: &str) -> Result<()> {
    let key = layout::checks_folder().join(run_id);
    let proved = put_twice(destination, &key).await;
    if let Err(error) = destination.delete(std::slice::from_ref(&key)).await {
        warn!(%key, run_id, error = error.chain(), "an object of the run stays behind: it cannot be deleted");
    }
    proved?;
    debug!(run_id, "the store refuses to overwrite");
    Ok(())
}

async fn put_twice(destination: &Destination, key: &Path) -> Result<()> {
    put_first(destination, key).await?;
    match destination.create(key, Bytes::from_static(SECOND)).await {
        Created::Contested => Ok(()),
        Created::Unknown(error) => Err(error),
        Created::Yes => Err(Error::invalid(format!(
            "`{destination}` ignores `If-None-Match: *`: a second put overwrote `{key}`"
        ))
        .with_hint(
            "exactly once is impossible on this store, so nothing is published: export to another one",
        )),
    }
}

/// Puts the object that must not be overwritten. "Already exists" does not mean that it is there: a store
/// may respond `409 Conflict` without storing anything, and the client may find its own first put.
async fn put_first(destination: &Destination, key: &Path) -> Result<()> {
    for _ in 0..MAX_ATTEMPTS {
        match destination.create(key, Bytes::from_static(FIRST)).await {
            Created::Yes => return Ok(()),
            Created::Contested if destination.head(key).await?.is_some() => return Ok(()),
            Created::Contested => tokio::time::sleep(BACKOFF).await,
            Created::Unknown(error) => return Err(error),
        }
    }
    Err(Error::unavailable(format!(
        "the store refuses to create `{key}` although nothing is there"
    )))
}
