//! Notices work that does not end.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::work::Work;

/// How far work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has no result yet.
    Running,
    /// It has its result, and its runtime waits for its threads.
    Shutdown,
    /// Nothing of it is left.
    Ended,
}

/// The work of one worker.
#[derive(Debug, Clone)]
struct Watched {
    work: Work,
    stage: Stage,
    since: Instant,
}

/// The work of all workers.
pub(crate) struct Watchdog {
    watched: Vec<Mutex<Option<Watched>>>,
    timeout: Duration,
}

/// Work that has been in one stage for too long.
pub(crate) struct Stuck(Watched);

impl Watchdog {
    pub(crate) fn new(workers: usize, timeout: Duration) -> Self {
        Self {
            watched: (0..workers).map(|_| Mutex::new(None)).collect(),
            timeout,
        }
    }

    /// Notes that a worker begins.
    pub(crate) fn watch(&self, worker: usize, work: &Work) {
        *self.watched[worker].lock().unwrap() = Some(Watched {
            work: work.clone(),
            stage: Stage::Running,
            since: Instant::now(),
        });
    }

    /// Notes how far the work of a worker is.
    pub(crate) fn enter(&self, worker: usize, stage: Stage) {
        if let Some(watched) = &mut *self.watched[worker].lock().unwrap() {
            watched.stage = stage;
            watched.since = Instant::now();
        }
    }

    /// Returns work that is stuck.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        let is_stuck = |watched: &Watched| {
            watched.stage != Stage::Ended && watched.since.elapsed() >= self.timeout
        };
        let mut all = self
            .watched
            .iter()
            .filter_map(|watched| watched.lock().unwrap().clone());
        all.find(is_stuck).map(Stuck)
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Watched { work, stage, since } = &self.0;
        let seconds = since.elapsed().as_secs();
        match stage {
            Stage::Shutdown => write!(
                f,
                "stuck: {work}: has its result, but one of its threads has not ended for {seconds} s"
            ),
            Stage::Running | Stage::Ended => {
                write!(f, "stuck: {work}: no result for {seconds} s")
            }
        }
    }
}
