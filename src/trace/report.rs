//! What tracing found, as data.

use serde::Serialize;

use crate::cycle::Cycle;
use crate::layout::TableName;
use crate::scan::search::{FoundRow, RowPosition};

/// Everything that is known of one event in one cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub event: String,
    /// The column that holds the event's id.
    pub column: String,
    pub cycle: Cycle,
    pub searched: Vec<Searched>,
    /// Where it is in the sources.
    pub occurrences: Vec<Occurrence>,
    pub tables: Vec<TableTrace>,
}

impl Report {
    /// Whether a source or the export has it.
    pub fn is_found(&self) -> bool {
        let mut tables = self.tables.iter();
        !self.occurrences.is_empty() || tables.any(|table| !table.files().is_empty())
    }
}

/// One source, as far as the cycle reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Searched {
    pub source: String,
    pub files: usize,
    /// As stored.
    pub bytes: u64,
    /// Why it could not be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A place in a source file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Occurrence {
    pub source: String,
    /// Its URL.
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

/// One table of the export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableTrace {
    pub table: TableName,
    /// What its definition makes of each occurrence that it reads.
    pub seen: Vec<Seen>,
    pub published: Published,
    /// What is no longer as it was when the cycle was published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl TableTrace {
    /// The published files that hold the event.
    pub fn files(&self) -> &[PublishedFile] {
        match &self.published {
            Published::Searched { files, .. } => files,
            _ => &[],
        }
    }
}

/// What a definition makes of one occurrence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Its index in [`Report::occurrences`].
    pub occurrence: usize,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// The query over this row alone gives rows.
    Kept,
    /// It gives none.
    Dropped,
    /// The line is malformed for the columns that the query reads.
    Rejected {
        reason: String,
        /// The file of rejects that the published run set it aside in.
        #[serde(skip_serializing_if = "Option::is_none")]
        recorded: Option<String>,
    },
}

/// One of the conditions that a `WHERE` joins by `AND`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// In SQL.
    pub condition: String,
    pub holds: Truth,
    /// Of the parts that hang on the row.
    pub values: Vec<Operand>,
}

/// What a condition compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operand {
    /// In SQL.
    pub expression: String,
    /// As text.
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    True,
    False,
    /// As good as false to a `WHERE`.
    Null,
    /// It hangs on other rows too.
    Unknown,
}

/// What is published of the cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Published {
    /// No destination was given.
    NotAsked,
    /// The cycle has no manifest.
    NoManifest,
    /// The table has no column of this name.
    NoColumn,
    Searched {
        /// Relative to the prefix of the destination.
        manifest: String,
        files: Vec<PublishedFile>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedFile {
    /// Relative to the prefix of the destination.
    pub path: String,
    /// How many rows of it have the event's id.
    pub rows: u64,
}
