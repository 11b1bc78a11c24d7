//! Until a cycle is published.
//!
//! A look is one listing of manifests for each table; nothing is written. Store failures do not end
//! the waiting, time does.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{StreamExt, TryStreamExt};

use crate::cycle::{Cycle, SyncMode};
use crate::delivery::{History, read_manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, ManifestName, TableName};
use crate::store::{CONCURRENCY, Destination};

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub cycle: Cycle,
    /// Empty for every table that has any manifest at that moment.
    pub tables: BTreeSet<TableName>,
}

/// What one look showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// All tables are published, by these manifests.
    Published(Vec<ManifestName>),
    /// These are not.
    Missing(Vec<TableName>),
    /// No table is asked for, and none has ever been published.
    NothingYet,
}

/// How the waiting ended.
#[derive(Debug)]
pub enum Waited {
    Published(Vec<ManifestName>),
    TimedOut {
        /// What the last look that succeeded showed, if any did.
        last: Option<Look>,
        /// Why the last look failed, if it did.
        failure: Option<Error>,
    },
}

/// Time, as the waiting needs it.
pub trait Timer {
    /// Since the waiting began.
    fn elapsed(&self) -> Duration;
    fn sleep(&mut self, duration: Duration) -> impl Future<Output = ()>;
}

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// In all.
    pub timeout: Duration,
    /// Between two looks.
    pub every: Duration,
    /// A look is given up at the end of the time, but not before it had this long.
    pub look: Duration,
}

/// Looks at once, and then every so often, until all is there or the time is over. `watch` is told
/// of every look that did not end it.
///
/// # Errors
/// What no patience can mend: an error of a kind other than [`ErrorKind::Unavailable`], as long as
/// no look has succeeded. After that the configuration is known to be right.
pub async fn wait(
    timer: &mut impl Timer,
    patience: Patience,
    mut look: impl AsyncFnMut() -> Result<Look>,
    mut watch: impl FnMut(&Result<Look>),
) -> Result<Waited> {
    let mut last = None;
    let left = |timer: &mut _| patience.timeout.saturating_sub(Timer::elapsed(timer));
    loop {
        let limit = left(timer).max(patience.look);
        // A store that takes a call and never answers must not outlast the time.
        let looked = match select(pin!(look()), pin!(timer.sleep(limit))).await {
            Either::Left((looked, _)) => looked,
            Either::Right(_) => Err(Error::unavailable("the store does not answer")),
        };
        match &looked {
            Ok(Look::Published(names)) => return Ok(Waited::Published(names.clone())),
            Err(error) if error.kind() != ErrorKind::Unavailable && last.is_none() => {
                return looked.map(|_| Waited::TimedOut {
                    last: None,
                    failure: None,
                });
            }
            _ => {}
        }
        watch(&looked);
        let failure = match looked {
            Ok(look) => {
                last = Some(look);
                None
            }
            Err(error) => Some(error),
        };
        let left = left(timer);
        if left.is_zero() {
            return Ok(Waited::TimedOut { last, failure });
        }
        // The last look is at the end of the time, however it divides.
        timer.sleep(patience.every.min(left)).await;
    }
}

/// Looks once.
pub async fn look(destination: &Destination, wanted: &Wanted) -> Result<Look> {
    let tables = if wanted.tables.is_empty() {
        let folders = destination.folders(&layout::manifests_folder()).await?;
        let tables = folders.iter().filter_map(|name| name.parse().ok());
        tables.collect()
    } else {
        wanted.tables.clone()
    };
    let looks: Vec<_> = tables
        .iter()
        .map(|table| published(destination, table, wanted.cycle))
        .collect();
    let found: Vec<Option<ManifestName>> = futures::stream::iter(looks)
        .buffered(CONCURRENCY.tables)
        .try_collect()
        .await?;
    if found.is_empty() {
        return Ok(Look::NothingYet);
    }
    let missing = tables.into_iter().zip(&found);
    let missing: Vec<TableName> = missing
        .filter(|(_, found)| found.is_none())
        .map(|(table, _)| table)
        .collect();
    Ok(if missing.is_empty() {
        Look::Published(found.into_iter().flatten().collect())
    } else {
        Look::Missing(missing)
    })
}

/// The manifest by which a table is published for a cycle: that of the cycle, or of a later
/// snapshot, after which an earlier one will never come.
async fn published(
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

    /// Time that passes by sleeping alone.
    #[derive(Default)]
    struct Asleep {
        elapsed: Duration,
        slept: Vec<u64>,
    }

    impl Timer for Asleep {
        fn elapsed(&self) -> Duration {
            self.elapsed
        }

        async fn sleep(&mut self, duration: Duration) {
            self.elapsed += duration;
            self.slept.push(duration.as_secs());
        }
    }

    fn missing() -> Result<Look> {
        Ok(Look::Missing(vec!["views".parse().unwrap()]))
    }

    fn there() -> Result<Look> {
        Ok(Look::Published(Vec::new()))
    }

    fn down() -> Result<Look> {
        Err(Error::unavailable("no answer"))
    }

    fn refused() -> Result<Look> {
        Err(Error::invalid("refused"))
    }

    /// Waits 70 seconds, 30 at a time, and gives the sleeps too. The last answer is repeated.
    fn waited(answers: &[fn() -> Result<Look>]) -> (Result<Waited>, Vec<u64>) {
        let mut timer = Asleep::default();
        let mut looks = 0;
        let patience = Patience {
            timeout: Duration::from_secs(70),
            every: Duration::from_secs(30),
            look: Duration::from_secs(10),
        };
        let look = async || {
            looks += 1;
            answers[(looks - 1).min(answers.len() - 1)]()
        };
        let waited = wait(&mut timer, patience, look, |_| {});
        let waited = futures::executor::block_on(waited);
        (waited, timer.slept)
    }

    #[test]
    fn the_first_look_is_at_once() {
        let (waited, slept) = waited(&[there]);
        assert!(matches!(waited, Ok(Waited::Published(_))));
        assert_eq!(slept, Vec::<u64>::new());
    }

    #[test]
    fn hiccups_are_survived() {
        for hiccup in [down, missing] {
            let (waited, slept) = waited(&[hiccup, down, there]);
            assert!(matches!(waited, Ok(Waited::Published(_))));
            assert_eq!(slept, [30, 30]);
        }
        let (waited, _) = waited(&[missing, refused, there]);
        assert!(matches!(waited, Ok(Waited::Published(_))));
    }

    #[test]
    fn the_time_ends_it_with_a_last_look() {
        let (result, slept) = waited(&[missing]);
        let Ok(Waited::TimedOut {
            last,
            failure: None,
        }) = result
        else {
            panic!("{result:?}");
        };
        assert_eq!(last, missing().ok());
        assert_eq!(slept, [30, 30, 10]);

        let (result, _) = waited(&[missing, down]);
        let Ok(Waited::TimedOut { last, failure }) = result else {
            panic!("{result:?}");
        };
        assert_eq!(last, missing().ok());
        assert_eq!(failure.unwrap().to_string(), "no answer");
    }

    #[test]
    fn what_cannot_pass_ends_it_at_once() {
        for answers in [vec![refused as fn() -> Result<Look>], vec![down, refused]] {
            let (waited, _) = waited(&answers);
            assert_eq!(waited.unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
