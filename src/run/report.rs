//! What a run did, table by table.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::error::{Error, ErrorKind, ExitCode};
use crate::manifest::{RejectsFile, SourceRecord};

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub run_id: String,
    pub destination: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub tables: Vec<TableReport>,
    /// Times that a table read a source.
    pub scans: u64,
    /// Times that a source was read for them: tables at work together share a pass.
    pub passes: u64,
}

/// One table and one cycle.
#[derive(Debug, Serialize)]
pub struct TableReport {
    pub table: String,
    pub sync_mode: Option<SyncMode>,
    /// Absent if the table failed before its cycles were known.
    pub cycle: Option<Cycle>,
    pub seconds: f64,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of it.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    Published {
        revision: u32,
        rows: u64,
        files: u64,
        bytes: u64,
        /// Key of the manifest.
        manifest: String,
        sources: Vec<SourceRecord>,
        /// Files with the malformed lines that were set aside.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        rejects: Vec<RejectsFile>,
        /// Files of the manifest before that were deleted.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        replaced: Vec<String>,
        /// Objects in the partitions written to that no manifest names; they are left alone.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        foreign: Vec<String>,
    },
    /// Published before, by this run id.
    AlreadyPublished {
        revision: u32,
        run_id: String,
    },
    /// A snapshot of this later cycle is published.
    Superseded {
        by: Cycle,
    },
    Failed(Failure),
}

/// Why a table failed.
#[derive(Debug, Serialize)]
pub struct Failure {
    pub error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    pub kind: ErrorKind,
}

impl TableReport {
    pub fn failed(definition: Option<&Definition>, cycle: Option<Cycle>, error: Error) -> Self {
        Self {
            table: definition.map_or_else(|| "?".to_owned(), |d| d.table.to_string()),
            sync_mode: definition.map(|d| d.sync_mode),
            cycle,
            seconds: 0.0,
            outcome: Outcome::failed(&error),
        }
    }
}

impl Outcome {
    pub fn failed(error: &Error) -> Self {
        Outcome::Failed(error.into())
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            error: error.chain(),
            hint: error.hint().map(str::to_owned),
            kind: error.kind(),
        }
    }
}

/// What a run or a plan ends with: 0 if no table failed; 75 if every failure may pass by itself;
/// else 1.
pub fn exit_code<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> ExitCode {
    let kinds: Vec<ErrorKind> = failures.into_iter().map(|failure| failure.kind).collect();
    if kinds.is_empty() {
        ExitCode::Done
    } else if kinds.iter().all(|kind| *kind == ErrorKind::Unavailable) {
        ExitCode::TryAgain
    } else {
        ExitCode::Failed
    }
}

impl Report {
    /// See [`exit_code`].
    pub fn exit_code(&self) -> ExitCode {
        exit_code(self.tables.iter().filter_map(|table| match &table.outcome {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_asks_for_another_try_only_if_one_can_help() {
        let report = |errors: Vec<Error>| {
            let tables = errors.into_iter();
            Report {
                run_id: String::new(),
                destination: String::new(),
                started_at: DateTime::UNIX_EPOCH,
                finished_at: DateTime::UNIX_EPOCH,
                tables: tables
                    .map(|error| TableReport::failed(None, None, error))
                    .collect(),
                scans: 0,
                passes: 0,
            }
        };
        let unavailable = || Error::unavailable("x");
        assert_eq!(report(vec![]).exit_code(), ExitCode::Done);
        assert_eq!(report(vec![unavailable()]).exit_code(), ExitCode::TryAgain);
        let mixed = report(vec![unavailable(), Error::data("x")]);
        assert_eq!(mixed.exit_code(), ExitCode::Failed);
    }
}
