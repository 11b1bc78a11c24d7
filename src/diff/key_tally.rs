//! The keys of all rows of both sides, counted: those that several rows have are no keys.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use datafusion::execution::memory_pool::MemoryReservation;
use foldhash::quality::FixedState;

use crate::diff::row_hasher::HashedRows;
use crate::error::{Error, Result};
use crate::record_sorter::{RecordSorter, SortedRecords};

/// The bytes of a key among those that were seen, in a table that is half full.
const SEEN_BYTES: usize = 2 * (size_of::<u64>() + 1);

/// The maximum number of examples of keys that several rows have.
const MAX_EXAMPLES: usize = 3;

/// The memory of a tally, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct TallyMemory {
    /// That of the keys to sort.
    pub sorted: usize,
    /// That of the keys that were seen, by which examples are found.
    pub seen: usize,
}

/// Counts the keys of one side.
pub(super) struct KeyTally {
    /// The indexes of the columns of the key.
    key: Vec<usize>,
    sorter: RecordSorter,
    seen: HashSet<u64, FixedState>,
    max_seen: usize,
    seen_reservations: Vec<MemoryReservation>,
    /// By the bytes that order keys.
    examples: BTreeMap<Vec<u8>, KeyExample>,
    nulls: u64,
}

/// A key that several rows have.
#[derive(Debug, Clone)]
pub(super) struct KeyExample {
    pub hash: u128,
    /// The values of the key, one row each.
    pub values: Vec<ArrayRef>,
}

/// The counted keys of one side.
pub(super) struct TalliedKeys {
    pub sorted: SortedRecords,
    pub examples: Vec<KeyExample>,
    /// The number of rows with a NULL in the key.
    pub nulls: u64,
}

impl KeyTally {
    /// Creates a tally. `reserve` registers a consumer of memory.
    pub(super) fn new(
        key: Vec<usize>,
        memory: TallyMemory,
        reserve: impl Fn() -> Vec<MemoryReservation>,
    ) -> Self {
        Self {
            key,
            sorter: RecordSorter::new(size_of::<u128>(), memory.sorted, reserve()),
            seen: HashSet::with_hasher(FixedState::default()),
            max_seen: memory.seen / SEEN_BYTES,
            seen_reservations: reserve(),
            examples: BTreeMap::new(),
            nulls: 0,
        }
    }

    /// Adds the keys of rows.
    pub(super) fn add(&mut self, rows: &HashedRows) -> Result<()> {
        let mut repeated = Vec::new();
        for (row, key) in rows.keys.iter().enumerate() {
            let Some(hash) = key else {
                self.nulls += 1;
                continue;
            };
            self.sorter.push(&hash.to_be_bytes())?;
            if self.has_seen(*hash) {
                repeated.push((row as u32, *hash));
            }
        }
        if repeated.is_empty() {
            return Ok(());
        }
        self.add_examples(rows, &repeated).map_err(|error| {
            Error::internal("keys of several rows cannot be read").with_source(error)
        })
    }

    /// Returns true if the key has been seen before. Beyond the memory, keys are no longer noted.
    fn has_seen(&mut self, hash: u128) -> bool {
        let half = (hash >> 64) as u64;
        if self.seen.len() >= self.max_seen {
            return self.seen.contains(&half);
        }
        if self.seen.len() == self.seen.capacity() {
            let bytes = (2 * self.seen.len()).max(1 << 10) * SEEN_BYTES;
            for reservation in &self.seen_reservations {
                reservation.resize(bytes);
            }
        }
        !self.seen.insert(half)
    }

    fn add_examples(
        &mut self,
        rows: &HashedRows,
        repeated: &[(u32, u128)],
    ) -> Result<(), ArrowError> {
        let indexes: UInt32Array = repeated.iter().map(|(row, _)| Some(*row)).collect();
        let values: Vec<ArrayRef> = self
            .key
            .iter()
            .map(|column| take(&rows.values[*column], &indexes, None))
            .collect::<Result<_, _>>()?;
        let encoded = ordered(&values)?;
        for (index, ((_, hash), bytes)) in repeated.iter().zip(encoded).enumerate() {
            let is_first = self.examples.len() < MAX_EXAMPLES
                || self
                    .examples
                    .last_key_value()
                    .is_some_and(|(last, _)| bytes < *last);
            if !is_first || self.examples.contains_key(&bytes) {
                continue;
            }
            let values = values.iter().map(|array| array.slice(index, 1)).collect();
            let example = KeyExample {
                hash: *hash,
                values,
            };
            self.examples.insert(bytes, example);
            if self.examples.len() > MAX_EXAMPLES {
                self.examples.pop_last();
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<TalliedKeys> {
        Ok(TalliedKeys {
            sorted: self.sorter.finish()?,
            examples: self.examples.into_values().collect(),
            nulls: self.nulls,
        })
    }
}

/// Returns bytes for each row that have the order of its values.
pub(super) fn ordered(values: &[ArrayRef]) -> Result<Vec<Vec<u8>>, ArrowError> {
    let fields = values
        .iter()
        .map(|array| SortField::new(array.data_type().clone()));
    let rows = RowConverter::new(fields.collect())?.convert_columns(values)?;
    Ok(rows.iter().map(|row| row.as_ref().to_vec()).collect())
}

/// The keys of both sides, each once and in order, with the number of rows of each side.
pub(super) struct KeyPairs {
    sides: [SortedKeys; 2],
    /// The number of keys that one row of each side has.
    pub matched: u64,
    /// For each side, the number of keys that several rows have, and their rows without one for each.
    pub duplicates: [(u64, u64); 2],
    /// For each side, the examples with the number of their rows.
    pub examples: [Vec<(KeyExample, u64)>; 2],
}

struct SortedKeys {
    records: SortedRecords,
    next: Option<u128>,
    examples: Vec<KeyExample>,
}

impl SortedKeys {
    fn new(keys: TalliedKeys) -> Result<Self> {
        let mut sorted = Self {
            records: keys.sorted,
            next: None,
            examples: keys.examples,
        };
        sorted.advance()?;
        Ok(sorted)
    }

    fn advance(&mut self) -> Result<()> {
        let record = self.records.next()?;
        self.next = record
            .and_then(|record| record.try_into().ok())
            .map(u128::from_be_bytes);
        Ok(())
    }

    /// Takes all rows of `key`, and returns their number.
    fn take(&mut self, key: u128) -> Result<u64> {
        let mut rows = 0;
        while self.next == Some(key) {
            rows += 1;
            self.advance()?;
        }
        Ok(rows)
    }
}

impl KeyPairs {
    pub(super) fn new(left: TalliedKeys, right: TalliedKeys) -> Result<Self> {
        Ok(Self {
            sides: [SortedKeys::new(left)?, SortedKeys::new(right)?],
            matched: 0,
            duplicates: [(0, 0); 2],
            examples: [Vec::new(), Vec::new()],
        })
    }

    /// Goes on to `key`, which is beyond the one before, and returns the number of its rows on each side.
    pub(super) fn advance_to(&mut self, key: u128) -> Result<[u64; 2]> {
        while let Some(next) = self.next_key() {
            if next > key {
                break;
            }
            let rows = self.take(next)?;
            if next == key {
                return Ok(rows);
            }
        }
        Ok([0, 0])
    }

    /// Goes on to the end.
    pub(super) fn finish(&mut self) -> Result<()> {
        while let Some(next) = self.next_key() {
            self.take(next)?;
        }
        Ok(())
    }

    fn next_key(&self) -> Option<u128> {
        let next = self.sides.iter().filter_map(|side| side.next);
        next.min()
    }

    fn take(&mut self, key: u128) -> Result<[u64; 2]> {
        let rows = [self.sides[0].take(key)?, self.sides[1].take(key)?];
        self.matched += u64::from(rows == [1, 1]);
        for (side, rows) in rows.into_iter().enumerate() {
            if rows < 2 {
                continue;
            }
            let (keys, extra_rows) = &mut self.duplicates[side];
            *keys += 1;
            *extra_rows += rows - 1;
            let mut examples = self.sides[side].examples.iter();
            if let Some(example) = examples.find(|example| example.hash == key) {
                self.examples[side].push((example.clone(), rows));
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, StringViewArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn tally(keys: &[Option<u64>], max_seen: usize) -> TalliedKeys {
        let memory = TallyMemory {
            sorted: 1 << 10,
            seen: max_seen * SEEN_BYTES,
        };
        let mut tally = KeyTally::new(vec![0], memory, Vec::new);
        let ids = keys.iter().map(|key| key.map(|key| format!("k{key}")));
        let values: ArrayRef = Arc::new(StringViewArray::from_iter(ids));
        let hash = |key: u64| u128::from(key) << 64;
        tally
            .add(&HashedRows {
                values: vec![values],
                rows: vec![0; keys.len()],
                keys: keys.iter().map(|key| key.map(hash)).collect(),
            })
            .unwrap();
        tally.finish().unwrap()
    }

    #[test]
    fn keys_are_counted_on_both_sides() {
        let left = tally(&[Some(5), Some(1), None, Some(5), Some(7), Some(5)], 100);
        let right = tally(&[Some(5), Some(1), Some(9)], 100);
        assert_eq!((left.nulls, right.nulls), (1, 0));
        let mut pairs = KeyPairs::new(left, right).unwrap();
        assert_eq!(pairs.advance_to(5 << 64).unwrap(), [3, 1]);
        assert_eq!(pairs.advance_to(6 << 64).unwrap(), [0, 0]);
        assert_eq!(pairs.advance_to(7 << 64).unwrap(), [1, 0]);
        pairs.finish().unwrap();
        assert_eq!(pairs.matched, 1);
        assert_eq!(pairs.duplicates, [(1, 2), (0, 0)]);
        let (example, rows) = &pairs.examples[0][0];
        assert_eq!(example.values[0].as_string_view().value(0), "k5");
        assert_eq!(*rows, 3);
    }

    #[test]
    fn keys_are_counted_also_if_they_are_not_noted() {
        let keys: Vec<Option<u64>> = (0..3000).map(|key| Some(key % 1000)).collect();
        let mut pairs = KeyPairs::new(tally(&keys, 10), tally(&[], 10)).unwrap();
        pairs.finish().unwrap();
        assert_eq!(pairs.duplicates[0], (1000, 2000));
        assert_eq!(pairs.examples[0].len(), MAX_EXAMPLES);
    }

    #[test]
    fn the_order_of_keys_is_that_of_their_values() {
        let ids: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![10, 9, -1]));
        let mut order: Vec<(Vec<u8>, i64)> = ordered(std::slice::from_ref(&ids))
            .unwrap()
            .into_iter()
            .zip(ids.as_primitive::<Int64Type>().values().iter().copied())
            .collect();
        order.sort();
        let ids: Vec<i64> = order.into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, [-1, 9, 10]);
    }
}
