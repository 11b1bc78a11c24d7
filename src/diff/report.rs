//! Defines the report of a comparison. Its JSON is `docs/diff.schema.json`.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::cycle::Cycle;
use crate::error::ErrorKind;
use crate::layout::TableName;

/// The version of the report's JSON.
const VERSION: u32 = 1;

/// The comparison of the tables of two sides.
#[derive(Debug, Serialize)]
pub(crate) struct DiffReport {
    version: u32,
    pub left: SideRecord,
    pub right: SideRecord,
    /// The sums over `tables`.
    pub summary: DiffSummary,
    pub tables: Vec<TableDiff>,
}

/// The number of tables of each result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DiffSummary {
    pub identical: u64,
    pub different: u64,
    pub failed: u64,
}

/// One of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum SideRecord {
    /// The definitions of a folder, run over the sources.
    Sql { folder: String, cycle: Cycle },
    /// The definitions of a git revision, run over the sources.
    Git {
        revision: String,
        commit: String,
        folder: String,
        cycle: Cycle,
    },
    /// A published cycle of a destination.
    Published { destination: String, cycle: Cycle },
}

/// The comparison of one table.
#[derive(Debug, Serialize)]
pub(crate) struct TableDiff {
    pub table: TableName,
    #[serde(flatten)]
    pub result: DiffResult,
}

/// The result of a comparison.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(crate) enum DiffResult {
    /// Same schema, same rows.
    Identical(Box<Comparison>),
    Different(Box<Comparison>),
    /// There is no such table on the right.
    OnlyLeft {
        reason: String,
    },
    /// There is no such table on the left.
    OnlyRight {
        reason: String,
    },
    Failed {
        error: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        #[serde(skip)]
        kind: ErrorKind,
    },
}

/// The proof of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DiffProof {
    /// Definition, parameters and declarations of sources are the same: nothing was run.
    Definition,
    /// The manifests name files with the same SHA-256: nothing was read.
    FileDigests,
    /// The rows of both sides were read.
    Rows,
}

/// A compared table.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub proof: DiffProof,
    pub left: SideCounts,
    pub right: SideCounts,
    pub schema: Vec<SchemaChange>,
    pub not_compared: Vec<NotCompared>,
    /// The columns by which rows are matched; empty if whole rows are.
    pub key: Vec<String>,
    /// The source of `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_from: Option<KeyOrigin>,
    /// Absent if nothing was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCounts>,
    /// The columns with changed values, in the order of the table.
    pub columns: Vec<ColumnDiff>,
    pub samples: Samples,
    pub notes: Vec<String>,
}

/// The source of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyOrigin {
    /// `--key`.
    Option,
    /// The definition: it groups by these columns, or leaves out duplicates.
    Definition,
}

/// The counts of one side.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct SideCounts {
    /// The number of rows, unless nothing was run to count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The number of malformed lines that were set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<u64>,
    /// The revision of the cycle that is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The number of rows with a NULL in the key.
    #[serde(skip_serializing_if = "is_zero")]
    pub null_keys: u64,
    /// The keys that several rows have, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_keys: Option<DuplicateKeys>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The keys that several rows of one side have.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct DuplicateKeys {
    pub keys: u64,
    /// The rows of these keys, without one for each.
    pub extra_rows: u64,
    /// The first of these keys, with the number of their rows.
    pub examples: Vec<DuplicateKey>,
    /// The line of the definition with the first column of the key, such as `sql/views.sql:3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

/// A key that several rows have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DuplicateKey {
    pub key: Vec<Value>,
    pub rows: u64,
}

/// The rows of both sides, by their match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RowCounts {
    /// The rows that are the same on both sides, each as often.
    pub identical: u64,
    /// The keys that one row of each side has, whose other columns differ.
    pub changed: u64,
    pub only_left: u64,
    pub only_right: u64,
}

/// A difference of the schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum SchemaChange {
    /// A column that is on the right only.
    Added {
        column: String,
        #[serde(rename = "type")]
        kind: String,
    },
    /// A column that is on the left only.
    Removed {
        column: String,
        #[serde(rename = "type")]
        kind: String,
    },
    Retyped {
        column: String,
        left: String,
        right: String,
    },
    Nullability {
        column: String,
        left_nullable: bool,
        right_nullable: bool,
    },
    /// The columns that both sides have, in another order; or the fields of the struct `column`.
    Reordered {
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<String>,
        left: Vec<String>,
        right: Vec<String>,
    },
    /// Other columns make the folders.
    Partitioning {
        left: Vec<String>,
        right: Vec<String>,
    },
    /// Cycles append to the table on one side, and replace it on the other.
    SyncMode { left: String, right: String },
}

/// A column that is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NotCompared {
    pub column: String,
    pub reason: String,
}

/// The changed values of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ColumnDiff {
    pub column: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The number of keys for which the values differ.
    pub changed: u64,
    /// Their share of the keys that one row of each side has.
    pub share: f64,
}

/// Rows that differ: the first ones by key.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Samples {
    /// The first changed rows, and one for each changed column.
    pub changed: Vec<ChangedRow>,
    pub only_left: Vec<SampleRow>,
    pub only_right: Vec<SampleRow>,
}

/// A key whose rows differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ChangedRow {
    pub key: Vec<Value>,
    pub columns: Vec<ChangedValue>,
}

/// The values of one column for one key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ChangedValue {
    pub column: String,
    pub left: Value,
    pub right: Value,
}

/// A row of one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SampleRow {
    /// Empty without a key.
    pub key: Vec<Value>,
    /// The compared values that are not NULL, in the order of the table.
    pub values: Vec<SampleValue>,
}

/// A value of a row of one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SampleValue {
    pub column: String,
    pub value: Value,
}

impl DiffReport {
    pub(super) fn new(left: SideRecord, right: SideRecord, tables: Vec<TableDiff>) -> Self {
        let mut summary = DiffSummary::default();
        for table in &tables {
            match table.result {
                DiffResult::Identical(_) => summary.identical += 1,
                DiffResult::Failed { .. } => summary.failed += 1,
                _ => summary.different += 1,
            }
        }
        Self {
            version: VERSION,
            left,
            right,
            summary,
            tables,
        }
    }

    /// Returns the kinds of the errors of the tables that failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = ErrorKind> + '_ {
        self.tables.iter().filter_map(|table| match &table.result {
            DiffResult::Failed { kind, .. } => Some(*kind),
            _ => None,
        })
    }
}

impl fmt::Display for SideRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql { folder, cycle } => write!(f, "the definitions in {folder}, {cycle}"),
            Self::Git {
                revision,
                commit,
                folder,
                cycle,
            } => {
                let short = commit.get(..10).unwrap_or(commit);
                write!(
                    f,
                    "the definitions in {folder} at {revision} ({short}), {cycle}"
                )
            }
            Self::Published { destination, cycle } => {
                write!(f, "published in {destination}, {cycle}")
            }
        }
    }
}

impl SchemaChange {
    /// Returns true if the change is that of a column.
    pub(super) fn names(&self, name: &str) -> bool {
        match self {
            Self::Added { column, .. }
            | Self::Removed { column, .. }
            | Self::Retyped { column, .. }
            | Self::Nullability { column, .. } => column == name,
            _ => false,
        }
    }
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { column, kind } => write!(f, "`{column}` is on the right only: {kind}"),
            Self::Removed { column, kind } => write!(f, "`{column}` is on the left only: {kind}"),
            Self::Retyped {
                column,
                left,
                right,
            } => write!(f, "`{column}` has another type: {left}, {right}"),
            Self::Nullability {
                column,
                left_nullable,
                ..
            } => {
                let side = if *left_nullable { "left" } else { "right" };
                write!(f, "`{column}` may be NULL on the {side}")
            }
            Self::Reordered {
                column,
                left,
                right,
            } => {
                match column {
                    Some(column) => write!(f, "the fields of `{column}` have another order: ")?,
                    None => f.write_str("the columns have another order: ")?,
                }
                write!(f, "{}; {}", left.join(", "), right.join(", "))
            }
            Self::Partitioning { left, right } => {
                let shown = |columns: &[String]| match columns.is_empty() {
                    true => "none".to_owned(),
                    false => columns.join(", "),
                };
                let (left, right) = (shown(left), shown(right));
                write!(f, "other columns make the folders: {left}; {right}")
            }
            Self::SyncMode { left, right } => {
                write!(f, "the sync mode is another one: {left}, {right}")
            }
        }
    }
}
