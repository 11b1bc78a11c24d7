//! Matches the rows that differ by their keys.
//!
//! ```text
//! stored rows of both sides ─records of hashes, sorted by key→ groups of a key ─→ changed, only left, only right
//!                           keys of all rows, counted ─────────┘
//! ```
//! Rows are matched only by a key that one row of each side has. Those of any other key are compared as a
//! whole, each with one of the same hash: no row is joined with several ones.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use datafusion::execution::memory_pool::MemoryReservation;

use crate::diff::key_tally::{KeyPairs, ordered};
use crate::diff::row_hasher::HashedRows;
use crate::diff::row_store::StoredRows;
use crate::error::{Error, Result};
use crate::record_sorter::RecordSorter;
use crate::row_hash::column_hashes;

/// The bytes by which keys are put in order for samples: keys that are equal in them are in any order.
const ORDER_BYTES: usize = 24;

/// The bytes of a record before the hashes of the columns.
const HEAD_BYTES: usize = 1 + 16 + 16 + 1 + 4 + 4 + ORDER_BYTES;

/// A row of one side: its batch, and its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowPosition {
    pub batch: u32,
    pub row: u32,
}

/// The order of samples: that of the keys, then any.
type SampleOrder = ([u8; ORDER_BYTES], [u8; 32]);

/// The rows that differ, matched.
#[derive(Debug, Default)]
pub(super) struct MatchedRows {
    pub changed: u64,
    /// The rows of each side without a match.
    pub only: [u64; 2],
    /// The number of changed values of each column.
    pub columns: Vec<u64>,
    pub changed_samples: BTreeMap<SampleOrder, [RowPosition; 2]>,
    pub only_samples: [BTreeMap<SampleOrder, RowPosition>; 2],
    /// The first changed row of each column that has one.
    first_of_column: Vec<Option<(SampleOrder, [RowPosition; 2])>>,
    max_samples: usize,
}

/// A record of a row that differs.
#[derive(Debug, Clone)]
struct Record {
    has_null_key: bool,
    key: u128,
    row: u128,
    side: usize,
    position: RowPosition,
    order: SampleOrder,
    columns: Vec<u64>,
}

impl Record {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.push(u8::from(self.has_null_key));
        bytes.extend_from_slice(&self.key.to_be_bytes());
        bytes.extend_from_slice(&self.row.to_be_bytes());
        bytes.push(u8::from(self.side == 1));
        bytes.extend_from_slice(&self.position.batch.to_be_bytes());
        bytes.extend_from_slice(&self.position.row.to_be_bytes());
        bytes.extend_from_slice(&self.order.0);
        for hash in &self.columns {
            bytes.extend_from_slice(&hash.to_be_bytes());
        }
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let torn = || Error::internal("a record of a row that differs is torn");
        let (flag, rest) = bytes.split_first().ok_or_else(torn)?;
        let (key, rest) = rest.split_first_chunk::<16>().ok_or_else(torn)?;
        let (row, rest) = rest.split_first_chunk::<16>().ok_or_else(torn)?;
        let (side, rest) = rest.split_first().ok_or_else(torn)?;
        let (batch, rest) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
        let (index, rest) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
        let (order, rest) = rest.split_first_chunk::<ORDER_BYTES>().ok_or_else(torn)?;
        let (hashes, _) = rest.as_chunks::<8>();
        let mut tie = [0; 32];
        tie[..16].copy_from_slice(key);
        tie[16..].copy_from_slice(row);
        Ok(Self {
            has_null_key: *flag != 0,
            key: u128::from_be_bytes(*key),
            row: u128::from_be_bytes(*row),
            side: usize::from(*side),
            position: RowPosition {
                batch: u32::from_be_bytes(*batch),
                row: u32::from_be_bytes(*index),
            },
            order: (*order, tie),
            columns: hashes
                .iter()
                .map(|hash| u64::from_be_bytes(*hash))
                .collect(),
        })
    }
}

/// Sorts the rows that differ by their keys.
pub(super) struct RecordsByKey {
    sorter: RecordSorter,
    columns: usize,
    key: Vec<usize>,
    bytes: Vec<u8>,
}

impl RecordsByKey {
    /// Creates an empty set of records of rows with this number of columns. `key` has the indexes of those
    /// of the key.
    pub(super) fn new(
        columns: usize,
        key: Vec<usize>,
        max_bytes: usize,
        reservations: Vec<MemoryReservation>,
    ) -> Self {
        // Only the values of keys are compared by column.
        let hashes = if key.is_empty() { 0 } else { columns };
        Self {
            sorter: RecordSorter::new(HEAD_BYTES + 8 * hashes, max_bytes, reservations),
            columns: hashes,
            key,
            bytes: Vec::new(),
        }
    }

    /// Adds the stored rows of a side, 0 for the left one. `hash` hashes a batch of them.
    pub(super) fn add(
        &mut self,
        side: usize,
        stored: &mut StoredRows,
        hash: impl Fn(Vec<ArrayRef>) -> Result<HashedRows>,
    ) -> Result<()> {
        for index in 0..stored.batches() {
            let rows = hash(stored.batch(index)?.columns().to_vec())?;
            let columns: Vec<Vec<u64>> = (0..self.columns)
                .map(|column| column_hashes(&rows.values[column], column))
                .collect::<Result<_>>()?;
            let key: Vec<ArrayRef> = self
                .key
                .iter()
                .map(|column| ArrayRef::clone(&rows.values[*column]))
                .collect();
            let orders = match key.is_empty() {
                true => Vec::new(),
                false => ordered(&key)
                    .map_err(|error| Error::internal("keys have no order").with_source(error))?,
            };
            for (row, row_hash) in rows.rows.iter().enumerate() {
                let key = match rows.keys.get(row) {
                    Some(key) => *key,
                    None => Some(*row_hash),
                };
                let mut order = [0; ORDER_BYTES];
                if let Some(bytes) = orders.get(row) {
                    let len = bytes.len().min(ORDER_BYTES);
                    order[..len].copy_from_slice(&bytes[..len]);
                }
                let record = Record {
                    has_null_key: key.is_none(),
                    key: key.unwrap_or_default(),
                    row: *row_hash,
                    side,
                    position: RowPosition {
                        batch: index as u32,
                        row: row as u32,
                    },
                    order: (order, [0; 32]),
                    columns: columns.iter().map(|hashes| hashes[row]).collect(),
                };
                record.write(&mut self.bytes);
                self.sorter.push(&self.bytes)?;
            }
        }
        Ok(())
    }

    /// Matches the rows by their keys, which `pairs` counts, or as a whole without keys.
    pub(super) fn matched(
        self,
        pairs: Option<&mut KeyPairs>,
        max_samples: usize,
    ) -> Result<MatchedRows> {
        let mut matched = MatchedRows {
            columns: vec![0; self.columns],
            first_of_column: vec![None; self.columns],
            max_samples,
            ..MatchedRows::default()
        };
        let mut counts = pairs;
        let mut sorted = self.sorter.finish()?;
        let mut group: Option<Group> = None;
        while let Some(bytes) = sorted.next()? {
            let record = Record::read(bytes)?;
            let is_same = group.as_ref().is_some_and(|group| group.has(&record));
            if !is_same {
                if let Some(ended) = group.take() {
                    ended.end(&mut matched);
                }
                let is_pair = match &mut counts {
                    Some(pairs) if !record.has_null_key => pairs.advance_to(record.key)? == [1, 1],
                    _ => false,
                };
                group = Some(Group::new(&record, is_pair));
            }
            if let Some(group) = &mut group {
                group.add(record, &mut matched);
            }
        }
        if let Some(ended) = group {
            ended.end(&mut matched);
        }
        if let Some(pairs) = counts {
            pairs.finish()?;
        }
        Ok(matched)
    }
}

/// The rows of one key that differ.
struct Group {
    has_null_key: bool,
    key: u128,
    /// True if one row of each side has the key.
    is_pair: bool,
    /// The rows with one hash: a row of each side, and their numbers.
    equal: [Option<Record>; 2],
    equal_counts: [u64; 2],
    /// The rows of a pair.
    pair: [Option<Record>; 2],
}

impl Group {
    fn new(first: &Record, is_pair: bool) -> Self {
        Self {
            has_null_key: first.has_null_key,
            key: first.key,
            is_pair,
            equal: [None, None],
            equal_counts: [0; 2],
            pair: [None, None],
        }
    }

    fn has(&self, record: &Record) -> bool {
        (self.has_null_key, self.key) == (record.has_null_key, record.key)
    }

    fn add(&mut self, record: Record, matched: &mut MatchedRows) {
        let hash = self.equal.iter().flatten().next().map(|equal| equal.row);
        if hash.is_some_and(|hash| hash != record.row) {
            self.end_equal(matched);
        }
        let side = record.side;
        self.equal_counts[side] += 1;
        self.equal[side].get_or_insert(record);
    }

    /// Cancels rows with the same hash.
    fn end_equal(&mut self, matched: &mut MatchedRows) {
        let [left, right] = std::mem::take(&mut self.equal_counts);
        let equal = std::mem::take(&mut self.equal);
        let (side, rows) = match left.cmp(&right) {
            Ordering::Equal => return,
            Ordering::Greater => (0, left - right),
            Ordering::Less => (1, right - left),
        };
        let [left, right] = equal;
        let Some(record) = (if side == 0 { left } else { right }) else {
            return;
        };
        if self.is_pair {
            self.pair[side] = Some(record);
        } else {
            matched.add_only(side, rows, record);
        }
    }

    fn end(mut self, matched: &mut MatchedRows) {
        self.end_equal(matched);
        match self.pair {
            [Some(left), Some(right)] => matched.add_changed(&left, &right),
            [left, right] => {
                for (side, record) in [left, right].into_iter().enumerate() {
                    if let Some(record) = record {
                        matched.add_only(side, 1, record);
                    }
                }
            }
        }
    }
}

impl MatchedRows {
    fn add_only(&mut self, side: usize, rows: u64, record: Record) {
        self.only[side] += rows;
        let samples = &mut self.only_samples[side];
        samples.insert(record.order, record.position);
        if samples.len() > self.max_samples {
            samples.pop_last();
        }
    }

    fn add_changed(&mut self, left: &Record, right: &Record) {
        self.changed += 1;
        let positions = [left.position, right.position];
        let hashes = left.columns.iter().zip(&right.columns);
        for (column, (left_hash, right_hash)) in hashes.enumerate() {
            if left_hash == right_hash {
                continue;
            }
            self.columns[column] += 1;
            let first = &mut self.first_of_column[column];
            if first.as_ref().is_none_or(|(order, _)| left.order < *order) {
                *first = Some((left.order, positions));
            }
        }
        self.changed_samples.insert(left.order, positions);
        if self.changed_samples.len() > self.max_samples {
            self.changed_samples.pop_last();
        }
    }

    /// Adds the first changed row of each column to the samples, unless there are to be none.
    pub(super) fn sample_each_column(&mut self) {
        if self.max_samples > 0 {
            let firsts = self.first_of_column.drain(..).flatten();
            self.changed_samples.extend(firsts);
        }
    }
}
