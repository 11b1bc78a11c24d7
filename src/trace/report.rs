//! Defines the report of a trace.

use serde::Serialize;

use crate::cycle::Cycle;
use crate::layout::TableName;
use crate::scan::search::{FoundRow, RowPosition};

/// The trace of one event through one cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TraceReport {
    pub event: String,
    /// The column that holds the event's id.
    pub column: String,
    pub cycle: Cycle,
    /// The sources that the cycle reads.
    pub searched: Vec<SearchedSource>,
    /// The occurrences of the event in the sources.
    pub occurrences: Vec<Occurrence>,
    pub tables: Vec<TableTrace>,
}

impl TraceReport {
    /// Returns true if a source or the export holds the event.
    pub(crate) fn is_found(&self) -> bool {
        let mut tables = self.tables.iter();
        !self.occurrences.is_empty() || tables.any(|table| !table.files().is_empty())
    }
}

/// A source, as far as the cycle reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SearchedSource {
    pub source: String,
    /// The number of files searched.
    pub files: usize,
    /// The size of these files, compressed.
    pub bytes: u64,
    /// The reason why the source could not be searched, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A row of a source that holds the event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Occurrence {
    pub source: String,
    /// The file's URL.
    pub file: String,
    #[serde(flatten)]
    pub position: RowPosition,
}

impl From<&FoundRow> for Occurrence {
    fn from(found: &FoundRow) -> Self {
        Self {
            source: found.source.clone(),
            file: found.file.clone(),
            position: found.position,
        }
    }
}

/// The trace of the event through one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TableTrace {
    pub table: TableName,
    /// The definition's result for each occurrence that it reads.
    #[serde(rename = "seen")]
    pub evaluations: Vec<Evaluation>,
    pub published: ExportState,
    /// The differences of the definition and the sources since the cycle was published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl TableTrace {
    /// Returns the published files that hold the event.
    pub(crate) fn files(&self) -> &[MatchingFile] {
        match &self.published {
            ExportState::Searched { files, .. } => files,
            _ => &[],
        }
    }
}

/// The result of a definition for one occurrence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Evaluation {
    /// The occurrence's index in [`TraceReport::occurrences`].
    pub occurrence: usize,
    #[serde(flatten)]
    pub outcome: RowOutcome,
    pub conditions: Vec<Condition>,
}

/// The outcome of a definition's query over one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(crate) enum RowOutcome {
    /// The query over this row alone returns rows.
    Kept,
    /// The query over this row alone returns no rows.
    Dropped,
    /// The line is malformed for the columns that the query reads.
    Rejected {
        reason: String,
        /// The file of rejects in which the published run recorded the line.
        #[serde(skip_serializing_if = "Option::is_none")]
        recorded: Option<String>,
    },
}

/// One of the conditions that a `WHERE` joins by `AND`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Condition {
    /// The condition in SQL.
    pub condition: String,
    pub holds: Truth,
    /// The values of its parts that depend on the row.
    pub values: Vec<Operand>,
}

/// A part of a condition, with its value for the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Operand {
    /// The expression in SQL.
    pub expression: String,
    /// The value as text.
    pub value: String,
}

/// The value of a condition for the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Truth {
    True,
    False,
    /// NULL, which drops the row as false does.
    Null,
    /// The condition also depends on other rows.
    Unknown,
}

/// The state of the event in the published files of the cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum ExportState {
    /// No destination was given.
    #[serde(rename = "not_asked")]
    NoDestination,
    /// The cycle has no manifest.
    NoManifest,
    /// The table has no column of this name.
    NoColumn,
    /// The files were searched.
    Searched {
        /// The key of the manifest, relative to the prefix of the destination.
        manifest: String,
        /// The files that hold the event.
        files: Vec<MatchingFile>,
    },
}

/// A published file that holds the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MatchingFile {
    /// The key of the file, relative to the prefix of the destination.
    pub path: String,
    /// The number of its rows that have the event's id.
    pub rows: u64,
}
