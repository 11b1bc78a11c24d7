//! The compared values of rows that differ, in a temporary file.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;

use crate::error::{Error, Result};
use crate::record_sorter::cannot_spill;
use crate::view_gc::{batch_bytes, gc_views};

/// The rows and bytes from which collected rows are written.
const MAX_ROWS: usize = 4096;
const MAX_BYTES: usize = 1 << 20;

/// Writes rows.
#[derive(Default)]
pub(super) struct RowStore {
    /// Opened with the first row.
    writer: Option<FileWriter<BufWriter<File>>>,
    collected: Vec<RecordBatch>,
    collected_rows: usize,
    collected_bytes: usize,
}

impl RowStore {
    /// Appends some rows of a batch, given by the values of its columns. Rows without values differ in nothing.
    pub(super) fn append(&mut self, values: &[ArrayRef], rows: Vec<u32>) -> Result<()> {
        if rows.is_empty() || values.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let indexes = UInt32Array::from(rows);
        let taken: Vec<ArrayRef> = values
            .iter()
            .map(|array| take(array, &indexes, None))
            .collect::<Result<_, _>>()
            .map_err(cannot_store)?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(schema(&taken), taken, &options)
            .and_then(|batch| gc_views(&batch))
            .map_err(cannot_store)?;
        self.collected_rows += count;
        self.collected_bytes += batch_bytes(&batch);
        self.collected.push(batch);
        if self.collected_rows >= MAX_ROWS || self.collected_bytes >= MAX_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let Some(first) = self.collected.first() else {
            return Ok(());
        };
        let schema = first.schema();
        let batch = concat_batches(&schema, &self.collected).map_err(cannot_store)?;
        self.collected.clear();
        (self.collected_rows, self.collected_bytes) = (0, 0);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let file = BufWriter::new(tempfile::tempfile().map_err(cannot_spill)?);
                none.insert(FileWriter::try_new(file, &schema).map_err(cannot_store)?)
            }
        };
        writer.write(&batch).map_err(cannot_store)
    }

    /// Ends writing.
    pub(super) fn finish(mut self) -> Result<StoredRows> {
        self.write()?;
        let reader = match self.writer.take() {
            None => None,
            Some(mut writer) => {
                writer.finish().map_err(cannot_store)?;
                let file = writer
                    .into_inner()
                    .map_err(cannot_store)?
                    .into_inner()
                    .map_err(|error| cannot_spill(error.into_error()))?;
                Some(FileReader::try_new_buffered(file, None).map_err(cannot_store)?)
            }
        };
        Ok(StoredRows { reader })
    }
}

/// Columns are known by their index: the names of fields may be those of others.
fn schema(values: &[ArrayRef]) -> SchemaRef {
    let fields = values
        .iter()
        .enumerate()
        .map(|(index, array)| Field::new(index.to_string(), array.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

fn cannot_store(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => cannot_spill(error),
        error => Error::internal("cannot keep rows that differ").with_source(error),
    }
}

/// Rows that have been written. Each has a position: the index of its batch, and its index there.
pub(super) struct StoredRows {
    reader: Option<FileReader<BufReader<File>>>,
}

impl StoredRows {
    /// Returns the number of batches.
    pub(super) fn batches(&self) -> usize {
        self.reader.as_ref().map_or(0, FileReader::num_batches)
    }

    /// Reads a batch.
    pub(super) fn batch(&mut self, index: usize) -> Result<RecordBatch> {
        let absent = || Error::internal("a batch of rows that differ is absent");
        let reader = self.reader.as_mut().ok_or_else(absent)?;
        reader.set_index(index).map_err(cannot_store)?;
        reader.next().ok_or_else(absent)?.map_err(cannot_store)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, StringViewArray};

    use super::*;

    #[test]
    fn rows_are_found_by_their_position() {
        let mut store = RowStore::default();
        for batch in 0..100_u32 {
            let texts = (0..100).map(|row| format!("a longer text {batch} {row}"));
            let values: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
            store.append(&[values], vec![3, 97]).unwrap();
        }
        let mut stored = store.finish().unwrap();
        let batches = stored.batches();
        let rows = (0..batches).map(|index| stored.batch(index).unwrap().num_rows());
        assert_eq!(rows.sum::<usize>(), 200);
        let last = stored.batch(stored.batches() - 1).unwrap();
        let value = last.column(0).as_string_view();
        assert_eq!(value.value(last.num_rows() - 1), "a longer text 99 97");
        assert_eq!(RowStore::default().finish().unwrap().batches(), 0);
    }
}
