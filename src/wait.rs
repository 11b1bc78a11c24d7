//! Waits until a cycle is published, by polling the destination.
//!
//! A poll for named tables lists the manifests of each. One for all tables reads the marker of the cycle, and
//! asks for the next revision of it; only while there is none, it lists markers and manifests, to name the
//! tables that are missing. Nothing is written. Failures of the store do not end the wait; the timeout
//! does.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{StreamExt, TryStreamExt};

use crate::cycle::{Cycle, SyncMode};
use crate::cycle_marker::{ListedRevision, MarkerNames, find_newest_marker, read_marker};
use crate::delivery::{History, read_manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, CycleMarkerName, ManifestName, TableName};
use crate::manifest::{CycleMarker, MarkedTable};
use crate::store::{CONCURRENCY, Destination};

/// The cycle, and the tables, that a wait is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaitTarget {
    pub cycle: Cycle,
    /// The tables; if empty, the marker of the cycle decides, or in an export without markers every
    /// table that has any manifest.
    pub tables: BTreeSet<TableName>,
}

/// The result of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Poll {
    /// All tables are published, by these manifests.
    Published(Vec<ManifestName>),
    /// These tables are not published.
    Missing(Vec<TableName>),
    /// Every table that was ever published has the cycle, and the cycle is not marked as complete.
    Unmarked,
    /// The target names no table, and none has ever been published.
    NothingYet,
}

/// The end of a wait.
#[derive(Debug)]
pub(crate) enum WaitOutcome {
    Published(Vec<ManifestName>),
    TimedOut {
        /// The result of the last poll that succeeded, if any did.
        last: Option<Poll>,
        /// The error of the last poll, if it failed.
        failure: Option<Error>,
    },
}

/// The clock of a wait, which tests replace.
pub(crate) trait Timer {
    /// Returns the time since the wait started.
    fn elapsed(&self) -> Duration;
    /// Sleeps for `duration`.
    fn sleep(&mut self, duration: Duration) -> impl Future<Output = ()>;
}

/// The timeouts and the interval of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitPolicy {
    /// The timeout of the whole wait.
    pub timeout: Duration,
    /// The interval between two polls.
    pub interval: Duration,
    /// The minimum timeout of a poll: one that is running when the wait times out gets this long.
    pub min_poll_timeout: Duration,
}

/// Polls immediately and then at each interval, until everything is published or the wait times
/// out. `on_poll` receives the result of every poll that does not end the wait.
///
/// # Errors
/// An error of a kind other than [`ErrorKind::Unavailable`] before any poll has succeeded: waiting
/// cannot fix it. After a success the configuration is known to be right, and every error is
/// retried.
pub(crate) async fn wait(
    timer: &mut impl Timer,
    policy: WaitPolicy,
    mut poll: impl AsyncFnMut() -> Result<Poll>,
    mut on_poll: impl FnMut(&Result<Poll>),
) -> Result<WaitOutcome> {
    let mut last = None;
    let remaining = |timer: &mut _| policy.timeout.saturating_sub(Timer::elapsed(timer));
    loop {
        let poll_timeout = remaining(timer).max(policy.min_poll_timeout);
        // A store that accepts a request and never responds must not block past the timeout.
        let polled = match select(pin!(poll()), pin!(timer.sleep(poll_timeout))).await {
            Either::Left((polled, _)) => polled,
            Either::Right(_) => Err(Error::unavailable("the store does not respond")),
        };
        match &polled {
            Ok(Poll::Published(names)) => return Ok(WaitOutcome::Published(names.clone())),
            Err(error) if error.kind() != ErrorKind::Unavailable && last.is_none() => {
                return polled.map(|_| WaitOutcome::TimedOut {
                    last: None,
                    failure: None,
                });
            }
            _ => {}
        }
        on_poll(&polled);
        let failure = match polled {
            Ok(poll) => {
                last = Some(poll);
                None
            }
            Err(error) => Some(error),
        };
        let left = remaining(timer);
        if left.is_zero() {
            return Ok(WaitOutcome::TimedOut { last, failure });
        }
        // The last poll is at the timeout, even if that is no multiple of the interval.
        timer.sleep(policy.interval.min(left)).await;
    }
}

/// Polls the destination once.
pub(crate) async fn poll(destination: &Destination, target: &WaitTarget) -> Result<Poll> {
    let marker = match target.tables.is_empty() {
        true => find_marker(destination, target.cycle).await?,
        false => FoundMarker::NotUsed,
    };
    match &marker {
        FoundMarker::Found(marker) if marker.is_complete() => {
            let names = marker.tables.iter().map(MarkedTable::name);
            return Ok(Poll::Published(names.collect()));
        }
        FoundMarker::Found(withdrawn) => return Ok(Poll::Missing(withdrawn.missing.clone())),
        FoundMarker::Expected | FoundMarker::NotUsed => {}
    }
    let tables: BTreeSet<TableName> = if target.tables.is_empty() {
        let folders = destination.folders(&layout::manifests_folder()).await?;
        folders
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect()
    } else {
        target.tables.clone()
    };
    let listings: Vec<_> = tables
        .iter()
        .map(|table| find_manifest(destination, table, target.cycle))
        .collect();
    let manifests: Vec<Option<ManifestName>> = futures::stream::iter(listings)
        .buffered(CONCURRENCY.tables)
        .try_collect()
        .await?;
    if manifests.is_empty() {
        return Ok(Poll::NothingYet);
    }
    let missing: Vec<TableName> = tables
        .into_iter()
        .zip(&manifests)
        .filter(|(_, manifest)| manifest.is_none())
        .map(|(table, _)| table)
        .collect();
    Ok(
        if missing.is_empty() && matches!(marker, FoundMarker::Expected) {
            Poll::Unmarked
        } else if missing.is_empty() {
            Poll::Published(manifests.into_iter().flatten().collect())
        } else {
            Poll::Missing(missing)
        },
    )
}

/// The marker of a cycle, as far as a wait needs one.
enum FoundMarker {
    Found(Box<CycleMarker>),
    /// The cycle has none, and gets one when it is complete.
    Expected,
    /// The tables are named, or no run marks cycles of this time: all are by an older version, or may
    /// not write markers.
    NotUsed,
}

/// Reads the newest marker of a cycle.
async fn find_marker(destination: &Destination, cycle: Cycle) -> Result<FoundMarker> {
    match find_newest_marker(destination, cycle).await {
        Ok(Some(marker)) => return Ok(FoundMarker::Found(Box::new(marker))),
        Ok(None) => {}
        // S3 answers so for a missing object to those who may not list, too.
        Err(error) if error.is_forbidden() => {}
        Err(error) => return Err(error),
    }
    let markers = match MarkerNames::list(destination).await {
        Ok(markers) => markers,
        // A receiver may have no right to list them.
        Err(error) if error.is_forbidden() => return Ok(FoundMarker::NotUsed),
        Err(error) => return Err(error),
    };
    if let Some(ListedRevision { revision, .. }) = markers.newest_of(cycle) {
        let marker = read_marker(destination, CycleMarkerName { cycle, revision }).await?;
        return Ok(FoundMarker::Found(Box::new(marker)));
    }
    Ok(match markers.are_kept_at(cycle) {
        true => FoundMarker::Expected,
        false => FoundMarker::NotUsed,
    })
}

/// Returns the manifest that publishes a table for a cycle: the cycle's own, or that of a later
/// snapshot, after which an earlier one is never exported.
async fn find_manifest(
    destination: &Destination,
    table: &TableName,
    cycle: Cycle,
) -> Result<Option<ManifestName>> {
    let history = History::load(destination, table, None).await?;
    if let Some(name) = history.newest_of(cycle) {
        return Ok(Some(name));
    }
    let Some(newest) = history.newest().filter(|newest| newest.cycle > cycle) else {
        return Ok(None);
    };
    let manifest = read_manifest(destination, &newest).await?;
    Ok((manifest.sync_mode == SyncMode::Snapshot).then_some(newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that only sleeping moves.
    #[derive(Default)]
    struct ManualTimer {
        elapsed: Duration,
        slept: Vec<u64>,
    }

    impl Timer for ManualTimer {
        fn elapsed(&self) -> Duration {
            self.elapsed
        }

        async fn sleep(&mut self, duration: Duration) {
            self.elapsed += duration;
            self.slept.push(duration.as_secs());
        }
    }

    fn missing() -> Result<Poll> {
        Ok(Poll::Missing(vec!["views".parse().unwrap()]))
    }

    fn published() -> Result<Poll> {
        Ok(Poll::Published(Vec::new()))
    }

    fn down() -> Result<Poll> {
        Err(Error::unavailable("no response"))
    }

    fn refused() -> Result<Poll> {
        Err(Error::invalid("refused"))
    }

    /// Waits up to 70 seconds, polling every 30; also returns the sleeps. The last result repeats.
    fn run(results: &[fn() -> Result<Poll>]) -> (Result<WaitOutcome>, Vec<u64>) {
        let mut timer = ManualTimer::default();
        let mut polls = 0;
        let policy = WaitPolicy {
            timeout: Duration::from_secs(70),
            interval: Duration::from_secs(30),
            min_poll_timeout: Duration::from_secs(10),
        };
        let poll = async || {
            polls += 1;
            results[(polls - 1).min(results.len() - 1)]()
        };
        let outcome = futures::executor::block_on(wait(&mut timer, policy, poll, |_| {}));
        (outcome, timer.slept)
    }

    #[test]
    fn the_first_poll_is_immediate() {
        let (waited, slept) = run(&[published]);
        assert!(matches!(waited, Ok(WaitOutcome::Published(_))));
        assert_eq!(slept, Vec::<u64>::new());
    }

    #[test]
    fn failed_polls_are_retried() {
        for first in [down, missing] {
            let (waited, slept) = run(&[first, down, published]);
            assert!(matches!(waited, Ok(WaitOutcome::Published(_))));
            assert_eq!(slept, [30, 30]);
        }
        let (waited, _) = run(&[missing, refused, published]);
        assert!(matches!(waited, Ok(WaitOutcome::Published(_))));
    }

    #[test]
    fn the_last_poll_is_at_the_timeout() {
        let (result, slept) = run(&[missing]);
        let Ok(WaitOutcome::TimedOut {
            last,
            failure: None,
        }) = result
        else {
            panic!("{result:?}");
        };
        assert_eq!(last, missing().ok());
        assert_eq!(slept, [30, 30, 10]);

        let (failed, _) = run(&[missing, down]);
        let Ok(WaitOutcome::TimedOut { last, failure }) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(last, missing().ok());
        assert_eq!(failure.unwrap().to_string(), "no response");
    }

    #[test]
    fn an_error_that_waiting_cannot_fix_ends_the_wait() {
        for results in [vec![refused as fn() -> Result<Poll>], vec![down, refused]] {
            let (waited, _) = run(&results);
            assert_eq!(waited.unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
