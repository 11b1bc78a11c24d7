//! The state of a serving process: counts since its start, failures, and the last status observed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::cycle::Cycle;
use crate::run::{RunReport, TableOutcome, TableReport};
use crate::serve::Schedule;
use crate::status::{DayStatus, Incident, Status, TableStatus};

/// The maximum number of incidents kept for the page.
const MAX_INCIDENTS: usize = 20;

/// The counts of one table since the process started.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct TableCounts {
    pub(super) cycles: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) rejects: u64,
    pub(super) failures: u64,
    pub(super) seconds: f64,
}

/// The state that rounds update, and that metrics, health and the page show.
#[derive(Debug)]
pub(crate) struct ServeState {
    schedule: Schedule,
    pub(super) counts: BTreeMap<String, TableCounts>,
    incidents: Vec<Incident>,
    pub(super) observed: Option<Status>,
    /// The tables that this process exports; only these can be overdue.
    pub served: BTreeSet<String>,
    /// The number of rounds that have ended.
    pub rounds: u64,
    /// The number of consecutive rounds that failed, up to the last one.
    pub failed_rounds: u32,
    /// The number of consecutive rounds that left cycles to wait for source files, up to the last one.
    pub awaiting_rounds: u32,
    /// The cycles of each table that the last round left to wait for source files.
    pub awaited: BTreeMap<String, BTreeSet<Cycle>>,
    /// The number of rounds that were scheduled as a retry of a failed one.
    pub retries: u64,
    /// True while a round runs.
    pub is_running: bool,
    /// The time of the next round.
    pub next: Option<DateTime<Utc>>,
    /// The number of events that no receiver accepted.
    pub notifications_failed: u64,
}

impl ServeState {
    /// Creates the state of a process that has run nothing yet.
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            counts: BTreeMap::new(),
            incidents: Vec::new(),
            observed: None,
            served: BTreeSet::new(),
            rounds: 0,
            failed_rounds: 0,
            awaiting_rounds: 0,
            awaited: BTreeMap::new(),
            retries: 0,
            is_running: false,
            next: None,
            notifications_failed: 0,
        }
    }

    /// Adds the outcomes of a run.
    pub(crate) fn add_run(&mut self, report: &RunReport) {
        self.awaited.clear();
        for table in &report.tables {
            let counts = self.counts.entry(table.table.clone()).or_default();
            counts.seconds += table.seconds;
            match &table.outcome {
                TableOutcome::Published {
                    rows,
                    files,
                    bytes,
                    rejects,
                    ..
                } => {
                    counts.cycles += 1;
                    counts.rows += rows;
                    counts.files += files;
                    counts.bytes += bytes;
                    counts.rejects += rejects.iter().map(|rejects| rejects.rows).sum::<u64>();
                }
                TableOutcome::Failed(failure) => {
                    counts.failures += 1;
                    self.incidents.insert(
                        0,
                        Incident {
                            at: report.finished_at,
                            table: table.table.clone(),
                            cycle: table.cycle,
                            text: failure.error.clone(),
                        },
                    );
                }
                TableOutcome::Awaited { .. } => {
                    let cycles = self.awaited.entry(table.table.clone()).or_default();
                    cycles.extend(table.cycle);
                    let text = format!("awaits {}", table.outcome.awaits().unwrap_or_default());
                    self.add_awaited(report.finished_at, table, text);
                }
                TableOutcome::AlreadyPublished { .. }
                | TableOutcome::Superseded { .. }
                | TableOutcome::Late { .. } => {}
            }
        }
        self.incidents.truncate(MAX_INCIDENTS);
    }

    /// Adds a cycle that waits, once: each round finds it again.
    fn add_awaited(&mut self, at: DateTime<Utc>, table: &TableReport, text: String) {
        let incident = Incident {
            at,
            table: table.table.clone(),
            cycle: table.cycle,
            text,
        };
        let is_same = |other: &Incident| {
            (&other.table, other.cycle, &other.text)
                == (&incident.table, incident.cycle, &incident.text)
        };
        if !self.incidents.iter().any(is_same) {
            self.incidents.insert(0, incident);
        }
    }

    /// Adds a failure of a round that concerns all tables.
    pub(crate) fn add_failure(&mut self, at: DateTime<Utc>, text: String) {
        let incident = Incident {
            at,
            table: "all tables".to_owned(),
            cycle: None,
            text,
        };
        self.incidents.insert(0, incident);
        self.incidents.truncate(MAX_INCIDENTS);
    }

    /// Replaces the observed status of the destination.
    pub(crate) fn observe(&mut self, status: Status) {
        self.observed = Some(status);
    }

    /// Returns the observed status with the incidents of this process, newest first.
    pub(crate) fn status(&self) -> Option<Status> {
        let mut status = self.observed.clone()?;
        let mut incidents = self.incidents.clone();
        incidents.append(&mut status.incidents);
        incidents.sort_by_key(|incident| std::cmp::Reverse(incident.at));
        status.incidents = incidents;
        Some(status)
    }

    /// Returns the tables that are overdue, each with the oldest cycle that is expected and missing, and
    /// the time since it was expected.
    pub(crate) fn overdue(&self, now: DateTime<Utc>) -> Vec<(String, Cycle, TimeDelta)> {
        let tables = self.observed.iter().flat_map(|observed| &observed.tables);
        let served = tables.filter(|table| self.served.contains(table.table.as_str()));
        let overdue = served.filter_map(|table| {
            let cycle = oldest_missing(table)?;
            let late = now - self.schedule.due(cycle);
            (late > TimeDelta::zero()).then(|| (table.table.to_string(), cycle, late))
        });
        overdue.collect()
    }
}

/// Returns the oldest missing cycle, or the cycle after the newest one: a day may have closed since
/// the status was observed.
fn oldest_missing(table: &TableStatus) -> Option<Cycle> {
    let missing = table.days.iter().find(|day| {
        matches!(
            day,
            DayStatus::Missing { .. } | DayStatus::Unfinished { .. }
        )
    });
    match missing {
        Some(day) => Some(day.cycle()),
        None => table.newest.and_then(Cycle::next),
    }
}
