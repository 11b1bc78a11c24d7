//! Which number the next shard of a partition gets.
//!
//! A number that was given up is never used again: a run that was paused before it deleted the
//! replaced files and wakes up late can then only delete names that nobody uses any more.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;

use crate::error::Result;
use crate::layout::{self, FileFormat, Partition, Shard, TableName};
use crate::store::Destination;

/// What the table's history says about the numbers of its shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbering {
    /// The shards of the manifest to be replaced: their names are taken over, in order.
    pub replaced: BTreeSet<Shard>,
    /// The greatest number ever given up, for each partition that has one.
    pub retired: BTreeMap<Partition, u64>,
}

impl Numbering {
    /// For writers who do not ask each other: no name is taken over, and numbers begin after all of
    /// them.
    pub fn afresh(&self) -> Self {
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

/// Which of `count` writers this is: they number side by side, `index`, `index + count`, …, without
/// asking each other. Whoever wins the commit was alone since its listing, so all of its writers
/// count from the same number; if not, two names are equal and the run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    pub index: u64,
    pub count: u64,
}

impl Lane {
    /// There are no other writers.
    pub const ONLY: Self = Self { index: 0, count: 1 };
}

/// Hands out numbers, each once.
#[derive(Debug)]
pub struct Numbers {
    numbering: Numbering,
    lane: Lane,
    partitions: Mutex<HashMap<Partition, Arc<tokio::sync::Mutex<Option<Free>>>>>,
    /// Objects in the partitions that the manifest to be replaced does not name.
    others: Mutex<BTreeSet<Path>>,
}

/// The numbers left in one partition.
#[derive(Debug)]
struct Free {
    reusable: VecDeque<u64>,
    next: u64,
    step: u64,
}

impl Free {
    /// `present` are the shards that a listing of the partition shows.
    fn new(
        numbering: &Numbering,
        lane: Lane,
        partition: &Partition,
        format: FileFormat,
        present: &BTreeSet<Shard>,
    ) -> Self {
        let of_partition = |shard: &&Shard| shard.partition == *partition;
        let owned: BTreeSet<u64> = numbering
            .replaced
            .iter()
            .filter(of_partition)
            .map(|shard| shard.number)
            .collect();
        let retired = numbering.retired.get(partition).copied();
        // Under another format the name is another one: it may be someone else's, or given up.
        let usable = |number: &u64| {
            let name = |shard: &&Shard| shard.number == *number && shard.format == format;
            if numbering
                .replaced
                .iter()
                .filter(of_partition)
                .any(|s| name(&s))
            {
                return true;
            }
            retired.is_none_or(|retired| retired < *number) && !present.iter().any(|s| name(&s))
        };
        let reusable = owned.iter().copied().filter(usable).collect();
        let taken = present.iter().filter(of_partition).map(|s| s.number);
        let next = taken
            .chain(owned.iter().copied())
            .chain(retired)
            .max()
            .map_or(0, |greatest| greatest + 1);
        let step = lane.count.max(1);
        Self {
            reusable,
            next: next + lane.index,
            step,
        }
    }

    fn take(&mut self) -> u64 {
        self.reusable.pop_front().unwrap_or_else(|| {
            self.next += self.step;
            self.next - self.step
        })
    }
}

impl Numbers {
    pub fn new(numbering: Numbering, lane: Lane) -> Self {
        Self {
            numbering,
            lane,
            partitions: Mutex::default(),
            others: Mutex::default(),
        }
    }

    pub fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// The objects that were seen beside those to be replaced: of other cycles, or foreign.
    pub fn others(&self) -> BTreeSet<Path> {
        self.others
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The next number; the first call for a partition lists its folder.
    pub async fn next(
        &self,
        destination: &Destination,
        table: &TableName,
        partition: &Partition,
        format: FileFormat,
    ) -> Result<u64> {
        let slot = {
            let mut partitions = self
                .partitions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(partitions.entry(partition.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(free) = slot.as_mut() {
            return Ok(free.take());
        }
        let present = self.look_into(destination, table, partition).await?;
        let free = slot.insert(Free::new(
            &self.numbering,
            self.lane,
            partition,
            format,
            &present,
        ));
        Ok(free.take())
    }

    /// The shards in a partition; whatever else is there is one of the others.
    pub async fn look_into(
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
            let replaced = shard
                .as_ref()
                .is_some_and(|s| self.numbering.replaced.contains(s));
            if !replaced {
                others.insert(object.location);
            }
            present.extend(shard);
        }
        self.others
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(others);
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
        numbering: &Numbering,
        format: FileFormat,
        present: &BTreeSet<Shard>,
    ) -> [u64; 4] {
        let mut free = Free::new(
            numbering,
            Lane::ONLY,
            &Partition::default(),
            format,
            present,
        );
        std::array::from_fn(|_| free.take())
    }

    #[test]
    fn a_fresh_partition_counts_from_zero_and_an_old_one_goes_on() {
        let fresh = Numbering::default();
        let parquet = FileFormat::Parquet;
        assert_eq!(first_four(&fresh, parquet, &BTreeSet::new()), [0, 1, 2, 3]);
        let present = shards(&[0, 4], parquet);
        assert_eq!(first_four(&fresh, parquet, &present), [5, 6, 7, 8]);
        let other_format = shards(&[0], FileFormat::Json);
        assert_eq!(first_four(&fresh, parquet, &other_format), [1, 2, 3, 4]);
    }

    #[test]
    fn a_replacement_takes_its_predecessors_names_in_order() {
        let numbering = Numbering {
            replaced: shards(&[1, 3], FileFormat::Parquet),
            retired: BTreeMap::new(),
        };
        let present = shards(&[0, 1, 3, 5], FileFormat::Parquet);
        let numbers = first_four(&numbering, FileFormat::Parquet, &present);
        assert_eq!(numbers, [1, 3, 6, 7]);
    }

    #[test]
    fn writers_side_by_side_never_take_the_same_number() {
        let numbering = Numbering {
            replaced: shards(&[0, 3], FileFormat::Parquet),
            retired: BTreeMap::from([(Partition::default(), 1)]),
        };
        let afresh = numbering.afresh();
        let present = shards(&[0, 3, 4], FileFormat::Parquet);
        let mut taken = Vec::new();
        for index in 0..3 {
            let lane = Lane { index, count: 3 };
            let partition = Partition::default();
            let mut free = Free::new(&afresh, lane, &partition, FileFormat::Parquet, &present);
            taken.extend([free.take(), free.take()]);
        }
        assert_eq!(taken, [5, 8, 6, 9, 7, 10]);
    }

    #[test]
    fn a_number_given_up_never_comes_back() {
        let numbering = Numbering {
            replaced: shards(&[0], FileFormat::Parquet),
            retired: BTreeMap::from([(Partition::default(), 2)]),
        };
        let present = shards(&[0], FileFormat::Parquet);
        let numbers = first_four(&numbering, FileFormat::Parquet, &present);
        assert_eq!(numbers, [0, 3, 4, 5]);
    }

    #[test]
    fn a_name_given_up_with_its_format_does_not_come_back_with_it() {
        let numbering = Numbering {
            replaced: shards(&[0], FileFormat::Json),
            retired: BTreeMap::from([(Partition::default(), 0)]),
        };
        let present = shards(&[0], FileFormat::Json);
        let back = first_four(&numbering, FileFormat::Parquet, &present);
        assert_eq!(back, [1, 2, 3, 4]);
        let same = first_four(&numbering, FileFormat::Json, &present);
        assert_eq!(same, [0, 1, 2, 3]);
    }

    #[test]
    fn a_foreign_file_under_a_name_of_the_new_format_is_not_overwritten() {
        let numbering = Numbering {
            replaced: shards(&[0, 1], FileFormat::Json),
            retired: BTreeMap::new(),
        };
        let mut present = shards(&[0, 1], FileFormat::Json);
        present.extend(shards(&[0], FileFormat::Parquet));
        let numbers = first_four(&numbering, FileFormat::Parquet, &present);
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
}
