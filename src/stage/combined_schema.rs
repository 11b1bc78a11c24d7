//! The columns of the files, followed by the partition columns: rows before they are split.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Fields, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::schema::ExportSchema;
use crate::stage::spec::StageSpec;
use crate::stage::splitter::{PartitionRows, Splitter, columns_named};

/// The schema of rows that are not split by partition yet.
#[derive(Debug)]
pub struct CombinedSchema {
    /// The columns of the files, then the partition columns.
    schema: SchemaRef,
    /// The columns of the files.
    file_schema: SchemaRef,
    file_columns: Vec<String>,
    partition_columns: Vec<String>,
    splitter: Splitter,
}

impl CombinedSchema {
    /// Creates the schema for rows of a query with the schema `input`.
    pub fn new(spec: &StageSpec, input: &SchemaRef) -> Result<Self> {
        let file_schema = spec.schema.arrow();
        let partition_fields = spec.partition_by.iter().filter_map(|name| {
            let (_, field) = input.column_with_name(name)?;
            Some(Arc::new(field.clone()))
        });
        let fields = file_schema.fields().iter().cloned();
        Ok(Self {
            schema: Arc::new(Schema::new(
                fields.chain(partition_fields).collect::<Fields>(),
            )),
            file_columns: file_schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            file_schema,
            partition_columns: spec.partition_by.clone(),
            splitter: Splitter::new(&spec.partition_by, &spec.null_partitions, input)?,
        })
    }

    /// Returns the columns of the files, then the partition columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the columns of the files.
    pub fn file_schema(&self) -> &SchemaRef {
        &self.file_schema
    }

    /// Returns the index of the first partition column.
    pub fn first_partition_column(&self) -> usize {
        self.file_columns.len()
    }

    /// Casts the file columns of a batch of the query to their types in the files.
    pub fn combine(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let file_columns = columns_named(batch, &self.file_columns)?;
        let cast = ExportSchema::cast(&self.file_schema, file_columns)?;
        let mut columns = cast.columns().to_vec();
        columns.extend(columns_named(batch, &self.partition_columns)?);
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal("cannot combine columns").with_source(error))
    }

    /// Splits the rows of a combined batch by partition. The batch may have more columns.
    pub fn split(&self, combined: &RecordBatch) -> Result<Vec<PartitionRows>> {
        let first = self.first_partition_column();
        let values = &combined.columns()[first..first + self.partition_columns.len()];
        self.splitter.split(combined, values)
    }

    /// Returns the file columns of a combined batch.
    pub fn file_rows(&self, combined: &RecordBatch) -> Result<RecordBatch> {
        let columns = combined.columns()[..self.file_columns.len()].to_vec();
        RecordBatch::try_new(Arc::clone(&self.file_schema), columns)
            .map_err(|error| Error::internal("cannot split combined columns").with_source(error))
    }
}
