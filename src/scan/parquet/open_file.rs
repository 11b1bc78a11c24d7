//! A file that is being read: its name, and the row that is read now, for errors.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use parking_lot::Mutex;

use super::row_group_memory::{RowGroupMemory, TooLarge};
use super::rule::{Misfit, Unreadable};
use crate::engine_error;
use crate::error::Error;
use crate::memory_budget::MemoryBudget;
use crate::scan::record::Scan;
use crate::view_gc::{max_row_bytes, row_sizes};

/// A file that is being read.
///
/// The reader decodes one row group after another, each after it fetched the bytes of the row group.
/// So the last fetch tells the row group, and the rows that were returned since tell the row.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// The file's URL.
    key: String,
    /// The scans that the file is read for.
    scans: Vec<Arc<Scan>>,
    footer: OnceLock<Arc<ParquetMetaData>>,
    position: Mutex<ReadPosition>,
}

#[derive(Debug, Default)]
struct ReadPosition {
    /// The index of the row group, if one was fetched.
    row_group: Option<usize>,
    /// True if only some pages of the row group are read.
    skips_pages: bool,
    /// The rows of the row group that were returned.
    rows_returned: usize,
}

impl OpenFile {
    pub(super) fn new(key: String, scans: Vec<Arc<Scan>>) -> Self {
        Self {
            key,
            scans,
            footer: OnceLock::new(),
            position: Mutex::default(),
        }
    }

    /// Remembers the row groups of the file.
    pub(super) fn set_footer(&self, footer: &Arc<ParquetMetaData>) {
        self.footer.get_or_init(|| Arc::clone(footer));
    }

    /// Finds the row group of the bytes that are fetched next.
    pub(super) fn set_fetched(&self, ranges: &[Range<u64>]) {
        let (Some(footer), Some(first)) = (self.footer.get(), ranges.first()) else {
            return;
        };
        let chunks = |index: usize| {
            let columns = footer.row_group(index).columns().iter();
            columns.map(|column| {
                let (start, length) = column.byte_range();
                start..start + length
            })
        };
        let mut row_groups = 0..footer.num_row_groups();
        let row_group =
            row_groups.find(|index| chunks(*index).any(|chunk| chunk.contains(&first.start)));
        // Other bytes are those of indexes and bloom filters.
        let Some(row_group) = row_group else {
            return;
        };
        let is_chunk = |range: &Range<u64>| chunks(row_group).any(|chunk| chunk == *range);
        let mut position = self.position.lock();
        let skips_pages = !ranges.iter().all(is_chunk);
        if position.row_group == Some(row_group) {
            position.skips_pages |= skips_pages;
            return;
        }
        *position = ReadPosition {
            row_group: Some(row_group),
            skips_pages,
            rows_returned: 0,
        };
    }

    /// Reserves the memory of ranges that are fetched next.
    ///
    /// # Errors
    /// The row group is larger than the memory limit.
    pub(super) fn reserve(
        &self,
        memory: &RowGroupMemory,
        ranges: &[Range<u64>],
    ) -> Result<(), ParquetError> {
        let Some(footer) = self.footer.get() else {
            return Ok(());
        };
        let Err(too_large) = memory.fetch(footer, ranges) else {
            return Ok(());
        };
        let TooLarge {
            row_group,
            first_row,
            needed,
        } = too_large;
        let mebibytes = needed.div_ceil(1 << 20);
        let error = Error::data(format!(
            "source file `{}`: row group {row_group}, from row {first_row} on, takes {mebibytes} MiB in the columns \
             that are read, more than --memory-limit",
            self.key
        ))
        .with_hint("raise --memory-limit, or write the file with smaller row groups");
        Err(ParquetError::External(Box::new(error)))
    }

    /// Checks that no row of the batch that is decoded has more than `max_bytes`.
    pub(super) fn check_width(&self, batch: &RecordBatch, max_bytes: usize) -> Result<(), Error> {
        // Lengths are looked at only where a row may be so wide.
        if batch.get_array_memory_size() <= max_bytes || max_row_bytes(batch) <= max_bytes {
            return Ok(());
        }
        let mut sizes = row_sizes(batch).into_iter().enumerate();
        let Some((index, bytes)) = sizes.find(|(_, bytes)| *bytes > max_bytes) else {
            return Ok(());
        };
        let factor = MemoryBudget::LIMIT_OF_A_LINE;
        let mebibytes = |bytes: usize| bytes.div_ceil(1 << 20);
        let (has, needed) = (mebibytes(bytes), mebibytes(bytes.saturating_mul(factor)));
        Err(Error::data(format!(
            "source file `{}`{}: the row has {has} MiB in the columns that are read, more than 1/{factor} of \
             --memory-limit",
            self.key,
            self.place(index)
        ))
        .with_hint(format!("raise --memory-limit to at least {needed}MiB")))
    }

    /// Counts rows that the reader returned.
    pub(super) fn add_returned(&self, rows: usize) {
        for scan in &self.scans {
            scan.counts.add_decoded(rows);
        }
        self.position.lock().rows_returned += rows;
    }

    /// Creates the error of a value in the batch that is decoded.
    pub(super) fn misfit(&self, misfit: &Misfit) -> DataFusionError {
        let Misfit {
            path,
            index,
            problem,
        } = misfit;
        let place = self.place(*index);
        Error::data(format!(
            "source file `{}`{place}: column `{path}` {problem}",
            self.key
        ))
        .with_hint(problem.hint())
        .into()
    }

    /// Describes the place of a row of the batch that is decoded.
    fn place(&self, index: usize) -> String {
        let position = self.position.lock();
        let (Some(row_group), Some(footer)) = (position.row_group, self.footer.get()) else {
            return String::new();
        };
        if position.skips_pages {
            return format!(" row group {}", row_group + 1);
        }
        let before = footer.row_groups().iter().take(row_group);
        let rows_before: i64 = before.map(|group| group.num_rows()).sum();
        let row = rows_before + (position.rows_returned + index) as i64 + 1;
        format!(" row {row}")
    }

    /// Creates the error of a column that cannot become the declared one.
    pub(super) fn unreadable(&self, unreadable: Unreadable) -> DataFusionError {
        let Unreadable {
            path,
            problem,
            hint,
        } = unreadable;
        Error::data(format!(
            "source file `{}`: column `{path}` {problem}",
            self.key
        ))
        .with_hint(hint)
        .into()
    }

    /// Returns an error of reading with the name of the file, unless it has one.
    pub(super) fn name(&self, error: DataFusionError) -> DataFusionError {
        if engine_error::own(&error).is_some() {
            return error;
        }
        if let Some(fault) = store_error(&error) {
            let cause = error.strip_backtrace();
            let message = format!("cannot read the source file `{}`: {cause}", self.key);
            return Error::read_fault(message, fault).into();
        }
        match self.is_damage(&error) {
            true => self.damaged_in(None, &error),
            false => error.context(format!("source file `{}`", self.key)),
        }
    }

    /// Returns an error of the reader as one of DataFusion, so that it passes the reader unchanged.
    pub(super) fn name_parquet(&self, error: ParquetError) -> ParquetError {
        let named = match error {
            ParquetError::External(cause) => match cause.downcast::<object_store::Error>() {
                Ok(cause) => Error::store("read", &self.key, *cause).into(),
                Err(cause) => self.name(ParquetError::External(cause).into()),
            },
            other => self.name(other.into()),
        };
        ParquetError::External(Box::new(named))
    }

    /// Creates the error of a panic of the reader.
    pub(super) fn panicked(&self, panic: Box<dyn Any + Send>) -> DataFusionError {
        // The message is printed where the panic happens.
        drop(panic);
        ParquetError::General("the reader panicked".to_owned()).into()
    }

    /// Returns true if the bytes of the file cannot be read as Parquet.
    pub(super) fn is_damage(&self, error: &DataFusionError) -> bool {
        if engine_error::own(error).is_some() || store_error(error).is_some() {
            return false;
        }
        match error.find_root() {
            DataFusionError::ParquetError(_) | DataFusionError::IoError(_) => true,
            DataFusionError::ArrowError(inner, _) => {
                matches!(**inner, ArrowError::ParquetError(_))
            }
            _ => false,
        }
    }

    /// Creates the error of a file that cannot be read, with the column if it is known.
    pub(super) fn damaged_in(
        &self,
        column: Option<String>,
        error: &DataFusionError,
    ) -> DataFusionError {
        let column = column.map_or_else(String::new, |path| format!(": column `{path}`"));
        // As text: an error of DataFusion inside would be taken for the root.
        let cause = error.find_root().strip_backtrace();
        Error::data(format!(
            "source file `{}`{column} cannot be read as Parquet: {cause}",
            self.key
        ))
        .with_hint("the file is damaged, or uses what this reader does not support")
        .into()
    }
}

/// Returns the error of a store that caused an error.
fn store_error(error: &DataFusionError) -> Option<&object_store::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<object_store::Error>() {
            return Some(fault);
        }
        cause = error.source();
    }
    None
}
