//! Rows of partitions that have few in one task: they are handed on to a writer that has those of
//! all tasks, so that a handful of late rows does not become a file for each task.

use std::collections::HashMap;

use datafusion::arrow::array::RecordBatch;

use crate::layout::Partition;

/// The share of a file's target size below which rows are few, as they are in memory.
const FEW_SHARE: u64 = 32;

/// All that waits at most, in bytes.
const MOST_WAITING: usize = 64 << 20;

/// Rows that wait for more of their partition.
#[derive(Debug)]
pub struct Few {
    partitions: HashMap<Partition, Waiting>,
    /// Of one partition, in bytes: more are not few.
    most: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Few {
    pub fn new(target_file_size: u64) -> Self {
        Self {
            partitions: HashMap::new(),
            most: usize::try_from(target_file_size / FEW_SHARE).unwrap_or(usize::MAX),
            bytes: 0,
        }
    }

    /// Takes rows of a partition; gives back a partition that has too many, with all its rows.
    pub fn add(
        &mut self,
        partition: Partition,
        rows: RecordBatch,
    ) -> Option<(Partition, Vec<RecordBatch>)> {
        let bytes = rows.get_array_memory_size();
        let waiting = self.partitions.entry(partition.clone()).or_default();
        waiting.batches.push(rows);
        waiting.bytes += bytes;
        self.bytes += bytes;
        let too_many = if waiting.bytes > self.most {
            partition
        } else if self.bytes > MOST_WAITING {
            let most = self.partitions.iter().max_by_key(|(_, most)| most.bytes);
            most.map(|(partition, _)| partition.clone())?
        } else {
            return None;
        };
        let waiting = self.partitions.remove(&too_many)?;
        self.bytes -= waiting.bytes;
        Some((too_many, waiting.batches))
    }

    /// What still waits.
    pub fn rest(self) -> Vec<RecordBatch> {
        let waiting = self.partitions.into_values();
        waiting.flat_map(|waiting| waiting.batches).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn what_is_too_much_comes_back_with_all_its_rows() {
        let rows = |count: usize| {
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; count]));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let day = |day: &str| Partition::new(vec![("day".to_owned(), day.to_owned())]).unwrap();
        let mut few = Few::new(FEW_SHARE * 4000);
        assert!(few.add(day("1"), rows(100)).is_none());
        assert!(few.add(day("2"), rows(100)).is_none());
        let (partition, batches) = few.add(day("1"), rows(900)).unwrap();
        assert_eq!((partition, batches.len()), (day("1"), 2));
        let left: usize = few.rest().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(left, 100);
    }
}
