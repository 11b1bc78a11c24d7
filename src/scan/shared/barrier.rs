//! The barrier at which the tables of a cycle wait for each other, so that those that read the same
//! source share one scan of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::scan::shared::request::{ScanRequest, ScanRequests};
use crate::scan::shared::shared_scan::SharedScan;

/// A barrier that blocks the plans of several tables until shared scans are assigned to them.
#[derive(Debug)]
pub(crate) struct ScanBarrier {
    tables: usize,
    state: Mutex<BarrierState>,
    assigned: watch::Sender<bool>,
}

#[derive(Debug)]
struct BarrierState {
    /// The number of participants that have neither joined nor left.
    awaited: usize,
    /// The requests of each participant that has joined.
    plans: Vec<Vec<Arc<ScanRequest>>>,
    stats: SharedScanStats,
}

/// Counts of scans, which show how much reading was saved by sharing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SharedScanStats {
    /// The number of scans that the plans requested.
    pub requested: u64,
    /// The number of times that a source is read for them.
    pub performed: u64,
}

/// One table's membership of a [`ScanBarrier`].
///
/// A participant must call [`Self::join`] or be dropped, which means that it leaves: the barrier
/// blocks the others until it has done one of the two.
#[derive(Debug)]
pub struct Participant {
    /// `None` once it has joined.
    barrier: Option<Arc<ScanBarrier>>,
}

impl ScanBarrier {
    /// Returns a barrier for this many tables, and a participant for each of them.
    pub(crate) fn new(tables: usize) -> (Arc<Self>, Vec<Participant>) {
        let barrier = Arc::new(Self {
            tables,
            state: Mutex::new(BarrierState {
                awaited: tables,
                plans: Vec::new(),
                stats: SharedScanStats::default(),
            }),
            assigned: watch::Sender::new(false),
        });
        let participants = (0..tables)
            .map(|_| Participant {
                barrier: Some(Arc::clone(&barrier)),
            })
            .collect();
        (barrier, participants)
    }

    /// Returns the counts of scans; all are 0 before every participant has joined or left.
    pub(crate) fn stats(&self) -> SharedScanStats {
        self.state.lock().stats
    }

    /// Records that one participant has joined with `requests`, or has left. The last one assigns
    /// the shared scans.
    fn resolve(&self, requests: Option<Vec<Arc<ScanRequest>>>) {
        let mut state = self.state.lock();
        state.plans.extend(requests);
        state.awaited = state.awaited.saturating_sub(1);
        if state.awaited == 0 {
            let plans = std::mem::take(&mut state.plans);
            state.stats = assign(&plans);
            self.assigned.send_replace(true);
        }
    }
}

impl Participant {
    /// Returns the number of tables at the barrier.
    pub fn tables(&self) -> usize {
        self.barrier.as_ref().map_or(1, |barrier| barrier.tables)
    }

    /// Joins with the scans of a plan, and waits until all other participants have joined or left.
    ///
    /// The plan must not run before this returns.
    pub async fn join(mut self, requests: &ScanRequests) {
        let Some(barrier) = self.barrier.take() else {
            return;
        };
        let mut assigned = barrier.assigned.subscribe();
        barrier.resolve(Some(requests.take()));
        // The sender lives as long as the barrier, which is held here.
        let _ = assigned.wait_for(|assigned| *assigned).await;
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        if let Some(barrier) = &self.barrier {
            barrier.resolve(None);
        }
    }
}

/// Assigns each plan to at most one shared scan, beginning with the source that has the most bytes
/// to read.
fn assign(plans: &[Vec<Arc<ScanRequest>>]) -> SharedScanStats {
    let requested = plans.iter().map(Vec::len).sum::<usize>() as u64;
    let mut saved = 0;
    let mut unassigned: Vec<&Vec<Arc<ScanRequest>>> = plans.iter().collect();
    loop {
        let mut groups: BTreeMap<String, Vec<&Arc<ScanRequest>>> = BTreeMap::new();
        for plan in &unassigned {
            let mut first_by_key = BTreeMap::new();
            for request in *plan {
                first_by_key
                    .entry(SharedScan::group_key(request))
                    .or_insert(request);
            }
            for (key, request) in first_by_key {
                groups.entry(key).or_default().push(request);
            }
        }
        let largest = groups
            .into_values()
            .filter_map(SharedScan::compatible)
            .max_by_key(|requests| {
                let bytes: u64 = requests.iter().map(|request| request.bytes()).sum();
                bytes
            });
        let Some(requests) = largest else {
            return SharedScanStats {
                requested,
                performed: requested - saved,
            };
        };
        let assigned = SharedScan::assign(&requests);
        saved += assigned.saturating_sub(1);
        unassigned.retain(|plan| {
            let is_assigned = |request| requests.iter().any(|other| Arc::ptr_eq(other, request));
            !plan.iter().any(is_assigned)
        });
    }
}
