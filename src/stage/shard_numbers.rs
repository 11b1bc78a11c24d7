//! Allocates the numbers in the names of a partition's shards.
//!
//! A retired number is never reused: a run that was paused before it deleted the replaced files, and
//! resumes late, can then only delete names that nobody uses any more.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use object_store::path::Path;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::layout::{self, FileFormat, Partition, Shard, TableName};
use crate::store::Destination;

/// The shard numbers that a table has used before, from its log and the manifest to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberingHistory {
    /// The shards of the manifest to be replaced: their names are reused, in order.
    pub replaced: BTreeSet<Shard>,
    /// The greatest number ever retired, for each partition that has one.
    pub retired: BTreeMap<Partition, u64>,
}

impl NumberingHistory {
    /// Returns a history for several writers that do not communicate: no name is reused, and numbers
    /// start after all of them.
    pub fn without_reuse(&self) -> Self {
        let mut retired = self.retired.clone();
        for shard in &self.replaced {
            let greatest = retired.entry(shard.partition.clone()).or_default();
            *greatest = shard.number.max(*greatest);
        }
        Self {
            replaced: BTreeSet::new(),
            retired,
        }
    }
}

/// The position of a writer among `count` writers of the same files.
///
/// They number concurrently (`index`, `index + count`, …) without communicating. The run that wins
/// the commit was the only one since its listing, so all of its writers count from the same number;
/// otherwise two names are equal and the run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterIndex {
    /// The zero-based index of this writer.
    pub index: u64,
    /// The number of all writers.
    pub count: u64,
}

impl WriterIndex {
    /// The index of a writer without others.
    pub const ONLY: Self = Self { index: 0, count: 1 };
}

/// Allocates shard numbers, each once.
#[derive(Debug)]
pub(super) struct ShardNumberAllocator {
    history: NumberingHistory,
    writer: WriterIndex,
    partitions: Mutex<HashMap<Partition, Arc<tokio::sync::Mutex<Option<PartitionNumbers>>>>>,
    /// Objects in the partitions that the manifest to be replaced does not name.
    others: Mutex<BTreeSet<Path>>,
}

/// The greatest number from which counting goes on. Nobody reaches it by counting: a greater one is that
/// of a foreign file, and is passed over.
const MAX_COUNTED: u64 = 99_999_999_999;

/// The numbers that are available in one partition.
#[derive(Debug)]
struct PartitionNumbers {
    reusable: VecDeque<u64>,
    /// The next number of this writer that may be free; `None` at the end of the range.
    next: Option<u64>,
    step: u64,
    /// The numbers of existing files from which counting does not go on.
    passed_over: BTreeSet<u64>,
}

impl PartitionNumbers {
    /// Computes the available numbers of a partition in which a listing found the shards `present`.
    fn new(
        history: &NumberingHistory,
        writer: WriterIndex,
        partition: &Partition,
        format: FileFormat,
        present: &BTreeSet<Shard>,
    ) -> Self {
        let of_partition = |shard: &&Shard| shard.partition == *partition;
        let owned: BTreeSet<u64> = history
            .replaced
            .iter()
            .filter(of_partition)
            .map(|shard| shard.number)
            .collect();
        let retired = history.retired.get(partition).copied();
        // Under another format the name is another one: it may be foreign, or retired.
        let is_usable = |number: &u64| {
            let has_name = |shard: &&Shard| shard.number == *number && shard.format == format;
            if history
                .replaced
                .iter()
                .filter(of_partition)
                .any(|shard| has_name(&shard))
            {
                return true;
            }
            retired.is_none_or(|retired| retired < *number)
                && !present.iter().any(|shard| has_name(&shard))
        };
        let reusable = owned.iter().copied().filter(is_usable).collect();
        let existing = present
            .iter()
            .filter(of_partition)
            .map(|shard| shard.number);
        let (counted, passed_over): (BTreeSet<u64>, BTreeSet<u64>) = existing
            .chain(owned.iter().copied())
            .partition(|number| *number <= MAX_COUNTED);
        let greatest = counted.last().copied().max(retired);
        let first = match greatest {
            None => Some(0),
            Some(greatest) => greatest.checked_add(1),
        };
        Self {
            reusable,
            next: first.and_then(|first| first.checked_add(writer.index)),
            step: writer.count.max(1),
            passed_over,
        }
    }

    /// Returns the next number, or `None` at the end of the range.
    fn take(&mut self) -> Option<u64> {
        if let Some(number) = self.reusable.pop_front() {
            return Some(number);
        }
        loop {
            let number = self.next?;
            self.next = number.checked_add(self.step);
            if !self.passed_over.contains(&number) {
                return Some(number);
            }
        }
    }
}

impl ShardNumberAllocator {
    /// Creates an allocator for one of the writers of a table's files.
    pub(super) fn new(history: NumberingHistory, writer: WriterIndex) -> Self {
        Self {
            history,
            writer,
            partitions: Mutex::default(),
            others: Mutex::default(),
        }
    }

    /// Returns the objects that listings found beside those to be replaced: files of other cycles,
    /// or foreign ones.
    pub(super) fn others(&self) -> BTreeSet<Path> {
        self.others.lock().clone()
    }

    /// Returns the next number; the first call for a partition lists its folder.
    ///
    /// # Errors
    /// Fails if the store does, or with [`Error::data`] at the end of the range of numbers.
    pub(super) async fn next(
        &self,
        destination: &Destination,
        table: &TableName,
        partition: &Partition,
        format: FileFormat,
    ) -> Result<u64> {
        let slot = {
            let mut partitions = self.partitions.lock();
            Arc::clone(partitions.entry(partition.clone()).or_default())
        };
        let mut numbers = slot.lock().await;
        let exhausted = || {
            let folder = layout::partition_folder(table, partition);
            Error::data(format!("no file number is left in `{folder}`"))
                .with_hint("a record of the table holds the greatest number: did dayport write it?")
        };
        if let Some(numbers) = numbers.as_mut() {
            return numbers.take().ok_or_else(exhausted);
        }
        let present = self.list_partition(destination, table, partition).await?;
        let numbers = numbers.insert(PartitionNumbers::new(
            &self.history,
            self.writer,
            partition,
            format,
            &present,
        ));
        numbers.take().ok_or_else(exhausted)
    }

    /// Lists the shards in a partition; every other object there becomes one of the others.
    pub(super) async fn list_partition(
        &self,
        destination: &Destination,
        table: &TableName,
        partition: &Partition,
    ) -> Result<BTreeSet<Shard>> {
        let folder = layout::partition_folder(table, partition);
        let objects = destination.list(&folder).await?;
        let mut present = BTreeSet::new();
        let mut others = BTreeSet::new();
        for object in objects {
            let shard = Shard::parse(&object.location);
            let is_replaced = shard
                .as_ref()
                .is_some_and(|shard| self.history.replaced.contains(shard));
            if !is_replaced {
                others.insert(object.location);
            }
            present.extend(shard);
        }
        self.others.lock().extend(others);
        Ok(present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(numbers: &[u64], format: FileFormat) -> BTreeSet<Shard> {
        let shard = |number: &u64| Shard {
            table: "domains".parse().unwrap(),
            partition: Partition::default(),
            number: *number,
            format,
        };
        numbers.iter().map(shard).collect()
    }

    fn first_four(
        history: &NumberingHistory,
        format: FileFormat,
        present: &BTreeSet<Shard>,
    ) -> [u64; 4] {
        let mut available = PartitionNumbers::new(
            history,
            WriterIndex::ONLY,
            &Partition::default(),
            format,
            present,
        );
        std::array::from_fn(|_| available.take().unwrap())
    }

    #[test]
    fn a_fresh_partition_counts_from_zero_and_an_old_one_goes_on() {
        let fresh = NumberingHistory::default();
        let parquet = FileFormat::Parquet;
        assert_eq!(first_four(&fresh, parquet, &BTreeSet::new()), [0, 1, 2, 3]);
        let present = shards(&[0, 4], parquet);
        assert_eq!(first_four(&fresh, parquet, &present), [5, 6, 7, 8]);
        let other_format = shards(&[0], FileFormat::Json);
        assert_eq!(first_four(&fresh, parquet, &other_format), [1, 2, 3, 4]);
    }

    #[test]
    fn numbers_at_the_end_of_the_range_are_passed_over() {
        let fresh = NumberingHistory::default();
        let parquet = FileFormat::Parquet;
        for end in [MAX_COUNTED + 1, u64::MAX - 1, u64::MAX] {
            let present = shards(&[0, end], parquet);
            assert_eq!(first_four(&fresh, parquet, &present), [1, 2, 3, 4]);
        }
        // Counting that gets there goes around the files.
        let present = shards(&[MAX_COUNTED, MAX_COUNTED + 2], parquet);
        let numbers = first_four(&fresh, parquet, &present);
        assert_eq!(numbers, [1, 3, 4, 5].map(|after| MAX_COUNTED + after));
    }

    #[test]
    fn no_number_comes_after_the_greatest_retired_one() {
        let taken = |retired, writer| {
            let history = NumberingHistory {
                replaced: BTreeSet::new(),
                retired: BTreeMap::from([(Partition::default(), retired)]),
            };
            let partition = Partition::default();
            let none = BTreeSet::new();
            let format = FileFormat::Json;
            let mut numbers = PartitionNumbers::new(&history, writer, &partition, format, &none);
            [numbers.take(), numbers.take()]
        };
        assert_eq!(taken(u64::MAX, WriterIndex::ONLY), [None, None]);
        assert_eq!(
            taken(u64::MAX - 1, WriterIndex::ONLY),
            [Some(u64::MAX), None]
        );
        let second = WriterIndex { index: 1, count: 2 };
        assert_eq!(taken(u64::MAX - 1, second), [None, None]);
    }

    #[test]
    fn a_replacement_takes_its_predecessors_names_in_order() {
        let history = NumberingHistory {
            replaced: shards(&[1, 3], FileFormat::Parquet),
            retired: BTreeMap::new(),
        };
        let present = shards(&[0, 1, 3, 5], FileFormat::Parquet);
        let numbers = first_four(&history, FileFormat::Parquet, &present);
        assert_eq!(numbers, [1, 3, 6, 7]);
    }

    #[test]
    fn concurrent_writers_never_take_the_same_number() {
        let history = NumberingHistory {
            replaced: shards(&[0, 3], FileFormat::Parquet),
            retired: BTreeMap::from([(Partition::default(), 1)]),
        };
        let without_reuse = history.without_reuse();
        let present = shards(&[0, 3, 4], FileFormat::Parquet);
        let mut taken = Vec::new();
        for index in 0..3 {
            let writer = WriterIndex { index, count: 3 };
            let partition = Partition::default();
            let mut available = PartitionNumbers::new(
                &without_reuse,
                writer,
                &partition,
                FileFormat::Parquet,
                &present,
            );
            taken.extend([available.take(), available.take()].map(Option::unwrap));
        }
        assert_eq!(taken, [5, 8, 6, 9, 7, 10]);
    }

    #[test]
    fn a_retired_number_is_never_reused() {
        let history = NumberingHistory {
            replaced: shards(&[0], FileFormat::Parquet),
            retired: BTreeMap::from([(Partition::default(), 2)]),
        };
        let present = shards(&[0], FileFormat::Parquet);
        let numbers = first_four(&history, FileFormat::Parquet, &present);
        assert_eq!(numbers, [0, 3, 4, 5]);
    }

    #[test]
    fn a_retired_name_is_not_reused_when_its_format_returns() {
        let history = NumberingHistory {
            replaced: shards(&[0], FileFormat::Json),
            retired: BTreeMap::from([(Partition::default(), 0)]),
        };
        let present = shards(&[0], FileFormat::Json);
        let back = first_four(&history, FileFormat::Parquet, &present);
        assert_eq!(back, [1, 2, 3, 4]);
        let same = first_four(&history, FileFormat::Json, &present);
        assert_eq!(same, [0, 1, 2, 3]);
    }

    #[test]
    fn a_foreign_file_under_a_name_of_the_new_format_is_not_overwritten() {
        let history = NumberingHistory {
            replaced: shards(&[0, 1], FileFormat::Json),
            retired: BTreeMap::new(),
        };
        let mut present = shards(&[0, 1], FileFormat::Json);
        present.extend(shards(&[0], FileFormat::Parquet));
        let numbers = first_four(&history, FileFormat::Parquet, &present);
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
}
