//! A row group that takes rows; its pages are in memory.

use std::io::Write;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use rayon::iter::{
    IndexedParallelIterator, IntoParallelIterator, IntoParallelRefMutIterator, ParallelIterator,
};

use super::leaves::Leaves;
use super::strings::StringColumn;

/// Fewer rows are not worth being encoded on several cores.
const ROWS_TO_SHARE: usize = 1024;

/// Fewer cores are kept busy by the files that are open side by side: handing columns around would
/// only cost (6 % of the CPU time of job A of `benches/peers` on two cores).
pub(super) const CORES_TO_SHARE: usize = 3;

pub(super) struct RowGroup {
    /// In the order of the schema, as are `others`: [`Leaves::is_string`] says how they interleave.
    strings: Vec<StringColumn>,
    others: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl RowGroup {
    /// `others` makes the columns that are no strings, for the row group of this `number`.
    pub(super) fn new(
        leaves: &Leaves,
        others: &ArrowRowGroupWriterFactory,
        properties: &WriterProperties,
        number: usize,
    ) -> Result<Self> {
        Ok(Self {
            strings: leaves.string_columns(properties),
            others: others.create_column_writers(number)?,
            rows: 0,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Encodes the leaf columns of large batches side by side, on all cores.
    pub(super) fn write(&mut self, leaves: &Leaves, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        let split = leaves.split(batch)?;
        let (strings, others) = (&split.strings, &split.others);
        if !is_shared(batch.num_rows()) {
            let mut pairs = self.strings.iter_mut().zip(strings);
            pairs.try_for_each(|(column, leaf)| column.write(leaf))?;
            let mut pairs = self.others.iter_mut().zip(others);
            return pairs.try_for_each(|(column, leaf)| column.write(leaf));
        }
        let string_pairs = self.strings.par_iter_mut().zip(strings);
        let other_pairs = self.others.par_iter_mut().zip(others);
        let (of_strings, of_others) = rayon::join(
            || string_pairs.try_for_each(|(column, leaf)| column.write(leaf)),
            || other_pairs.try_for_each(|(column, leaf)| column.write(leaf)),
        );
        of_strings.and(of_others)
    }

    /// What it will have in the file, as far as can be said.
    pub(super) fn bytes(&self) -> usize {
        let others = self.others.iter();
        let others: usize = others
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum();
        let strings = self.strings.iter();
        others + strings.map(StringColumn::bytes).sum::<usize>()
    }

    pub(super) fn memory(&self) -> usize {
        let others: usize = self.others.iter().map(ArrowColumnWriter::memory_size).sum();
        let strings = self.strings.iter();
        others + strings.map(StringColumn::memory).sum::<usize>()
    }

    /// Ends it, and appends it to `file`.
    pub(super) fn append<W: Write + Send>(
        self,
        leaves: &Leaves,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<()> {
        let (strings, others): (Vec<_>, Vec<_>) = match is_shared(self.rows) {
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
        let (mut strings, mut others) = (strings.into_iter(), others.into_iter());
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

fn is_shared(rows: usize) -> bool {
    rows >= ROWS_TO_SHARE && rayon::current_num_threads() >= CORES_TO_SHARE
}

fn missing() -> ParquetError {
    ParquetError::General("a row group has fewer columns than the file".to_owned())
}
