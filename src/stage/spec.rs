//! The specification of the files of a table: what the plan says about them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::cycle::SyncMode;
use crate::error::{Error, Result};
use crate::format::FileEncoding;
use crate::layout::NullPartitions;
use crate::schema::{ColumnType, ExportSchema};
use crate::schema_evolution::TableShape;
use crate::stage::encoding_options::EncodingOptions;
use crate::stage::splitter::Splitter;

use datafusion::arrow::datatypes::{Field, Schema};

/// The properties of an export that the SQL of its `COPY` cannot express: an extension of the session
/// that plans it, set by the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyContext {
    /// The exported column that the window selects by, if there is one.
    pub window: Option<WindowColumn>,
    /// True if no rows at all make one empty file.
    pub empty_file: bool,
    /// The folders of rows that have NULL in a partition column.
    pub null_partitions: NullPartitions,
}

/// The exported column that the window of a cycle selects by: the values of every row lie in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowColumn {
    /// The name of the column.
    pub name: String,
    /// The first instant of the window.
    pub start: DateTime<Utc>,
    /// The first instant after the window.
    pub end: DateTime<Utc>,
    /// True if rows without a value may be exported.
    pub is_nullable: bool,
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
    /// The folders of rows that have NULL in a partition column.
    pub null_partitions: NullPartitions,
    /// The column of `schema` that the window selects by, if there is one.
    pub window: Option<WindowColumn>,
    /// True if no rows at all make one empty file.
    pub empty_file: bool,
}

impl StageSpec {
    /// Returns the shape of a table that consists of such files.
    pub(crate) fn table_shape(&self, sync_mode: SyncMode) -> TableShape {
        TableShape {
            sync_mode,
            format: self.encoding.format(),
            partition_by: self.partition_columns.clone(),
            schema: self.schema.clone(),
        }
    }

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
        Splitter::new(partition_by, &context.null_partitions, query)?;
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
        let is_timestamp = |window: &WindowColumn| {
            let mut columns = schema.columns().iter();
            let named = columns.find(|column| column.name == window.name);
            named.is_some_and(|column| column.kind == ColumnType::Timestamp)
        };
        let window = context.window.clone().filter(is_timestamp);
        Ok(Self {
            encoding,
            options,
            schema,
            partition_by: partition_by.to_vec(),
            partition_columns: ExportSchema::of(outside)?,
            null_partitions: context.null_partitions.clone(),
            window,
            empty_file: context.empty_file,
        })
    }
}
