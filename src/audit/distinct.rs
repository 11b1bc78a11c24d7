//! Values that no two rows have: hashes of 128 bits in a set, and beyond the memory for it in sorted records.
//!
//! ```text
//! values ─hash→ set ──────────────────────→ a row whose hash is there breaks the rule
//!                └no room→ (hash, number of the row), sorted; the rows in a spill, to be read back
//! ```

use std::collections::{BinaryHeap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{FieldRef, Float64Type, Schema};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::StreamExt;

use crate::audit::failing_rows::FailingRows;
use crate::audit::row_spill::RowSpill;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::record_sorter::RecordSorter;
use crate::row_hash::{add_hashes, column_states, mixed};
use crate::spill_folder::SpillFolder;

/// The width of a record: a hash, and the number of its row.
const RECORD_BYTES: usize = size_of::<u128>() + size_of::<u64>();

/// The bytes of one bucket of the set: a hash, and a byte of control.
const BUCKET_BYTES: usize = size_of::<u128>() + 1;

/// Passes on the lower half of a hash.
#[derive(Default)]
struct Passed(u64);

impl Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut half = [0; 8];
        let count = bytes.len().min(8);
        half[..count].copy_from_slice(&bytes[..count]);
        self.0 = u64::from_le_bytes(half);
    }

    fn write_u128(&mut self, hash: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is enough")]
        let lower = hash as u64;
        self.0 = lower;
    }
}

type HashSetOf = HashSet<u128, BuildHasherDefault<Passed>>;

/// The resources of one set of values.
pub(super) struct DistinctResources {
    pub max_bytes: usize,
    pub reservation: MemoryReservation,
    pub runtime: Arc<RuntimeEnv>,
    pub folder: Option<Arc<SpillFolder>>,
}

/// The values of a rule that no two rows have.
pub(super) struct DistinctValues {
    seen: HashSetOf,
    resources: DistinctResources,
    sorted: Option<SortedValues>,
}

/// The values that the memory has no room for.
struct SortedValues {
    sorter: RecordSorter,
    /// The number of rows since the memory was full.
    rows: u64,
    /// These rows: the columns that are kept, then those of the keys.
    spill: RowSpill,
    kept_columns: usize,
}

/// Rows with what is compared and what is shown of them.
pub(super) struct ComparedRows<'a> {
    /// The values that no two rows have.
    pub values: &'a RecordBatch,
    /// The rows to be kept if they break the rule.
    pub rows: &'a RecordBatch,
    /// The columns that reports have of such rows.
    pub keys: &'a RecordBatch,
}

impl DistinctValues {
    pub(super) fn new(resources: DistinctResources) -> Self {
        Self {
            seen: HashSetOf::default(),
            resources,
            sorted: None,
        }
    }

    /// Adds rows, and counts those whose values an earlier one has as far as that is known yet.
    pub(super) fn add(&mut self, rows: &ComparedRows<'_>, failing: &mut FailingRows) -> Result<()> {
        let hashes = hashes(rows.values)?;
        if self.sorted.is_none() && !self.reserve(hashes.len()) {
            self.begin_sorting()?;
        }
        if let Some(sorted) = &mut self.sorted {
            return sorted.add(&hashes, rows, failing.keeps_rows());
        }
        let mut repeated = Vec::new();
        for (row, hash) in (0..).zip(&hashes) {
            if let Some(hash) = hash
                && !self.seen.insert(*hash)
            {
                failing.count += 1;
                repeated.push(row);
            }
        }
        repeated.truncate(failing.wanted());
        if repeated.is_empty() {
            return Ok(());
        }
        let repeated = UInt32Array::from(repeated);
        let taken = |batch| {
            take_record_batch(batch, &repeated).map_err(|error| from_datafusion(error.into()))
        };
        failing.keep(&taken(rows.rows)?, Some(&taken(rows.keys)?))
    }

    /// Makes room in the set for further values. Returns false if there is no memory for it.
    fn reserve(&mut self, rows: usize) -> bool {
        let needed = self.seen.len() + rows;
        if needed <= self.seen.capacity() {
            return true;
        }
        let bytes = set_bytes(needed);
        let held = self.resources.reservation.size();
        if bytes > self.resources.max_bytes || self.resources.reservation.try_grow(bytes).is_err() {
            return false;
        }
        self.seen.reserve(rows);
        // While it grew, the set was there twice.
        self.resources.reservation.shrink(held);
        true
    }

    fn begin_sorting(&mut self) -> Result<()> {
        let seen = std::mem::take(&mut self.seen);
        self.resources.reservation.free();
        let reservation = self.resources.reservation.new_empty();
        let mut sorter =
            RecordSorter::new(RECORD_BYTES, self.resources.max_bytes, vec![reservation])
                .spilling_to(self.resources.folder.clone());
        for hash in seen {
            sorter.push(&record(hash, 0))?;
        }
        self.sorted = Some(SortedValues {
            sorter,
            rows: 0,
            spill: RowSpill::new(Arc::clone(&self.resources.runtime)),
            kept_columns: 0,
        });
        Ok(())
    }

    /// Counts the rows that break the rule and were not known as such yet.
    pub(super) async fn finish(&mut self, failing: &mut FailingRows) -> Result<()> {
        self.seen = HashSetOf::default();
        self.resources.reservation.free();
        match self.sorted.take() {
            None => Ok(()),
            Some(sorted) => sorted.finish(failing).await,
        }
    }
}

impl SortedValues {
    fn add(
        &mut self,
        hashes: &[Option<u128>],
        rows: &ComparedRows<'_>,
        keeps_rows: bool,
    ) -> Result<()> {
        for hash in hashes {
            self.rows += 1;
            if let Some(hash) = hash {
                self.sorter.push(&record(*hash, self.rows))?;
            }
        }
        let kept: &[_] = match keeps_rows {
            true => rows.rows.columns(),
            false => &[],
        };
        self.kept_columns = kept.len();
        let kept_fields = rows.rows.schema_ref().fields().iter().take(kept.len());
        let fields = kept_fields.chain(rows.keys.schema_ref().fields().iter());
        let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<FieldRef>>()));
        let columns = kept.iter().chain(rows.keys.columns()).cloned().collect();
        let batch =
            RecordBatch::try_new(schema, columns).map_err(|error| from_datafusion(error.into()))?;
        self.spill.add(&batch)
    }

    async fn finish(self, failing: &mut FailingRows) -> Result<()> {
        let wanted = failing.wanted();
        let mut repeated: BinaryHeap<u64> = BinaryHeap::new();
        let mut sorted = self.sorter.finish()?;
        let mut last: Option<[u8; 16]> = None;
        while let Some(record) = sorted.next()? {
            let (hash, row) = record.split_at(size_of::<u128>());
            let hash: [u8; 16] = hash.try_into().map_err(|_| no_record())?;
            let row = u64::from_be_bytes(row.try_into().map_err(|_| no_record())?);
            if last.replace(hash) != Some(hash) {
                continue;
            }
            failing.count += 1;
            if wanted > 0 {
                repeated.push(row);
                if repeated.len() > wanted {
                    repeated.pop();
                }
            }
        }
        drop(sorted);
        let repeated = repeated.into_sorted_vec();
        let spilled = self.spill.finish(Vec::new())?;
        let Some(file) = spilled.file.clone().filter(|_| !repeated.is_empty()) else {
            return Ok(());
        };
        let read = spilled.read(file).map_err(from_datafusion)?;
        keep_rows(read, &repeated, self.kept_columns, failing).await
    }
}

/// Keeps the rows of these numbers, which begin at 1 and are in order.
async fn keep_rows(
    mut read: SendableRecordBatchStream,
    numbers: &[u64],
    kept_columns: usize,
    failing: &mut FailingRows,
) -> Result<()> {
    let mut numbers = numbers.iter().peekable();
    let mut before = 0;
    while let (Some(batch), Some(_)) = (read.next().await, numbers.peek()) {
        let batch = batch.map_err(from_datafusion)?;
        let end = before + batch.num_rows() as u64;
        let mut indexes = Vec::new();
        while let Some(number) = numbers.next_if(|number| **number <= end) {
            indexes.push(u32::try_from(number - before - 1).unwrap_or(u32::MAX));
        }
        before = end;
        if indexes.is_empty() {
            continue;
        }
        let taken = take_record_batch(&batch, &UInt32Array::from(indexes));
        let taken = taken.map_err(|error| from_datafusion(error.into()))?;
        let kept: Vec<usize> = (0..kept_columns).collect();
        let keys: Vec<usize> = (kept_columns..taken.num_columns()).collect();
        let project = |columns: &[usize]| {
            taken
                .project(columns)
                .map_err(|error| from_datafusion(error.into()))
        };
        failing.keep(&project(&kept)?, Some(&project(&keys)?))?;
    }
    Ok(())
}

fn no_record() -> Error {
    Error::internal("a record of values has another width")
}

fn record(hash: u128, row: u64) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..size_of::<u128>()].copy_from_slice(&hash.to_be_bytes());
    record[size_of::<u128>()..].copy_from_slice(&row.to_be_bytes());
    record
}

/// Returns the bytes of a set with room for so many hashes: at most 7 of 8 buckets are in use.
fn set_bytes(hashes: usize) -> usize {
    let buckets = (hashes.saturating_mul(8) / 7 + 1).next_power_of_two();
    buckets.saturating_mul(BUCKET_BYTES)
}

/// Returns a column whose zeros are all the same: 0.0 equals -0.0 in SQL, and has other bits.
fn equal_zeros(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<Float64Type>() {
        Some(floats) => Arc::new(floats.unary::<_, Float64Type>(|value| value + 0.0)),
        None => Arc::clone(column),
    }
}

/// Returns the hash of each row, `None` if one of its values is NULL.
fn hashes(values: &RecordBatch) -> Result<Vec<Option<u128>>> {
    let mut sums = vec![[0; 2]; values.num_rows()];
    for (index, column) in values.columns().iter().enumerate() {
        add_hashes(&equal_zeros(column), &column_states(index), &mut sums)?;
    }
    let nullable: Vec<_> = values
        .columns()
        .iter()
        .filter(|column| column.null_count() > 0)
        .collect();
    let has_null = |row: usize| nullable.iter().any(|column| column.is_null(row));
    let hashes = sums.into_iter().enumerate();
    Ok(hashes
        .map(|(row, sums)| (!has_null(row)).then(|| mixed(sums)))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion::arrow::array::{Float64Array, Int64Array, StringViewArray};
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::execution::memory_pool::MemoryConsumer;
    use serde_json::json;

    use super::*;
    use crate::audit::failing_rows::KeptRows;

    /// Rows with a value, NULL for 0, and their number.
    fn batch(values: &[i64], first: i64) -> RecordBatch {
        let texts = values
            .iter()
            .map(|value| (*value > 0).then(|| format!("a value of some length: {value}")));
        let texts: ArrayRef = Arc::new(texts.collect::<StringViewArray>());
        let numbers = (first..).take(values.len());
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter_with_nullable([
            ("value", texts, true),
            ("number", numbers, true),
        ])
        .unwrap()
    }

    fn resources(max_bytes: usize) -> DistinctResources {
        let runtime = Arc::new(RuntimeEnv::default());
        DistinctResources {
            max_bytes,
            reservation: MemoryConsumer::new("test").register(&runtime.memory_pool),
            runtime,
            folder: None,
        }
    }

    /// Returns the number of rows that repeat a value, and the numbers of those that are kept.
    async fn repeated(values: &[i64], max_bytes: usize, rows: bool) -> (u64, Vec<i64>, bool) {
        let mut distinct = DistinctValues::new(resources(max_bytes));
        let mut failing = FailingRows::new(KeptRows {
            rows,
            max_bytes: 1 << 20,
        });
        let mut first = 0;
        for part in values.chunks(777) {
            let rows = batch(part, first);
            first += part.len() as i64;
            let compared = rows.project(&[0]).unwrap();
            let keys = rows.project(&[1]).unwrap();
            let rows = ComparedRows {
                values: &compared,
                rows: &rows,
                keys: &keys,
            };
            distinct.add(&rows, &mut failing).unwrap();
        }
        let is_sorted = distinct.sorted.is_some();
        distinct.finish(&mut failing).await.unwrap();
        let keys = failing.take_keys();
        assert!(
            keys.iter()
                .all(|key| key.len() == 1 && key["number"].is_i64())
        );
        let numbers: Vec<i64> = match rows {
            false => keys
                .iter()
                .map(|key| key["number"].as_i64().unwrap())
                .collect(),
            true => {
                let kept = failing.kept_batches();
                let numbers = kept.iter().flat_map(|batch| {
                    let numbers = batch.column_by_name("number").unwrap();
                    numbers.as_primitive::<Int64Type>().values().to_vec()
                });
                numbers.collect()
            }
        };
        assert_eq!(json!(keys[0]["number"]), json!(numbers[0]));
        (failing.count, numbers, is_sorted)
    }

    #[tokio::test]
    async fn values_are_compared_in_memory_and_beyond_it() {
        // Every 7th value is one of the first hundred, and every 50th is NULL.
        let values: Vec<i64> = (1..20_000)
            .map(|n| match n {
                n if n % 50 == 0 => 0,
                n if n % 7 == 0 => n % 100 + 1,
                n => n,
            })
            .collect();
        let mut seen = BTreeSet::new();
        let numbered = values.iter().enumerate();
        let expected: Vec<i64> = numbered
            .filter(|(_, value)| **value > 0 && !seen.insert(**value))
            .map(|(number, _)| number as i64)
            .collect();
        for (max_bytes, rows) in [
            (1 << 20, true),
            (1 << 20, false),
            (100_000, true),
            (100_000, false),
            (1, true),
            (1, false),
        ] {
            let (count, kept, is_sorted) = repeated(&values, max_bytes, rows).await;
            assert_eq!(count, expected.len() as u64, "{max_bytes}");
            let shown = if rows { 100 } else { 10 };
            assert_eq!(kept, expected[..shown], "{max_bytes}");
            assert_eq!(is_sorted, max_bytes < 1 << 20);
        }
    }

    #[test]
    fn zeros_are_equal() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, 1.0, -1.0]));
        let values = RecordBatch::try_from_iter([("x", floats)]).unwrap();
        let hashes = hashes(&values).unwrap();
        assert_eq!(hashes[0], hashes[1]);
        assert_ne!(hashes[2], hashes[3]);
    }

    #[tokio::test]
    async fn memory_is_given_back() {
        let resources = resources(1 << 20);
        let pool = Arc::clone(&resources.runtime.memory_pool);
        let mut distinct = DistinctValues::new(resources);
        let mut failing = FailingRows::new(KeptRows::NONE);
        let values: Vec<i64> = (1..10_000).collect();
        let rows = batch(&values, 0);
        let compared = rows.project(&[0]).unwrap();
        let rows = ComparedRows {
            values: &compared,
            rows: &rows,
            keys: &compared,
        };
        distinct.add(&rows, &mut failing).unwrap();
        assert_eq!(pool.reserved(), set_bytes(values.len()));
        distinct.finish(&mut failing).await.unwrap();
        assert_eq!(pool.reserved(), 0);
    }
}
