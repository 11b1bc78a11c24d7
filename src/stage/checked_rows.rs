//! The rows that the files of a table would have, without any file.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::stage::combined_schema::CombinedSchema;
use crate::stage::spec::StageSpec;
use crate::stage::window_check::WindowCheck;

/// Takes the rows of a query as a writer does: in the types of the files, and with the same checks.
#[derive(Debug)]
pub struct CheckedRows {
    schema: CombinedSchema,
    spec: StageSpec,
    window_check: Option<WindowCheck>,
    rows: Vec<RecordBatch>,
}

impl CheckedRows {
    /// Creates an empty collection of rows of a query with the schema `input`.
    pub fn new(spec: &StageSpec, input: &SchemaRef) -> Result<Self> {
        let schema = CombinedSchema::new(spec, input)?;
        let window = spec.window.as_ref();
        Ok(Self {
            window_check: window.and_then(|window| WindowCheck::new(window, schema.schema())),
            schema,
            spec: spec.clone(),
            rows: Vec::new(),
        })
    }

    /// Returns the columns of the files, then the partition columns.
    pub fn schema(&self) -> &SchemaRef {
        self.schema.schema()
    }

    /// Adds a batch of the query.
    ///
    /// # Errors
    /// Fails if a value has no form in the files, or if a row belongs to no partition.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let combined = self.schema.combine(batch)?;
        if let Some(check) = &mut self.window_check {
            check.add(&combined);
        }
        self.schema.split(&combined)?;
        self.rows.push(combined);
        Ok(())
    }

    /// Encodes the rows, and returns them.
    ///
    /// # Errors
    /// [`Error::data`](crate::error::Error::data) if a row lies outside of the cycle, or if the format cannot hold
    /// a value.
    pub fn finish(self) -> Result<Vec<RecordBatch>> {
        if let Some(check) = &self.window_check {
            check.finish()?;
        }
        let mut encoder = self.spec.encoding.encoder(self.schema.file_schema())?;
        for rows in &self.rows {
            encoder.write(&self.schema.file_rows(rows)?)?;
        }
        encoder.finish()?;
        Ok(self.rows)
    }
}
