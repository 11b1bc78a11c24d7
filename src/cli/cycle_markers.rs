//! Renders which cycles are complete, and warns of markers that could not be written.

use std::fmt::Write;

use crate::cycle::Cycle;
use crate::human;
use crate::layout::TableName;
use crate::policy::{Grant, Statement};
use crate::run::{CycleOutcome, RunReport};
use crate::store::{Location, S3Prefix};
use crate::visible::visible_line;

/// Renders a line for each cycle, or for consecutive ones of which the same is to be said.
pub(super) fn text_of_cycles(report: &RunReport) -> String {
    let mut lines: Vec<(String, Vec<Cycle>, String)> = Vec::new();
    for cycle in &report.cycles {
        let (state, detail) = match &cycle.outcome {
            CycleOutcome::Complete { marker, .. } => ("complete".to_owned(), marker.clone()),
            CycleOutcome::Incomplete { missing, .. } => (
                format!("not complete: missing {}", names(missing)),
                String::new(),
            ),
            CycleOutcome::Withdrawn {
                missing, marker, ..
            } => (
                format!("no longer complete: missing {}", names(missing)),
                marker.clone(),
            ),
            CycleOutcome::AlreadyComplete { .. } | CycleOutcome::Failed(_) => continue,
        };
        match lines.last_mut() {
            Some((last, cycles, _)) if *last == state => cycles.push(cycle.cycle),
            _ => lines.push((state, vec![cycle.cycle], detail)),
        }
    }
    let mut text = String::new();
    for (state, cycles, detail) in lines {
        let _ = match cycles.as_slice() {
            [first, .., last] => {
                let cycles = human::counted(cycles.len() as u64, "cycle");
                writeln!(text, "{cycles} {first} to {last}: {state}")
            }
            [cycle] if detail.is_empty() => writeln!(text, "{cycle} is {state}"),
            [cycle] => writeln!(text, "{cycle} is {state} ({detail})"),
            [] => Ok(()),
        };
    }
    text
}

fn names(tables: &[TableName]) -> String {
    let names: Vec<&str> = tables.iter().map(TableName::as_str).collect();
    names.join(", ")
}

/// Renders errors and advice, for stderr.
pub(super) fn complaints_of_cycles(report: &RunReport) -> String {
    let mut text = String::new();
    let failures = report.marker_failures();
    for failure in failures.filter(|failure| !failure.is_forbidden) {
        let error = visible_line(&failure.error);
        let _ = writeln!(
            text,
            "error: complete cycles may lack their markers: {error}"
        );
        match &failure.hint {
            Some(hint) => {
                let _ = writeln!(text, "hint: {}", visible_line(hint));
            }
            None => text.push_str("hint: the next run writes them\n"),
        }
    }
    let mut told: Vec<&TableName> = Vec::new();
    for cycle in &report.cycles {
        if let CycleOutcome::Incomplete { undefined, .. } = &cycle.outcome {
            told.extend(undefined);
        }
    }
    told.sort();
    told.dedup();
    for table in told {
        let _ = writeln!(
            text,
            "hint: `{table}` has no definition here: if it was removed, --without {table} completes the cycle"
        );
    }
    text
}

/// The warning of a run that may not write markers, which its tables do not need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MarkersWarning {
    pub text: String,
    pub hint: String,
}

impl MarkersWarning {
    /// Returns the warning; `None` if the store refused nothing.
    pub(super) fn of(report: &RunReport, to: &Location) -> Option<Self> {
        let mut failures = report.marker_failures();
        let refused = failures.find(|failure| failure.is_forbidden)?;
        let hint = statements(to).unwrap_or_else(|| "the next run tries again".to_owned());
        Some(Self {
            text: format!("complete cycles get no marker: {}", refused.error),
            hint,
        })
    }
}

/// Returns the statements that a bucket's policy needs, as one line.
fn statements(to: &Location) -> Option<String> {
    let S3Prefix { bucket, prefix } = to.s3_prefix()?;
    let grant = Grant::to_export(bucket, prefix);
    let lines = grant.marker_statements();
    let lines: Vec<String> = lines.iter().map(Statement::line).collect();
    Some(format!(
        "add these statements to the policy: {}",
        lines.join(", ")
    ))
}
