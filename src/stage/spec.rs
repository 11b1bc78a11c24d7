//! The specification of the files of a table: what the plan says about them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::FileEncoding;
use crate::schema::{ColumnType, ExportSchema};
use crate::stage::encoding_options::EncodingOptions;
use crate::stage::splitter::Splitter;

use datafusion::arrow::datatypes::{Field, Schema};

/// The properties of an export that the SQL of its `COPY` cannot express: an extension of the session
/// that plans it, set by the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyContext {
    /// The column that the query compares with the window, if any.
    pub window_column: Option<String>,
    /// True if no rows at all make one empty file.
    pub empty_file: bool,
}

/// The specification of the files of a table.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// The encoding of the files.
    pub encoding: Arc<dyn FileEncoding>,
    /// The options that `encoding` is made of.
    pub options: EncodingOptions,
    /// The columns inside the files.
    pub schema: ExportSchema,
    /// The names of the partition columns, outermost first.
    pub partition_by: Vec<String>,
    /// The columns of `partition_by`, with the types that the query yields.
    pub partition_columns: ExportSchema,
    /// The column of `schema` that the window selects by, if there is one.
    pub window_column: Option<String>,
    /// True if no rows at all make one empty file.
    pub empty_file: bool,
}

impl StageSpec {
    /// Specifies the files of a query with the columns `query`, including partition columns.
    ///
    /// # Errors
    /// Fails if a partition column does not exist or fits into no folder name, or if a column has no
    /// type of an export.
    pub(super) fn new(
        options: EncodingOptions,
        encoding: Arc<dyn FileEncoding>,
        partition_by: &[String],
        query: &Schema,
        context: &CopyContext,
    ) -> Result<Self> {
        Splitter::new(partition_by, query)?;
        let (outside, inside): (Vec<&Field>, Vec<&Field>) = query
            .fields()
            .iter()
            .map(AsRef::as_ref)
            .partition(|field| partition_by.contains(field.name()));
        if inside.is_empty() {
            return Err(Error::invalid("all columns are partition columns")
                .with_hint("the files would have no columns; select at least one more"));
        }
        let schema = ExportSchema::of(inside)?;
        let is_timestamp = |name: &String| {
            let named = schema.columns().iter().find(|column| column.name == *name);
            named.is_some_and(|column| column.kind == ColumnType::Timestamp)
        };
        let window_column = context.window_column.clone().filter(is_timestamp);
        Ok(Self {
            encoding,
            options,
            schema,
            partition_by: partition_by.to_vec(),
            partition_columns: ExportSchema::of(outside)?,
            window_column,
            empty_file: context.empty_file,
        })
    }
}
