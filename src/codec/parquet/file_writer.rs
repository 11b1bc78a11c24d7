//! A Parquet file whose bytes can be taken while it grows.

use std::io::{Sink, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::codec::parquet::leaves::Leaves;
use crate::codec::parquet::row_group::RowGroup;

/// The memory of the dictionary, page buffers and compressor of one leaf column, in bytes; measured
/// on event tables with a few thousand rows a file.
const LEAF_MEMORY: usize = 48 * 1024;

/// The memory of one leaf column of strings, whose compressor is shared by the columns of a thread,
/// in bytes: 27 KiB where parquet-rs takes 49, with 3,000 rows of agents, countries, campaigns with
/// nulls and constants.
const STRING_LEAF_MEMORY: usize = 28 * 1024;

/// Writes one Parquet file into a buffer.
///
/// Row groups end at the limits of the writer properties, or at will. The writer counts its bytes
/// itself, so that those written may leave the buffer at any time.
pub(crate) struct FileWriter {
    writer: SerializedFileWriter<Vec<u8>>,
    leaves: Leaves,
    /// Makes the columns of [`Leaves::others`].
    other_columns: ArrowRowGroupWriterFactory,
    row_group: Option<RowGroup>,
    max_row_group_rows: usize,
    max_row_group_bytes: usize,
}

/// Returns the memory of a file that has just been opened, in bytes.
///
/// A schema that does not fit into Parquet counts 0: it is refused where its first file is opened.
pub(crate) fn opening_memory(schema: &SchemaRef, properties: &WriterProperties) -> usize {
    let Ok(columns) = ArrowSchemaConverter::new().convert(schema) else {
        return 0;
    };
    let leaves = Leaves::new(schema, &columns, properties);
    let strings = leaves.is_string().iter().filter(|it| **it).count();
    STRING_LEAF_MEMORY * strings + LEAF_MEMORY * (leaves.is_string().len() - strings)
}

impl FileWriter {
    /// Opens a file.
    ///
    /// # Errors
    /// Fails if the columns or the properties do not fit into Parquet.
    pub(crate) fn new(schema: &SchemaRef, properties: &WriterProperties) -> Result<Self> {
        let (writer, _) = serialized(Vec::new(), schema, properties)?;
        let leaves = Leaves::new(schema, writer.schema_descr(), writer.properties());
        // Only for its factory of columns, which no other function returns.
        let (_, other_columns) = serialized(Sink::default(), leaves.others(), properties)?;
        Ok(Self {
            writer,
            leaves,
            other_columns,
            row_group: None,
            max_row_group_rows: properties.max_row_group_row_count().unwrap_or(usize::MAX),
            max_row_group_bytes: properties.max_row_group_bytes().unwrap_or(usize::MAX),
        })
    }

    /// Encodes a batch of the schema given to [`FileWriter::new`].
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let row_group = match &mut self.row_group {
                Some(open) => open,
                None => {
                    let number = self.writer.flushed_row_groups().len();
                    let properties = self.writer.properties();
                    let begun =
                        RowGroup::new(&self.leaves, &self.other_columns, properties, number)?;
                    self.row_group.insert(begun)
                }
            };
            let fitting = self.max_row_group_rows.saturating_sub(row_group.rows());
            let rows = rest.slice(0, rest.num_rows().min(fitting.max(1)));
            rest = rest.slice(rows.num_rows(), rest.num_rows() - rows.num_rows());
            row_group.write(&self.leaves, &rows)?;
            if row_group.rows() >= self.max_row_group_rows
                || row_group.bytes() >= self.max_row_group_bytes
            {
                self.end_row_group()?;
            }
        }
        Ok(())
    }

    /// Ends the open row group, if there is one.
    pub(crate) fn end_row_group(&mut self) -> Result<()> {
        let Some(open) = self.row_group.take() else {
            return Ok(());
        };
        // Otherwise the buffer would grow, and be copied, with each column.
        self.writer.inner_mut().reserve(open.bytes());
        open.append(&self.leaves, &mut self.writer)
    }

    /// Returns how many written bytes [`FileWriter::take`] would return.
    pub(crate) fn ready(&self) -> usize {
        self.writer.inner().len()
    }

    /// Takes the written bytes; they are the next bytes of the file.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.inner_mut())
    }

    /// Estimates the bytes that the open row group will have in the file.
    pub(crate) fn pending(&self) -> usize {
        self.row_group.as_ref().map_or(0, RowGroup::bytes)
    }

    /// Returns the memory held, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let row_group = self.row_group.as_ref().map_or(0, RowGroup::memory);
        row_group + self.writer.inner().capacity()
    }

    /// Ends the open row group and the file; returns its last bytes and the number of all rows.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, u64)> {
        self.end_row_group()?;
        let metadata = self.writer.finish()?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        Ok((self.take(), rows))
    }
}

/// Returns a writer of a file of `schema` into `sink`, and a factory of its columns.
fn serialized<W: Write + Send>(
    sink: W,
    schema: &SchemaRef,
    properties: &WriterProperties,
) -> Result<(SerializedFileWriter<W>, ArrowRowGroupWriterFactory)> {
    // The types say all there is to say: Arrow's own copy of the schema would only repeat them.
    let options = ArrowWriterOptions::new()
        .with_properties(properties.clone())
        .with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(sink, SchemaRef::clone(schema), options)?
        .into_serialized_writer()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Int64Type;
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::codec::parquet::row_group::MIN_CORES_TO_SHARE;

    /// Bytes may be taken at any moment, and row groups ended at will: the file stays whole.
    #[test]
    fn bytes_taken_piecemeal_make_a_readable_file() {
        let numbers: Vec<i64> = (0..2000).collect();
        let batch =
            RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(numbers)) as ArrayRef)])
                .unwrap();
        let mut writer = FileWriter::new(&batch.schema(), &WriterProperties::default()).unwrap();
        let mut file = Vec::new();
        for _ in 0..3 {
            writer.write(&batch).unwrap();
            writer.end_row_group().unwrap();
            assert!(writer.ready() > 0);
            file.extend(writer.take());
            assert_eq!(writer.ready(), 0);
        }
        let (last, rows) = writer.finish().unwrap();
        assert_eq!(rows, 6000);
        file.extend(last);
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 3);
        let rows: usize = reader
            .build()
            .unwrap()
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(rows, 6000);
    }

    /// Encodes columns concurrently and sequentially into equal files.
    #[test]
    fn rows_end_up_the_same_in_large_batches_and_small_ones() {
        let numbers: Vec<i64> = (0..10_000).collect();
        let lists = numbers.iter().map(|n| match n % 3 {
            0 => None,
            rest => Some((0..rest).map(|item| Some(n + item)).collect::<Vec<_>>()),
        });
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists.collect::<Vec<_>>());
        let text = numbers
            .iter()
            .map(|n| (n % 5 > 0).then(|| format!("text {}", n % 700)));
        let text: StringArray = text.collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("text", Arc::new(text)),
            ("n", Arc::new(Int64Array::from(numbers))),
            ("lists", Arc::new(lists)),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(4_000))
            .build();
        let read = |batch_rows: usize| -> RecordBatch {
            let mut writer = FileWriter::new(&batch.schema(), &properties).unwrap();
            for first in (0..batch.num_rows()).step_by(batch_rows) {
                let rows = batch_rows.min(batch.num_rows() - first);
                writer.write(&batch.slice(first, rows)).unwrap();
            }
            let (file, rows) = writer.finish().unwrap();
            assert_eq!(rows, 10_000);
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
            assert_eq!(reader.metadata().num_row_groups(), 3);
            let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
            concat_batches(&batch.schema(), &batches).unwrap()
        };
        for threads in [1, 2 * MIN_CORES_TO_SHARE] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                for batch_rows in [10_000, 1_500, 100] {
                    assert_eq!(read(batch_rows), batch, "{threads}, {batch_rows}");
                }
            });
        }
    }
}
