//! The memory of the row group that is read: counted, and refused if it is more than there is.

use std::ops::Range;
use std::sync::Arc;

use ::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use crate::memory_budget::MemoryBudget;

/// The memory that readers of Parquet files share with everything else.
#[derive(Debug, Clone)]
pub(crate) struct ReaderMemory {
    pool: Arc<dyn MemoryPool>,
    /// The number of rows that are decoded at a time.
    batch_rows: usize,
}

/// The reservation of the row group that one reader reads.
#[derive(Debug)]
pub(super) struct RowGroupMemory {
    memory: ReaderMemory,
    reservation: MemoryReservation,
}

/// A row group that takes more memory than there is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge {
    /// The number of the row group, from 1.
    pub(super) row_group: usize,
    /// The number of its first row in the file, from 1.
    pub(super) first_row: i64,
    pub(super) needed: u64,
}

impl ReaderMemory {
    /// Creates the memory of readers that decode `batch_rows` rows at a time.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, batch_rows: usize) -> Self {
        Self {
            pool: Arc::clone(pool),
            batch_rows,
        }
    }

    /// Returns the maximum size of a row, in bytes.
    pub(super) fn max_row_bytes(&self) -> usize {
        MemoryBudget::of(&*self.pool).row_bytes()
    }

    /// Returns the memory of one more reader.
    pub(super) fn reader(&self) -> RowGroupMemory {
        RowGroupMemory {
            memory: self.clone(),
            reservation: MemoryConsumer::new("row group of a source file").register(&self.pool),
        }
    }
}

impl RowGroupMemory {
    /// Reserves the memory of ranges that are fetched: their bytes, and what is decoded of them at a time.
    /// What the reader held before is free.
    pub(super) fn fetch(
        &self,
        footer: &ParquetMetaData,
        ranges: &[Range<u64>],
    ) -> Result<(), TooLarge> {
        let Some((index, group)) = group_of(footer, ranges) else {
            return Ok(());
        };
        let needed = needed(group, ranges, self.memory.batch_rows as u64);
        if MemoryBudget::of(&*self.memory.pool).is_more(needed) {
            let before = footer.row_groups().iter().take(index);
            return Err(TooLarge {
                row_group: index + 1,
                first_row: before.map(RowGroupMetaData::num_rows).sum::<i64>() + 1,
                needed,
            });
        }
        let reserved = usize::try_from(needed).unwrap_or(usize::MAX);
        self.reservation.resize(reserved);
        Ok(())
    }
}

/// Returns the row group that the first range is in, with its index.
fn group_of<'a>(
    footer: &'a ParquetMetaData,
    ranges: &[Range<u64>],
) -> Option<(usize, &'a RowGroupMetaData)> {
    let first = ranges.first()?;
    let holds = |group: &RowGroupMetaData| {
        group.columns().iter().any(|column| {
            let (start, length) = column.byte_range();
            (start..start + length).contains(&first.start)
        })
    };
    let mut groups = footer.row_groups().iter().enumerate();
    groups.find(|(_, group)| holds(group))
}

/// Returns the bytes of the ranges, and of as many rows of them as are decoded at a time.
fn needed(group: &RowGroupMetaData, ranges: &[Range<u64>], batch_rows: u64) -> u64 {
    let fetched: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
    let is_fetched = |start: u64, length: u64| {
        let chunk = start..start + length;
        ranges.iter().any(|range| chunk.contains(&range.start))
    };
    let (mut compressed, mut uncompressed) = (0u64, 0u64);
    for column in group.columns() {
        let (start, length) = column.byte_range();
        if is_fetched(start, length) {
            compressed += length;
            uncompressed += u64::try_from(column.uncompressed_size()).unwrap_or(0);
        }
    }
    // Of pages that are skipped nothing is decoded.
    let decoded = u128::from(uncompressed) * u128::from(fetched.min(compressed))
        / u128::from(compressed.max(1))
        * u128::from(batch_rows.min(rows))
        / u128::from(rows);
    fetched.saturating_add(u64::try_from(decoded).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use ::parquet::arrow::ArrowWriter;
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use ::parquet::file::properties::WriterProperties;
    use bytes::Bytes;
    use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    /// Returns the footer of two row groups of 100 rows of 1,000 bytes each.
    fn footer() -> Arc<ParquetMetaData> {
        let texts = (0..200).map(|n| format!("{n:0>1000}"));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(100))
            .build();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        Arc::clone(reader.metadata())
    }

    fn second_group(footer: &ParquetMetaData) -> Vec<Range<u64>> {
        let (start, length) = footer.row_group(1).column(0).byte_range();
        std::iter::once(start..start + length).collect()
    }

    #[test]
    fn the_row_group_that_is_read_is_reserved() {
        let footer = footer();
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
        let whole = ReaderMemory::new(&pool, 8192).reader();
        whole.fetch(&footer, &second_group(&footer)).unwrap();
        let reserved = pool.reserved();
        assert!(reserved > 200_000, "{reserved}");
        whole.fetch(&footer, &second_group(&footer)).unwrap();
        assert_eq!(pool.reserved(), reserved);
        drop(whole);
        assert_eq!(pool.reserved(), 0);
        let few = ReaderMemory::new(&pool, 10).reader();
        few.fetch(&footer, &second_group(&footer)).unwrap();
        assert!((100_000..130_000).contains(&pool.reserved()));
    }

    #[test]
    fn a_row_group_larger_than_the_memory_is_refused() {
        let footer = footer();
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(150_000));
        let reader = ReaderMemory::new(&pool, 8192).reader();
        let error = reader.fetch(&footer, &second_group(&footer)).unwrap_err();
        assert_eq!((error.row_group, error.first_row), (2, 101));
        assert!(error.needed > 200_000);
        assert_eq!(pool.reserved(), 0);
    }
}
