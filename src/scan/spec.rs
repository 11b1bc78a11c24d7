//! The declaration of a source in typed form: columns, file format, and the rule that prunes its
//! folders by time.

use chrono::TimeDelta;
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};

use crate::jsonl::{Compression, Framing, LeafRules};
use crate::listing::passed_over::FileNames;
use crate::listing::path_pattern::PathPattern;
use crate::listing::time_folders::TimeFolders;
use crate::scan::absent::AbsentRules;
use crate::scan::ready_rule::Readiness;

/// The format of a table's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceFormat {
    /// JSON lines or documents, compressed or not.
    Json(Compression),
    /// Parquet, with any compression.
    Parquet,
}

/// The rule by which a condition on the time column prunes folders.
#[derive(Debug, Clone)]
pub(crate) struct TimeRule {
    /// The name of the time column.
    pub(crate) column: String,
    /// The type of the time column, a timestamp.
    pub(crate) data_type: DataType,
    pub(crate) folders: TimeFolders,
    /// The maximum by which a row's time may lie outside the range of its folder.
    pub(crate) slack: TimeDelta,
}

/// A declared table with the types that DataFusion gives its columns.
#[derive(Debug)]
pub(crate) struct TableSpec {
    /// The columns in the files. A column that is not nullable must have a value in every row.
    pub(crate) file_schema: SchemaRef,
    /// The columns in the folders' names, from the top level down.
    pub(crate) partition_fields: Vec<FieldRef>,
    /// The names of folders and files below the location, if they are not those of Hive folders alone.
    pub(crate) pattern: Option<PathPattern>,
    /// The names of the files.
    pub(crate) file_names: FileNames,
    pub(crate) format: SourceFormat,
    /// The layout of the records in the files, if they are JSON.
    pub(crate) framing: Framing,
    pub(crate) time: Option<TimeRule>,
    /// The declared rules of the leaves of the files' columns.
    pub(crate) leaf_rules: LeafRules,
    /// The rules for columns without any value.
    pub(crate) absent_rules: AbsentRules,
    /// The rules by which the source is ready for a cycle.
    pub(crate) ready: Readiness,
}
