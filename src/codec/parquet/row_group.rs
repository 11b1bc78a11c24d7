//! An open row group, whose pages are in memory.

use std::io::Write;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use rayon::iter::{
    IndexedParallelIterator, IntoParallelIterator, IntoParallelRefMutIterator, ParallelIterator,
};

use crate::codec::parquet::leaves::Leaves;
use crate::codec::parquet::strings::StringColumn;

/// The minimum rows of a batch that is encoded on several cores.
const MIN_ROWS_TO_SHARE: usize = 1024;

/// The minimum number of cores on which the columns of a batch are encoded concurrently. Fewer are
/// kept busy by the files that are open at the same time: moving columns between threads would only
/// cost (6 % of the CPU time of job A of `benches/peers` on two cores).
pub(super) const MIN_CORES_TO_SHARE: usize = 3;

/// An open row group.
pub(super) struct RowGroup {
    /// The columns of strings, in the order of the schema, as are `others`: [`Leaves::is_string`]
    /// says how they interleave.
    strings: Vec<StringColumn>,
    others: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl RowGroup {
    /// Opens the row group with this `index`; `other_columns` makes the columns that are no strings.
    pub(super) fn new(
        leaves: &Leaves,
        other_columns: &ArrowRowGroupWriterFactory,
        properties: &WriterProperties,
        index: usize,
    ) -> Result<Self> {
        Ok(Self {
            strings: leaves.string_columns(properties),
            others: other_columns.create_column_writers(index)?,
            rows: 0,
        })
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Encodes a batch; the leaf columns of a large one concurrently, on all cores.
    pub(super) fn write(&mut self, leaves: &Leaves, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        let split = leaves.split(batch)?;
        let (strings, others) = (&split.strings, &split.others);
        if !is_shared(batch.num_rows()) {
            let mut string_pairs = self.strings.iter_mut().zip(strings);
            string_pairs.try_for_each(|(column, leaf)| column.write(leaf))?;
            let mut other_pairs = self.others.iter_mut().zip(others);
            return other_pairs.try_for_each(|(column, leaf)| column.write(leaf));
        }
        let string_pairs = self.strings.par_iter_mut().zip(strings);
        let other_pairs = self.others.par_iter_mut().zip(others);
        let (strings_written, others_written) = rayon::join(
            || string_pairs.try_for_each(|(column, leaf)| column.write(leaf)),
            || other_pairs.try_for_each(|(column, leaf)| column.write(leaf)),
        );
        strings_written.and(others_written)
    }

    /// Estimates the bytes that the row group will have in the file.
    pub(super) fn bytes(&self) -> usize {
        let other_bytes = ArrowColumnWriter::get_estimated_total_bytes;
        let others: usize = self.others.iter().map(other_bytes).sum();
        let strings: usize = self.strings.iter().map(StringColumn::bytes).sum();
        others + strings
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        let others: usize = self.others.iter().map(ArrowColumnWriter::memory_size).sum();
        let strings: usize = self.strings.iter().map(StringColumn::memory).sum();
        others + strings
    }

    /// Ends the row group and appends it to `file`.
    pub(super) fn append<W: Write + Send>(
        self,
        leaves: &Leaves,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<()> {
        let (closed_strings, closed_others): (Vec<_>, Vec<_>) = match is_shared(self.rows) {
            false => {
                let strings = self.strings.into_iter().map(StringColumn::close);
                let others = self.others.into_iter().map(ArrowColumnWriter::close);
                (strings.collect(), others.collect())
            }
            true => {
                let strings = self.strings.into_par_iter().map(StringColumn::close);
                let others = self.others.into_par_iter().map(ArrowColumnWriter::close);
                rayon::join(|| strings.collect(), || others.collect())
            }
        };
        let mut strings = closed_strings.into_iter();
        let mut others = closed_others.into_iter();
        let mut group = file.next_row_group()?;
        for is_string in leaves.is_string() {
            match is_string {
                true => {
                    let (pages, close) = strings.next().ok_or_else(missing)??;
                    group.append_column(&pages, close)?;
                }
                false => {
                    let chunk = others.next().ok_or_else(missing)??;
                    chunk.append_to_row_group(&mut group)?;
                }
            }
        }
        group.close()?;
        Ok(())
    }
}

/// Returns true if columns of this many rows are encoded concurrently.
fn is_shared(rows: usize) -> bool {
    rows >= MIN_ROWS_TO_SHARE && rayon::current_num_threads() >= MIN_CORES_TO_SHARE
}

fn missing() -> ParquetError {
    ParquetError::General("a row group has fewer columns than the file".to_owned())
}
