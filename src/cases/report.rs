//! The result of a test of definitions.

use std::path::Path;

use serde::Serialize;

use crate::cases::difference::RowsDifference;
use crate::cases::expected_rejects::RejectsDifference;
use crate::cases::folder::{Case, EXPECTED};
use crate::layout::TableName;

/// The results of all cases, in the order of their names.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TestReport {
    pub(crate) cases: Vec<CaseReport>,
    /// The definitions without a case, if cases of all of them were to run.
    pub(crate) without_cases: Vec<TableName>,
}

/// The result of one case.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CaseReport {
    pub(crate) table: TableName,
    pub(crate) case: String,
    /// The file of the expected rows, which lines of a difference are those of.
    pub(crate) file: String,
    /// The number of rows that are expected.
    pub(crate) expected_rows: usize,
    /// The number of rows that the definition exported.
    pub(crate) exported_rows: usize,
    /// The number of lines that were rejected.
    pub(crate) rejected_lines: usize,
    #[serde(flatten)]
    pub(crate) outcome: CaseOutcome,
}

/// The outcome of a case.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum CaseOutcome {
    Passed,
    Failed(Failure),
    /// The expectations were written as they are now.
    Updated {
        /// The files that changed; none if everything was as expected.
        files: Vec<String>,
    },
}

/// The reasons why a case failed.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Failure {
    /// The error that a run of the definition would end with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    pub(crate) rows: RowsDifference,
    pub(crate) rejects: RejectsDifference,
    /// The audits that are broken and should hold, or the other way round, a line for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) audits: Vec<String>,
}

impl Failure {
    /// Returns the first line of `expected.jsonl` whose row is not exported; 1 if there is none.
    pub(crate) fn line(&self) -> usize {
        let changed = self.rows.changed.iter().map(|row| row.line);
        let missing = self.rows.missing.iter().map(|row| row.line);
        changed.chain(missing).min().unwrap_or(1)
    }
}

impl CaseReport {
    pub(super) fn new(case: &Case, expected_rows: usize) -> Self {
        Self {
            table: case.table.clone(),
            case: case.name.clone(),
            file: shown(&case.folder.join(EXPECTED)),
            expected_rows,
            exported_rows: 0,
            rejected_lines: 0,
            outcome: CaseOutcome::Passed,
        }
    }

    /// Returns the name, `<table>/<case>`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.table, self.case)
    }

    /// Returns the reasons, if the case failed.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            CaseOutcome::Failed(failure) => Some(failure),
            CaseOutcome::Passed | CaseOutcome::Updated { .. } => None,
        }
    }
}

impl TestReport {
    /// Returns the cases that failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&CaseReport, &Failure)> {
        let cases = self.cases.iter();
        cases.filter_map(|case| Some((case, case.failure()?)))
    }
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
