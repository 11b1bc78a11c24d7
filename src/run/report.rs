//! The report of a run: the outcome of every table and cycle.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::audit::AuditResult;
use crate::books::Balance;
use crate::cycle::{Cycle, SyncMode};
use crate::cycle_marker::{CycleReport, MarkerFailure};
use crate::definition::Definition;
use crate::error::{Error, ErrorKind, ExitCode};
use crate::manifest::{Cause, RejectsFile, SourceRecord, UnreadySource};
use crate::run::interruption::is_interruption;
use crate::run::late::{LateFiles, Standing};
use crate::scan::MissingSource;
use crate::scan::absent::AbsentColumn;

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// The id of the run.
    pub run_id: String,
    /// The URL or path of the destination.
    pub destination: String,
    /// The time at which the run started.
    pub started_at: DateTime<Utc>,
    /// The time at which the run ended.
    pub finished_at: DateTime<Utc>,
    /// The outcome of each table and cycle.
    pub tables: Vec<TableReport>,
    /// The state of the cycles of the run, and of those that it marked for an earlier one.
    pub cycles: Vec<CycleReport>,
    /// The reason why no cycle could be marked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles_failure: Option<MarkerFailure>,
    /// The number of scans: times that a table read a source.
    pub scans: u64,
    /// The number of times that a source was actually read: concurrent tables share a scan.
    pub passes: u64,
}

/// The report of one table and one cycle.
#[derive(Debug, Serialize)]
pub struct TableReport {
    /// The name of the table.
    pub table: String,
    /// The sync mode: cycles append to the table, or replace it; absent if the table failed before it was known.
    pub sync_mode: Option<SyncMode>,
    /// The cycle; absent if the table failed before its cycles were known.
    pub cycle: Option<Cycle>,
    /// The time spent on the cycle, in seconds.
    pub seconds: f64,
    /// True if the cycle was published before, and is looked at for late source files alone.
    #[serde(skip)]
    pub is_late: bool,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: TableOutcome,
    /// The malformed lines that were copied to the operator's place, whatever the outcome; absent if
    /// there are none or no such place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_lines: Option<RejectedLines>,
    /// The results of the table's audits, whatever the outcome; empty if it has none or they did not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audits: Vec<AuditResult>,
    /// The rows that break audits and were written to the operator's place; absent if there are none or no
    /// such place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_rows: Option<FailingRows>,
}

/// The outcome of one table and cycle.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum TableOutcome {
    /// The cycle is published by this run.
    Published {
        /// The published revision, 0 for the first publication.
        revision: u32,
        /// The number of rows.
        rows: u64,
        /// The number of files.
        files: u64,
        /// The size of the files, in bytes.
        bytes: u64,
        /// The key of the manifest.
        manifest: String,
        /// The sources that were read, by name.
        sources: Vec<SourceRecord>,
        /// The rows that were read against those that were exported.
        balance: Box<Balance>,
        /// The files with the malformed lines that were set aside.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        rejects: Vec<RejectsFile>,
        /// The keys of the files of the replaced manifest that were deleted.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        replaced: Vec<String>,
        /// The keys of objects in the partitions written to that no manifest names; they are kept.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        foreign: Vec<String>,
        /// The sources without a file for the cycle, which the query could do without.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<MissingSource>,
        /// The sources that were not ready: the cycle is provisional.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        provisional: Vec<UnreadySource>,
        /// The reason why it was published again by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<Box<Cause>>,
        /// The columns of JSON sources for which no line had a value, neither in this cycle nor in an
        /// earlier one.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        absent: Vec<AbsentColumn>,
        /// The changes against the table as it was published before.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        changes: Vec<String>,
        /// The reason why the file of the table's schema version is not written.
        #[serde(skip_serializing_if = "Option::is_none")]
        schema_file_error: Option<String>,
    },
    /// The cycle was published before, by the run with this id.
    AlreadyPublished {
        /// The published revision.
        revision: u32,
        /// The id of the run that published it.
        run_id: String,
    },
    /// No file of the sources exists for the cycle, or they are not ready: it is not published, and stays
    /// due.
    Awaited {
        /// The sources without a file, by name.
        sources: Vec<MissingSource>,
        /// True if a later run comes back to the cycle by itself.
        stays_due: bool,
    },
    /// Source files arrived after the cycle was published, and it is not published again.
    Late {
        /// The files.
        #[serde(flatten)]
        files: LateFiles,
        /// The reason.
        #[serde(flatten)]
        standing: Standing,
    },
    /// A snapshot of this later cycle is published.
    Superseded {
        /// The later cycle.
        by: Cycle,
    },
    /// The table failed; nothing of the cycle is published.
    Failed(TableFailure),
}

/// The malformed lines that a delivery copied to the operator's place.
#[derive(Debug, Default, Serialize)]
pub struct RejectedLines {
    /// The files that were written.
    pub files: Vec<RejectedLinesFile>,
    /// The reason why not all lines are in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RejectedLines {
    /// Returns the part of the report about them; `None` if there were none to copy, or no place.
    pub(super) fn into_report(self) -> Option<Self> {
        let is_empty = self.files.is_empty() && self.error.is_none();
        (!is_empty).then_some(self)
    }
}

/// A file of malformed lines with their texts.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct RejectedLinesFile {
    /// The name of the source.
    pub source: String,
    /// The URL or path of the file.
    pub path: String,
    /// The number of malformed lines in the file.
    pub rows: u64,
    /// The number of those without their text, because there are too many texts.
    pub without_text: u64,
    /// The compressed size of the file, in bytes.
    pub bytes: u64,
}

/// The first rows that break audits, at the operator's place.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FailingRows {
    /// The file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FailingRowsFile>,
    /// The reason why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A file of rows that break audits.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FailingRowsFile {
    /// The URL or path of the file.
    pub path: String,
    /// The number of rows in the file, at most 100 for each audit.
    pub rows: u64,
    /// The compressed size of the file, in bytes.
    pub bytes: u64,
}

/// The error that a table failed with.
#[derive(Debug, Serialize)]
pub struct TableFailure {
    /// The chain of causes, in one line.
    pub error: String,
    /// The advice to the operator, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The kind of the error.
    #[serde(skip)]
    pub kind: ErrorKind,
    /// True if a stop is the cause, which nobody has to look at.
    #[serde(skip)]
    pub is_interruption: bool,
}

impl TableReport {
    /// Returns true if the run has published the cycle.
    pub(super) fn is_published(&self) -> bool {
        matches!(self.outcome, TableOutcome::Published { .. })
    }

    /// Creates the report of a table that failed before its delivery took any time.
    pub fn failed(definition: Option<&Definition>, cycle: Option<Cycle>, error: Error) -> Self {
        Self {
            table: definition.map_or_else(|| "?".to_owned(), |d| d.table.to_string()),
            sync_mode: definition.map(|d| d.sync_mode),
            cycle,
            seconds: 0.0,
            is_late: false,
            outcome: TableOutcome::failed(&error),
            rejected_lines: None,
            audits: Vec::new(),
            failing_rows: None,
        }
    }

    /// Creates the report of a published cycle whose late source files are not published.
    pub(super) fn failed_late(definition: &Definition, cycle: Option<Cycle>, error: Error) -> Self {
        Self {
            is_late: true,
            ..Self::failed(Some(definition), cycle, error)
        }
    }
}

impl TableOutcome {
    /// Returns the sources that the cycle waits for, in one line.
    pub fn awaits(&self) -> Option<String> {
        match self {
            TableOutcome::Awaited { sources, .. } => Some(MissingSource::list(sources)),
            _ => None,
        }
    }

    /// Creates the outcome of a failed delivery.
    pub fn failed(error: &Error) -> Self {
        TableOutcome::Failed(error.into())
    }
}

impl From<&Error> for TableFailure {
    fn from(error: &Error) -> Self {
        Self {
            error: error.chain(),
            hint: error.hint().map(str::to_owned),
            kind: error.kind(),
            is_interruption: is_interruption(error),
        }
    }
}

/// Returns the exit code of a run or a plan: 0 if nothing failed; 75 if every failure is transient, or
/// a cycle is awaited; 2 if every failure is of a version that is too old; else 1.
pub(super) fn exit_code(
    failures: impl IntoIterator<Item = ErrorKind>,
    is_awaiting: bool,
) -> ExitCode {
    let kinds: Vec<ErrorKind> = failures.into_iter().collect();
    if kinds.is_empty() && !is_awaiting {
        ExitCode::Done
    } else if kinds.iter().all(|kind| *kind == ErrorKind::Unavailable) {
        ExitCode::TryAgain
    } else if kinds.iter().all(|kind| *kind == ErrorKind::Outdated) {
        ExitCode::Invalid
    } else {
        ExitCode::Failed
    }
}

impl RunReport {
    /// Returns the exit code of the run, as `exit_code` derives it from the failures.
    pub fn exit_code(&self) -> ExitCode {
        let of_tables = self.tables.iter().filter_map(|table| match &table.outcome {
            TableOutcome::Failed(failure) => Some(failure.kind),
            _ => None,
        });
        // Tables do not need the right to write markers: without it there is a warning.
        let of_cycles = self
            .marker_failures()
            .filter(|failure| !failure.is_forbidden);
        let of_cycles = of_cycles.map(|failure| failure.kind);
        exit_code(of_tables.chain(of_cycles), self.is_awaiting())
    }

    /// Returns the reasons why markers of complete cycles are not written.
    pub fn marker_failures(&self) -> impl Iterator<Item = &MarkerFailure> {
        let of_cycles = self
            .cycles
            .iter()
            .filter_map(|report| report.outcome.failure());
        self.cycles_failure.iter().chain(of_cycles)
    }

    /// Returns true if a cycle, or a revision of it for late files, waits for its sources.
    pub fn is_awaiting(&self) -> bool {
        let mut tables = self.tables.iter();
        tables.any(|table| {
            matches!(
                table.outcome,
                TableOutcome::Awaited { .. }
                    | TableOutcome::Late {
                        standing: Standing::Awaited { .. },
                        ..
                    }
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_asks_for_a_retry_only_if_one_can_help() {
        let report = |errors: Vec<Error>| {
            let tables = errors.into_iter();
            RunReport {
                run_id: String::new(),
                destination: String::new(),
                started_at: DateTime::UNIX_EPOCH,
                finished_at: DateTime::UNIX_EPOCH,
                tables: tables
                    .map(|error| TableReport::failed(None, None, error))
                    .collect(),
                cycles: Vec::new(),
                cycles_failure: None,
                scans: 0,
                passes: 0,
            }
        };
        let unavailable = || Error::unavailable("x");
        assert_eq!(report(vec![]).exit_code(), ExitCode::Done);
        assert_eq!(report(vec![unavailable()]).exit_code(), ExitCode::TryAgain);
        let outdated = || Error::outdated("x");
        assert_eq!(report(vec![outdated()]).exit_code(), ExitCode::Invalid);
        let mixed = report(vec![outdated(), Error::data("x")]);
        assert_eq!(mixed.exit_code(), ExitCode::Failed);
        let mixed = report(vec![unavailable(), Error::data("x")]);
        assert_eq!(mixed.exit_code(), ExitCode::Failed);
    }
}
