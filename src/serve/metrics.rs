//! Formats the metrics of a serving process in the text format of Prometheus
//! ([exposition formats](https://prometheus.io/docs/instrumenting/exposition_formats/), version 0.0.4).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use chrono::{DateTime, Utc};

use crate::serve::state::{AuditLabels, ServeState, TableCounts};

impl ServeState {
    /// Returns the metrics in Prometheus's text format, version 0.0.4.
    pub(crate) fn metrics(&self, now: DateTime<Utc>) -> String {
        let mut text = String::new();
        let version = env!("CARGO_PKG_VERSION");
        family(
            &mut text,
            "build_info",
            "gauge",
            "The version of the program.",
            [(format!("version=\"{version}\""), 1.0)],
        );
        self.counters(&mut text);
        self.gauges(&mut text, now);
        text
    }

    /// Appends what this process has counted since its start.
    fn counters(&self, text: &mut String) {
        type Figure = (&'static str, &'static str, fn(&TableCounts) -> f64);
        let figures: [Figure; 7] = [
            (
                "cycles_published_total",
                "Cycles published by this process.",
                |c| c.cycles as f64,
            ),
            ("rows_total", "Rows published.", |c| c.rows as f64),
            ("bytes_total", "Compressed bytes published.", |c| {
                c.bytes as f64
            }),
            ("files_total", "Files published.", |c| c.files as f64),
            (
                "rejected_rows_total",
                "Malformed source lines set aside.",
                |c| c.rejects as f64,
            ),
            (
                "failures_total",
                "Failed attempts to export a cycle.",
                |c| c.failures as f64,
            ),
            ("seconds_total", "Time spent on cycles.", |c| c.seconds),
        ];
        for (name, help, figure) in figures {
            let values = self
                .counts
                .iter()
                .map(|(table, counts)| (labelled(table), figure(counts)));
            family(text, name, "counter", help, values);
        }
        let audits = self.audits.iter().map(|(labels, count)| {
            let AuditLabels {
                table,
                audit,
                severity,
                result,
            } = labels;
            let audit = escaped(audit);
            let labels = format!(
                "table=\"{table}\",audit=\"{audit}\",severity=\"{severity}\",result=\"{result}\""
            );
            (labels, *count as f64)
        });
        family(
            text,
            "audit_results_total",
            "counter",
            "Results of audits: passed, failed, skipped or error.",
            audits,
        );
        let none = String::new;
        family(
            text,
            "rounds_total",
            "counter",
            "Rounds, each of which exports the cycles that are due.",
            [(none(), self.rounds as f64)],
        );
        family(
            text,
            "failed_rounds_total",
            "counter",
            "Rounds in which a table, or all of the round, failed.",
            [(none(), self.failed_rounds_total as f64)],
        );
        family(
            text,
            "retries_total",
            "counter",
            "Rounds scheduled as a retry of one that failed or found source files missing.",
            [(none(), self.retries as f64)],
        );
        family(
            text,
            "notification_failures_total",
            "counter",
            "Events that the receiver did not accept.",
            [(none(), self.notifications_failed as f64)],
        );
    }

    /// Appends what holds now, here and at the destination.
    fn gauges(&self, text: &mut String, now: DateTime<Utc>) {
        let none = String::new;
        family(
            text,
            "running",
            "gauge",
            "1 while a round runs, otherwise 0.",
            [(none(), f64::from(u8::from(self.is_running)))],
        );
        family(
            text,
            "next_run_timestamp_seconds",
            "gauge",
            "Time of the next round.",
            self.next.map(|next| (none(), next.timestamp() as f64)),
        );
        let awaited = self.served().map(|table| {
            let cycles = self.awaited.get(table.as_str()).map_or(0, BTreeSet::len);
            (labelled(table.as_str()), cycles as f64)
        });
        family(
            text,
            "awaited_cycles",
            "gauge",
            "Due cycles that wait for source files, as of the last round.",
            awaited,
        );
        let Some(observed) = &self.observed else {
            return;
        };
        // Those that were never published come with the others, in the order of their names.
        let tables = &self.tables(observed);
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
            "Time from the start of the newest cycle to its commit.",
            newest(|day| day.seconds),
        );
        let last_success = tables.iter().map(|table| {
            let committed = table.newest_at.map_or(0, |at| at.timestamp());
            (labelled(table.table.as_str()), committed as f64)
        });
        family(
            text,
            "last_success_timestamp_seconds",
            "gauge",
            "Time of the commit of the newest cycle; 0 if there is none.",
            last_success,
        );
        let late = self.overdue(now);
        let seconds: BTreeMap<&str, f64> = late
            .iter()
            .map(|(table, _, late)| (table.as_str(), late.num_seconds() as f64))
            .collect();
        let overdue = tables.iter().map(|table| {
            let name = table.table.as_str();
            (labelled(name), seconds.get(name).copied().unwrap_or(0.0))
        });
        family(
            text,
            "overdue_seconds",
            "gauge",
            "Time since the oldest missing cycle was expected; 0 if none is.",
            overdue,
        );
        family(
            text,
            "overdue_cycle_timestamp_seconds",
            "gauge",
            "Start of the oldest missing cycle, for tables that are overdue.",
            late.iter()
                .map(|(table, cycle, _)| (labelled(table), cycle.start().timestamp() as f64)),
        );
        let late_files = tables.iter().map(|table| {
            let late = table.published().filter_map(|day| day.late.as_ref());
            let count = late.fold(0, |sum: u64, late| sum.saturating_add(late.count()));
            (labelled(table.table.as_str()), count as f64)
        });
        family(
            text,
            "late_source_files",
            "gauge",
            "Source files that came too late for their published cycles.",
            late_files,
        );
        let complete = observed.complete.as_ref();
        family(
            text,
            "complete_cycle_timestamp_seconds",
            "gauge",
            "Start of the newest complete cycle, if cycles are marked.",
            complete.map(|complete| (none(), complete.newest.start().timestamp() as f64)),
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

/// Formats the label of a table. Names of tables need no escapes.
fn labelled(table: &str) -> String {
    format!("table=\"{table}\"")
}

/// Returns a text as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Appends a metric: its help, its type and a sample per pair of labels and value.
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

#[cfg(test)]
mod tests {
    use chrono::NaiveTime;

    use super::*;
    use crate::books::Balance;
    use crate::cycle::{Cycle, SyncMode};
    use crate::layout::TableName;
    use crate::manifest::{AuditRecord, AuditSeverity, AuditVerdict};
    use crate::run::{AuditResult, RunReport, TableOutcome, TableReport};
    use crate::serve::Schedule;
    use crate::status::{DayStatus, PublishedDay, Status, TableStatus};

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn audit_of_one_table() -> AuditResult {
        AuditResult {
            record: AuditRecord {
                name: "accepted_values(\"Type\")".to_owned(),
                severity: AuditSeverity::Warn,
                result: AuditVerdict::Failed,
                rows: 3,
                accepted: false,
            },
            position: "sql/audits/views.sql:1".to_owned(),
            detail: None,
            keys: Vec::new(),
        }
    }

    fn run_of_one_table(cycle: Cycle) -> RunReport {
        RunReport {
            run_id: "run".to_owned(),
            destination: "out".to_owned(),
            started_at: time("2026-01-16T03:00:00Z"),
            finished_at: time("2026-01-16T03:01:00Z"),
            tables: vec![TableReport {
                table: "views".to_owned(),
                sync_mode: Some(SyncMode::Incremental),
                cycle: Some(cycle),
                seconds: 1.5,
                is_late: false,
                outcome: TableOutcome::Published {
                    revision: 1,
                    rows: 1595,
                    files: 2,
                    bytes: 1 << 20,
                    manifest: String::new(),
                    sources: Vec::new(),
                    balance: Box::new(Balance::not_countable("it joins")),
                    rejects: Vec::new(),
                    replaced: Vec::new(),
                    foreign: Vec::new(),
                    missing: Vec::new(),
                    provisional: Vec::new(),
                    cause: None,
                    absent: Vec::new(),
                    changes: Vec::new(),
                    schema_file_error: None,
                },
                rejected_lines: None,
                audits: vec![audit_of_one_table()],
                failing_rows: None,
            }],
            cycles: Vec::new(),
            cycles_failure: None,
            scans: 1,
            passes: 1,
        }
    }

    fn status_of_one_table(cycle: Cycle) -> Status {
        let day = PublishedDay {
            cycle,
            revision: 1,
            rows: 1595,
            bytes: 1 << 20,
            files: 2,
            rejects: 0,
            balance: None,
            seconds: 1.5,
            committed_at: time("2026-01-16T03:00:30Z"),
            outlier: None,
            provisional: false,
            final_after: None,
            is_final: false,
            late: None,
            empty_among_full: false,
        };
        Status {
            destination: "out".to_owned(),
            at: time("2026-01-17T04:00:00Z"),
            first: cycle,
            last: cycle.next().unwrap(),
            tables: vec![TableStatus {
                table: "views".parse().unwrap(),
                sync_mode: Some(SyncMode::Incremental),
                description: String::new(),
                newest: Some(cycle),
                newest_at: Some(time("2026-01-16T03:00:30Z")),
                median_rows: None,
                trend_percent: None,
                missing: 1,
                final_through: None,
                log_fault: None,
                days: vec![DayStatus::Published(day)],
            }],
            complete: None,
            incidents: Vec::new(),
        }
    }

    fn served(table: &str) -> (TableName, SyncMode) {
        (table.parse().unwrap(), SyncMode::Incremental)
    }

    /// Returns the samples of a table, without their labels.
    fn samples(text: &str, table: &str) -> BTreeMap<String, f64> {
        let label = format!("{{{}}}", labelled(table));
        let lines = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(&label)?;
            Some((name.to_owned(), value.trim().parse().unwrap()))
        });
        lines.collect()
    }

    #[test]
    fn a_table_that_was_never_published_has_metrics() {
        let cycle: Cycle = "2026-01-15".parse().unwrap();
        let mut state = ServeState::new(Schedule::Daily("03:00:00".parse().unwrap()));
        state.serve([served("views"), served("clicks")]);
        let now = time("2026-01-17T04:00:00Z");
        let before = samples(&state.metrics(now), "clicks");
        assert_eq!(before.get("dayport_failures_total"), Some(&0.0));
        assert_eq!(
            before.get("dayport_overdue_seconds"),
            None,
            "nothing is observed"
        );

        state.observe(status_of_one_table(cycle));
        let text = state.metrics(now);
        let clicks = samples(&text, "clicks");
        for (name, value) in [
            ("dayport_last_success_timestamp_seconds", 0.0),
            ("dayport_overdue_seconds", 3600.0),
            ("dayport_overdue_cycle_timestamp_seconds", 1_768_521_600.0),
            ("dayport_missing_cycles", 1.0),
            ("dayport_failures_total", 0.0),
            ("dayport_cycles_published_total", 0.0),
        ] {
            assert_eq!(clicks.get(name), Some(&value), "{name}");
        }

        // A day later, its first due cycle is still the oldest one that is missing.
        let mut later = status_of_one_table(cycle);
        later.last = later.last.next().unwrap();
        state.observe(later);
        let tomorrow = time("2026-01-18T04:00:00Z");
        let clicks = samples(&state.metrics(tomorrow), "clicks");
        assert_eq!(clicks.get("dayport_overdue_seconds"), Some(&90_000.0));
        assert_eq!(clicks.get("dayport_missing_cycles"), Some(&2.0));

        // Once it is published, it is a table among others, also if that was before the calendar.
        let mut published = status_of_one_table(cycle);
        published.tables[0].table = "clicks".parse().unwrap();
        published.tables[0].days.clear();
        state.observe(published);
        let clicks = samples(&state.metrics(now), "clicks");
        let committed = clicks.get("dayport_last_success_timestamp_seconds");
        assert_eq!(committed, Some(&1_768_532_430.0));
        assert_eq!(clicks.get("dayport_overdue_seconds"), Some(&3600.0));
    }

    /// Names, labels, types and values are a contract with dashboards and alerts.
    #[test]
    fn metrics_of_a_process() {
        let cycle: Cycle = "2026-01-15".parse().unwrap();
        let mut state = ServeState::new(Schedule::Daily(NaiveTime::MIN));
        state.add_run(&run_of_one_table(cycle));
        state.serve([served("views")]);
        state.observe(status_of_one_table(cycle));
        state.rounds = 3;
        state.next = Some(time("2026-01-18T00:00:00Z"));
        let text = state.metrics(time("2026-01-17T04:00:00Z"));
        insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }
}
