//! Buffers the rows of partitions that have few in one task.
//!
//! They are forwarded to a writer that gets those of all tasks, so that a handful of late rows does not
//! become one file per task.

use std::collections::HashMap;

use datafusion::arrow::array::RecordBatch;

use crate::layout::Partition;
use crate::memory_budget::MAX_SMALL_PARTITION_BYTES;

/// The share of a file's target size, as a divisor, up to which a partition is small. The rows are
/// measured in memory.
const SMALL_SHARE: u64 = 32;

/// A buffer of rows whose partitions are small so far.
#[derive(Debug)]
pub(super) struct SmallPartitionBuffer {
    partitions: HashMap<Partition, BufferedRows>,
    /// The maximum size of a small partition, in bytes.
    max_partition_bytes: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct BufferedRows {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl SmallPartitionBuffer {
    /// Creates an empty buffer for files of `target_file_size` bytes.
    pub(super) fn new(target_file_size: u64) -> Self {
        Self {
            partitions: HashMap::new(),
            max_partition_bytes: usize::try_from(target_file_size / SMALL_SHARE)
                .unwrap_or(usize::MAX),
            bytes: 0,
        }
    }

    /// Adds rows of a partition. Returns a partition that is not small any more, with all its rows; if
    /// the buffer is full, it is the largest one.
    pub(super) fn add(
        &mut self,
        partition: Partition,
        rows: RecordBatch,
    ) -> Option<(Partition, Vec<RecordBatch>)> {
        let bytes = rows.get_array_memory_size();
        let buffered = self.partitions.entry(partition.clone()).or_default();
        buffered.batches.push(rows);
        buffered.bytes += bytes;
        self.bytes += bytes;
        let evicted = if buffered.bytes > self.max_partition_bytes {
            partition
        } else if self.bytes > MAX_SMALL_PARTITION_BYTES {
            let partitions = self.partitions.iter();
            let (largest, _) = partitions.max_by_key(|(_, buffered)| buffered.bytes)?;
            largest.clone()
        } else {
            return None;
        };
        let rows = self.partitions.remove(&evicted)?;
        self.bytes -= rows.bytes;
        Some((evicted, rows.batches))
    }

    /// Returns the rows of all partitions that are still small.
    pub(super) fn finish(self) -> Vec<RecordBatch> {
        let partitions = self.partitions.into_values();
        partitions.flat_map(|buffered| buffered.batches).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn a_partition_that_is_not_small_is_returned_with_all_its_rows() {
        let rows = |count: usize| {
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; count]));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let day = |day: &str| Partition::new(vec![("day".to_owned(), day.to_owned())]).unwrap();
        let mut buffer = SmallPartitionBuffer::new(SMALL_SHARE * 4000);
        assert!(buffer.add(day("1"), rows(100)).is_none());
        assert!(buffer.add(day("2"), rows(100)).is_none());
        let (partition, batches) = buffer.add(day("1"), rows(900)).unwrap();
        assert_eq!((partition, batches.len()), (day("1"), 2));
        let left: usize = buffer.finish().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(left, 100);
    }
}
