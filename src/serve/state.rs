//! The state of a serving process: counts since its start, failures, and the last status observed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::cycle::{Cycle, SyncMode};
use crate::layout::TableName;
use crate::run::{AuditResult, RunReport, TableOutcome, TableReport};
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

/// The table and name of an audit, with its severity and a verdict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AuditLabels {
    pub(super) table: String,
    pub(super) audit: String,
    pub(super) severity: &'static str,
    pub(super) result: &'static str,
}

/// The state that rounds update, and that metrics, health and the page show.
#[derive(Debug)]
pub(crate) struct ServeState {
    schedule: Schedule,
    pub(super) counts: BTreeMap<String, TableCounts>,
    /// The number of results of each audit since the process started.
    pub(super) audits: BTreeMap<AuditLabels, u64>,
    incidents: Vec<Incident>,
    pub(super) observed: Option<Status>,
    /// The tables that this process exports, with their sync modes; only these can be overdue.
    served: BTreeMap<TableName, SyncMode>,
    /// Those of them that were never published, each with the first cycle that this process found due.
    never_published: BTreeMap<TableName, Cycle>,
    /// The number of rounds that have ended.
    pub rounds: u64,
    /// The number of consecutive rounds that failed, up to the last one.
    pub failed_rounds: u32,
    /// The number of all rounds that failed.
    pub failed_rounds_total: u64,
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
            audits: BTreeMap::new(),
            incidents: Vec::new(),
            observed: None,
            served: BTreeMap::new(),
            never_published: BTreeMap::new(),
            rounds: 0,
            failed_rounds: 0,
            failed_rounds_total: 0,
            awaiting_rounds: 0,
            awaited: BTreeMap::new(),
            retries: 0,
            is_running: false,
            next: None,
            notifications_failed: 0,
        }
    }

    /// Replaces the tables that this process exports. Their counters exist from then on.
    pub(crate) fn serve(&mut self, tables: impl IntoIterator<Item = (TableName, SyncMode)>) {
        self.served = tables.into_iter().collect();
        for table in self.served.keys() {
            self.counts.entry(table.to_string()).or_default();
        }
        let served = &self.served;
        self.never_published
            .retain(|table, _| served.contains_key(table));
    }

    /// Returns the tables that this process exports.
    pub(super) fn served(&self) -> impl Iterator<Item = &TableName> {
        self.served.keys()
    }

    /// Adds the outcomes of a run.
    pub(crate) fn add_run(&mut self, report: &RunReport) {
        self.awaited.clear();
        for table in &report.tables {
            for AuditResult { record, .. } in &table.audits {
                let labels = AuditLabels {
                    table: table.table.clone(),
                    audit: record.name.clone(),
                    severity: record.severity.name(),
                    result: record.result.name(),
                };
                *self.audits.entry(labels).or_default() += 1;
            }
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
                TableOutcome::Failed(failure) if failure.is_interruption => {}
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
        let is_published = |table: &TableName| {
            let mut tables = status.tables.iter();
            tables.any(|known| known.table == *table)
        };
        self.never_published.retain(|table, _| !is_published(table));
        for table in self.served.keys().filter(|table| !is_published(table)) {
            let first_due = self.never_published.entry(table.clone());
            first_due.or_insert(status.last);
        }
        self.observed = Some(status);
    }

    /// Returns the calendar of a table that was never published.
    fn calendar_of_never_published(
        &self,
        table: &TableName,
        first_due: Cycle,
        observed: &Status,
    ) -> TableStatus {
        let sync_mode = self.served.get(table).copied();
        let is_missing = |cycle: Cycle| match sync_mode {
            // A run publishes only the newest snapshot.
            Some(SyncMode::Snapshot) => cycle == observed.last,
            Some(SyncMode::Incremental) | None => cycle >= first_due,
        };
        let cycles = Cycle::range(observed.first, observed.last);
        let missing = cycles.iter().filter(|cycle| is_missing(**cycle)).count();
        let days = cycles.into_iter().map(|cycle| match is_missing(cycle) {
            true => DayStatus::Missing { cycle },
            false => DayStatus::None { cycle },
        });
        TableStatus {
            table: table.clone(),
            sync_mode,
            description: String::new(),
            newest: None,
            newest_at: None,
            median_rows: None,
            trend_percent: None,
            missing: missing as u64,
            final_through: None,
            log_fault: None,
            days: days.collect(),
        }
    }

    /// Returns the observed tables and those that were never published, by name.
    pub(super) fn tables(&self, observed: &Status) -> Vec<TableStatus> {
        let mut tables = observed.tables.clone();
        let never_published = self.never_published.iter();
        tables.extend(never_published.map(|(table, first_due)| {
            self.calendar_of_never_published(table, *first_due, observed)
        }));
        tables.sort_by(|one, other| one.table.cmp(&other.table));
        tables
    }

    /// Returns the observed status with the tables that were never published and the incidents of this
    /// process, newest first.
    pub(crate) fn status(&self) -> Option<Status> {
        let observed = self.observed.as_ref()?;
        let mut status = Status {
            tables: self.tables(observed),
            ..observed.clone()
        };
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
        let published = tables
            .filter(|table| self.served.contains_key(&table.table))
            .filter_map(|table| Some((&table.table, oldest_missing(table)?)));
        let never_published = self.never_published.iter();
        let missing =
            published.chain(never_published.map(|(table, first_due)| (table, *first_due)));
        let overdue = missing.filter_map(|(table, cycle)| {
            let late = now - self.schedule.due(cycle);
            (late > TimeDelta::zero()).then(|| (table.to_string(), cycle, late))
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
