//! From decoded columns to those of a scan.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue, internal_err, project_schema};
use datafusion::datasource::table_schema::TableSchema;

/// Where each column of a scan's output comes from.
#[derive(Debug, Clone)]
pub(in super::super) struct Columns {
    output: SchemaRef,
    /// Over the columns of the files, then those of the folders.
    projection: Vec<usize>,
    /// The file's columns that are needed, by their places in the file's schema, in the order of
    /// [`Self::decoded`].
    needed: Vec<usize>,
    /// The columns that are decoded from the lines.
    decoded: SchemaRef,
    origins: Vec<Origin>,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    /// By its place in the decoded batch.
    Line(usize),
    /// By its place among the partition columns.
    Folder(usize),
}

impl Columns {
    /// `projection` is over the columns of the files, then those of the folders.
    ///
    /// # Errors
    /// Where a column does not exist.
    pub(in super::super) fn new(schema: &TableSchema, projection: &[usize]) -> Result<Self> {
        let output = project_schema(schema.table_schema(), Some(&projection.to_vec()))?;
        let in_files = schema.file_schema().fields().len();
        let (mut needed, mut origins) = (Vec::new(), Vec::new());
        for column in projection {
            if *column < in_files {
                origins.push(Origin::Line(needed.len()));
                needed.push(*column);
            } else {
                origins.push(Origin::Folder(*column - in_files));
            }
        }
        Ok(Self {
            output,
            projection: projection.to_vec(),
            decoded: decoded(schema, &needed),
            needed,
            origins,
        })
    }

    pub(in super::super) fn output(&self) -> &SchemaRef {
        &self.output
    }

    pub(in super::super) fn projection(&self) -> &[usize] {
        &self.projection
    }

    pub(super) fn decoded(&self) -> &SchemaRef {
        &self.decoded
    }

    /// The schema that holds what each of `all` needs, and for each of them the place of its
    /// decoded columns in it.
    pub(super) fn union(schema: &TableSchema, all: &[&Columns]) -> (SchemaRef, Vec<Vec<usize>>) {
        let mut union: Vec<usize> = all
            .iter()
            .flat_map(|columns| columns.needed.clone())
            .collect();
        union.sort_unstable();
        union.dedup();
        let places = all.iter().map(|columns| {
            let place = |column: &usize| union.partition_point(|other| other < column);
            columns.needed.iter().map(place).collect()
        });
        let places = places.collect();
        (decoded(schema, &union), places)
    }

    /// Adds the folder's values to decoded rows.
    pub(super) fn complete(
        &self,
        decoded: &RecordBatch,
        key: &str,
        folder: &[ScalarValue],
    ) -> Result<RecordBatch> {
        let rows = decoded.num_rows();
        let columns = self.origins.iter().map(|origin| match *origin {
            Origin::Line(column) => Ok(Arc::clone(decoded.column(column))),
            Origin::Folder(column) => match folder.get(column) {
                Some(value) => value.to_array_of_size(rows),
                None => internal_err!("`{key}` has no partition value {column}"),
            },
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        // Without columns, the number of rows is all there is.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.output);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

fn decoded(schema: &TableSchema, columns: &[usize]) -> SchemaRef {
    let fields = schema.file_schema().fields();
    let fields = columns
        .iter()
        .filter_map(|column| fields.get(*column).cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
