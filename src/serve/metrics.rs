//! What a serving process knows, and its metrics in the text format of Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};

use crate::cycle::Cycle;
use crate::run::{RunReport, TableOutcome};
use crate::serve::Schedule;
use crate::status::{DayStatus, Incident, Status, TableStatus};

/// Failures kept for the page.
const MAX_INCIDENTS: usize = 20;

/// Since the process began.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Counts {
    cycles: u64,
    rows: u64,
    bytes: u64,
    files: u64,
    rejects: u64,
    failures: u64,
    seconds: f64,
}

/// All that is known.
#[derive(Debug)]
pub struct State {
    schedule: Schedule,
    counts: BTreeMap<String, Counts>,
    incidents: Vec<Incident>,
    observed: Option<Status>,
    /// The tables that this process runs: others are not its to wait for.
    pub served: BTreeSet<String>,
    pub rounds: u64,
    /// Rounds that failed in a row.
    pub failed_rounds: u32,
    pub retries: u64,
    pub is_running: bool,
    pub next: Option<DateTime<Utc>>,
    pub notifications_failed: u64,
}

impl State {
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            counts: BTreeMap::new(),
            incidents: Vec::new(),
            observed: None,
            served: BTreeSet::new(),
            rounds: 0,
            failed_rounds: 0,
            retries: 0,
            is_running: false,
            next: None,
            notifications_failed: 0,
        }
    }

    /// Adds what a run did.
    pub fn ran(&mut self, report: &RunReport) {
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
                TableOutcome::AlreadyPublished { .. } | TableOutcome::Superseded { .. } => {}
            }
        }
        self.incidents.truncate(MAX_INCIDENTS);
    }

    /// A round that did not come to a run.
    pub fn failed(&mut self, at: DateTime<Utc>, text: String) {
        let incident = Incident {
            at,
            table: "all tables".to_owned(),
            cycle: None,
            text,
        };
        self.incidents.insert(0, incident);
        self.incidents.truncate(MAX_INCIDENTS);
    }

    pub fn observe(&mut self, status: Status) {
        self.observed = Some(status);
    }

    /// For the page: what is published, and what went wrong here.
    pub fn status(&self) -> Option<Status> {
        let mut status = self.observed.clone()?;
        let mut incidents = self.incidents.clone();
        incidents.append(&mut status.incidents);
        incidents.sort_by_key(|incident| std::cmp::Reverse(incident.at));
        status.incidents = incidents;
        Some(status)
    }

    /// For each table the oldest cycle that is expected and not there, and since when.
    pub fn overdue(&self, now: DateTime<Utc>) -> Vec<(String, Cycle, TimeDelta)> {
        let tables = self.observed.iter().flat_map(|observed| &observed.tables);
        let served = tables.filter(|table| self.served.contains(table.table.as_str()));
        let overdue = served.filter_map(|table| {
            let cycle = oldest_missing(table)?;
            let late = now - self.schedule.due(cycle);
            (late > TimeDelta::zero()).then(|| (table.table.to_string(), cycle, late))
        });
        overdue.collect()
    }

    /// The text that Prometheus scrapes.
    pub fn text(&self, now: DateTime<Utc>) -> String {
        let mut text = String::new();
        let version = env!("CARGO_PKG_VERSION");
        family(
            &mut text,
            "build_info",
            "gauge",
            "The program.",
            [(format!("version=\"{version}\""), 1.0)],
        );
        self.counters(&mut text);
        self.gauges(&mut text, now);
        text
    }

    fn counters(&self, text: &mut String) {
        type Figure = (&'static str, &'static str, fn(&Counts) -> f64);
        let figures: [Figure; 7] = [
            (
                "cycles_published_total",
                "Cycles published by this process.",
                |c| c.cycles as f64,
            ),
            ("rows_total", "Rows published.", |c| c.rows as f64),
            ("bytes_total", "Bytes published, as stored.", |c| {
                c.bytes as f64
            }),
            ("files_total", "Files published.", |c| c.files as f64),
            (
                "rejected_rows_total",
                "Malformed source lines set aside.",
                |c| c.rejects as f64,
            ),
            ("failures_total", "Attempts at a cycle that failed.", |c| {
                c.failures as f64
            }),
            ("seconds_total", "Time spent on cycles.", |c| c.seconds),
        ];
        for (name, help, figure) in figures {
            let values = self
                .counts
                .iter()
                .map(|(table, counts)| (labelled(table), figure(counts)));
            family(text, name, "counter", help, values);
        }
        let none = String::new;
        family(
            text,
            "rounds_total",
            "counter",
            "Times that due cycles were looked for.",
            [(none(), self.rounds as f64)],
        );
        family(
            text,
            "retries_total",
            "counter",
            "Rounds that repeated a failed one.",
            [(none(), self.retries as f64)],
        );
        family(
            text,
            "notification_failures_total",
            "counter",
            "Events that nobody took.",
            [(none(), self.notifications_failed as f64)],
        );
    }

    fn gauges(&self, text: &mut String, now: DateTime<Utc>) {
        let none = String::new;
        family(
            text,
            "running",
            "gauge",
            "Whether a run is under way.",
            [(none(), f64::from(u8::from(self.is_running)))],
        );
        family(
            text,
            "next_run_timestamp_seconds",
            "gauge",
            "When due cycles are looked for next.",
            self.next.map(|next| (none(), next.timestamp() as f64)),
        );
        let Some(observed) = &self.observed else {
            return;
        };
        let tables = &observed.tables;
        let newest = |figure: fn(&crate::status::PublishedDay) -> f64| {
            tables.iter().filter_map(move |table| {
                let day = table.published().next_back()?;
                Some((labelled(table.table.as_str()), figure(day)))
            })
        };
        family(
            text,
            "cycle_rows",
            "gauge",
            "Rows of the newest cycle.",
            newest(|day| day.rows as f64),
        );
        family(
            text,
            "cycle_bytes",
            "gauge",
            "Bytes of the newest cycle.",
            newest(|day| day.bytes as f64),
        );
        family(
            text,
            "cycle_files",
            "gauge",
            "Files of the newest cycle.",
            newest(|day| day.files as f64),
        );
        family(
            text,
            "cycle_duration_seconds",
            "gauge",
            "From the start of the newest cycle to its commit.",
            newest(|day| day.seconds),
        );
        family(
            text,
            "last_success_timestamp_seconds",
            "gauge",
            "When the newest cycle was committed.",
            newest(|day| day.committed_at.timestamp() as f64),
        );
        let late: BTreeMap<String, f64> = self
            .overdue(now)
            .into_iter()
            .map(|(table, _, late)| (table, late.num_seconds() as f64))
            .collect();
        let late = tables.iter().map(|table| {
            let name = table.table.as_str();
            (labelled(name), late.get(name).copied().unwrap_or(0.0))
        });
        family(
            text,
            "overdue_seconds",
            "gauge",
            "Since when the oldest missing cycle is expected.",
            late,
        );
        let missing = tables
            .iter()
            .map(|table| (labelled(table.table.as_str()), table.missing as f64));
        family(
            text,
            "missing_cycles",
            "gauge",
            "Closed cycles that are not published.",
            missing,
        );
    }
}

/// A day may have closed since the table was looked at.
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

fn labelled(table: &str) -> String {
    format!("table=\"{table}\"")
}

fn family(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    values: impl IntoIterator<Item = (String, f64)>,
) {
    let _ = writeln!(
        text,
        "# HELP dayport_{name} {help}\n# TYPE dayport_{name} {kind}"
    );
    for (labels, value) in values {
        let labels = if labels.is_empty() {
            labels
        } else {
            format!("{{{labels}}}")
        };
        let _ = writeln!(text, "dayport_{name}{labels} {value}");
    }
}
