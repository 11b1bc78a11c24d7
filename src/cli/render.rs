//! What a person reads at the end of a run.

use std::fmt::Write;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::run::{RunReport, TableOutcome, TableReport};

/// Prints what scripts read.
pub fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::internal("cannot print the report").with_source(error))?;
    print(&(text + "\n"));
    Ok(())
}

/// Prints on stdout. A reader that has seen enough, such as `head`, is no failure.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Stdout, for rows that are not all there yet: tells when its reader has gone.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    is_closed: Arc<AtomicBool>,
}

impl Rows {
    /// Whether nobody reads any more: what was written since is dropped.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn unless_closed<T>(&self, result: io::Result<T>, dropped: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed.store(true, Ordering::Relaxed);
                Ok(dropped)
            }
            result => result,
        }
    }
}

impl io::Write for Rows {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.unless_closed(io::stdout().write(text), text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed(io::stdout().flush(), ())
    }
}

const HEADINGS: [&str; 8] = [
    "table", "mode", "cycle", "rows", "files", "bytes", "time", "result",
];

/// Columns whose figures stand at the right.
const RIGHT: [bool; 8] = [false, false, false, true, true, true, true, false];

/// A line for each table and cycle, and a line about all of them.
pub fn report(report: &RunReport) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(report.tables.iter().map(line));
    let mut text = table(&lines, RIGHT);
    let count = |wanted: fn(&TableOutcome) -> bool| {
        let outcomes = report.tables.iter().map(|table| &table.outcome);
        outcomes.filter(|outcome| wanted(outcome)).count()
    };
    let failed = count(|outcome| matches!(outcome, TableOutcome::Failed(_)));
    let published = count(|outcome| matches!(outcome, TableOutcome::Published { .. }));
    let skipped = report.tables.len() - failed - published;
    let took = report.finished_at - report.started_at;
    let _ = writeln!(
        text,
        "\n{published} published, {skipped} skipped, {failed} failed in {:.1} s to {} (run {})",
        took.as_seconds_f64(),
        report.destination,
        report.run_id
    );
    if report.tables.is_empty() {
        text.push_str("nothing is due\n");
    }
    if report.scans > 0 {
        let scans = counted(report.scans, "scan", "scans");
        let passes = counted(report.passes, "pass", "passes");
        let _ = writeln!(text, "{scans} of sources in {passes}");
    }
    text
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What went wrong and what is odd, for stderr.
pub fn complaints(report: &RunReport) -> String {
    let mut text = String::new();
    for table in &report.tables {
        if let TableOutcome::Published {
            foreign, rejects, ..
        } = &table.outcome
        {
            for rejects in rejects {
                let (lines, are) = match rejects.rows {
                    1 => ("line", "is"),
                    _ => ("lines", "are"),
                };
                let _ = writeln!(
                    text,
                    "warning: {}: {} malformed {lines} of the source `{}` {are} set aside in `{}`",
                    table.table, rejects.rows, rejects.source, rejects.path
                );
            }
            for path in foreign {
                let _ = writeln!(
                    text,
                    "warning: {}: `{path}` is in the table's folder, but no manifest names it",
                    table.table
                );
            }
        }
        if let TableOutcome::Failed(failure) = &table.outcome {
            let cycle = table.cycle.map(|cycle| format!(" {cycle}"));
            let cycle = cycle.unwrap_or_default();
            let _ = writeln!(text, "error: {}{cycle}: {}", table.table, failure.error);
            if let Some(hint) = &failure.hint {
                let _ = writeln!(text, "hint: {hint}");
            }
        }
    }
    text
}

fn line(report: &TableReport) -> [String; 8] {
    let none = || "-".to_owned();
    let (rows, files, bytes) = match &report.outcome {
        TableOutcome::Published {
            rows, files, bytes, ..
        } => (
            HumanCount(*rows).to_string(),
            HumanCount(*files).to_string(),
            HumanBytes(*bytes).to_string(),
        ),
        _ => (none(), none(), none()),
    };
    [
        report.table.clone(),
        report.sync_mode.map_or_else(none, |mode| mode.to_string()),
        report.cycle.map_or_else(none, |cycle| cycle.to_string()),
        rows,
        files,
        bytes,
        format!("{:.1} s", report.seconds),
        result(&report.outcome),
    ]
}

fn result(outcome: &TableOutcome) -> String {
    match outcome {
        TableOutcome::Published { revision: 0, .. } => "published".to_owned(),
        TableOutcome::Published { revision, .. } => format!("published as revision {revision}"),
        TableOutcome::AlreadyPublished { run_id, .. } => {
            format!("already published by run {run_id}")
        }
        TableOutcome::Superseded { by } => format!("superseded by the snapshot of {by}"),
        TableOutcome::Failed(_) => "failed".to_owned(),
    }
}

/// Lines of cells as columns of the same width; `right` tells which have their text at the right.
pub fn table<const N: usize>(lines: &[[String; N]], right: [bool; N]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or(0)
    });
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for ((cell, width), right) in line.iter().zip(widths).zip(right) {
            let _ = if right {
                write!(row, "{cell:>width$}  ")
            } else {
                write!(row, "{cell:<width$}  ")
            };
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}
