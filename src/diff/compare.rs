//! Compares the rows of two sides in bounded memory, and reads a definition's rows once.
//!
//! ```text
//! first side  ─hash→ RowSet, sum ┐
//! second side ─hash→ cancels ────┴→ equal sums: identical, and nothing else is read
//!                      └ rows without an equal one → stored
//! first side, again ─hash→ rows that are not cancelled → stored
//! stored rows of both ─matching→ changed, only left, only right, with samples
//! ```
//! The first side is what is published, if one is: it takes less to read twice. If not all of its rows fit
//! into the set, the sums are compared before any row is stored, and rows that differ are found by matching.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::{StreamExt, TryStreamExt};

use crate::diff::key_tally::{KeyPairs, KeyTally, TalliedKeys, TallyMemory};
use crate::diff::matching::{MatchedRows, RecordsByKey};
use crate::diff::prepare::TablePlan;
use crate::diff::row_hasher::{HashedRows, RowHasher};
use crate::diff::row_set::RowSetBuilder;
use crate::diff::row_store::{RowStore, StoredRows};
use crate::diff::side::{ReadSide, TableSide};
use crate::env;
use crate::error::{Error, Result};
use crate::memory_budget::MemoryBudget;
use crate::resident::note_passed;

/// The shares of the memory limit, as divisors: the rows of a side, the keys that are sorted and those that
/// were seen of each side, and the records of rows that differ.
const ROW_SET_SHARE: usize = 8;
const SORTED_KEYS_SHARE: usize = 32;
const SEEN_KEYS_SHARE: usize = 16;
const RECORDS_SHARE: usize = 8;

/// The compared rows of two sides. Pairs are left, right.
pub(super) struct ComparedRows {
    pub rows: [u64; 2],
    pub read: [ReadSide; 2],
    /// Absent without a key.
    pub keys: Option<KeyPairs>,
    /// The rows with a NULL in the key.
    pub null_keys: [u64; 2],
    /// Absent if all rows are identical.
    pub differing: Option<DifferingRows>,
}

/// The rows that differ.
pub(super) struct DifferingRows {
    pub matched: MatchedRows,
    pub stored: [StoredRows; 2],
}

/// One pass over the rows of a side.
struct Pass {
    rows: u64,
    sum: u128,
    read: ReadSide,
}

/// Compares rows.
pub(super) struct RowComparison<'a> {
    sides: [&'a TableSide<'a>; 2],
    plan: &'a TablePlan,
    hasher: Arc<RowHasher>,
    /// The columns that the compared values are in.
    names: BTreeSet<String>,
    pools: Vec<Arc<dyn MemoryPool>>,
    budget: MemoryBudget,
}

impl<'a> RowComparison<'a> {
    pub(super) fn new(
        left: &'a TableSide<'a>,
        right: &'a TableSide<'a>,
        plan: &'a TablePlan,
    ) -> Self {
        let mut pools = vec![left.pool()];
        let other = right.pool();
        if !Arc::ptr_eq(&pools[0], &other) {
            pools.push(other);
        }
        let steps = plan
            .columns
            .iter()
            .filter_map(|column| column.steps.first());
        Self {
            sides: [left, right],
            plan,
            hasher: Arc::new(RowHasher::new(Arc::clone(&plan.columns), &plan.key)),
            names: steps.cloned().collect(),
            budget: MemoryBudget::of(&*pools[0]),
            pools,
        }
    }

    /// Reads both sides and compares their rows.
    pub(super) async fn run(&self, max_samples: usize) -> Result<ComparedRows> {
        let is_right_first = self.sides[0].is_query() && !self.sides[1].is_query();
        let (first, second) = if is_right_first { (1, 0) } else { (0, 1) };
        for side in self.sides {
            side.check().await?;
        }

        let share = |divisor| self.budget.limit() / divisor;
        let mut builder = RowSetBuilder::new(share(ROW_SET_SHARE), self.reserve("rows to compare"));
        let mut first_keys = self.tally();
        let first_pass = self
            .read(first, |rows| {
                rows.rows.iter().for_each(|hash| builder.push(*hash));
                first_keys.iter_mut().try_for_each(|keys| keys.add(rows))
            })
            .await?;
        let first_keys = tallied(first_keys)?;
        let mut set = builder.finish();

        let mut second_keys = self.tally();
        let mut second_store = RowStore::default();
        let second_pass = self
            .read(second, |rows| {
                second_keys.iter_mut().try_for_each(|keys| keys.add(rows))?;
                if !set.is_complete() {
                    return Ok(());
                }
                let kept = indexes_of(rows, |hash| !set.cancel(hash));
                second_store.append(&rows.values, kept)
            })
            .await?;
        let second_keys = tallied(second_keys)?;
        // Rows without values differ in their number only.
        let is_identical = self.plan.columns.is_empty()
            || (first_pass.rows, first_pass.sum) == (second_pass.rows, second_pass.sum);
        let mut stored = [None, None];
        if !is_identical {
            if !set.is_complete() {
                let again = self
                    .read(second, |rows| {
                        let kept = indexes_of(rows, |hash| !set.cancel(hash));
                        second_store.append(&rows.values, kept)
                    })
                    .await?;
                self.check_steady(second, &second_pass, &again)?;
            }
            let mut first_store = RowStore::default();
            let again = self
                .read(first, |rows| {
                    let kept = indexes_of(rows, |hash| set.outlives(hash));
                    first_store.append(&rows.values, kept)
                })
                .await?;
            self.check_steady(first, &first_pass, &again)?;
            stored[first] = Some(first_store.finish()?);
            stored[second] = Some(second_store.finish()?);
        }
        drop(set);

        let in_order = |one, other| {
            if is_right_first {
                [other, one]
            } else {
                [one, other]
            }
        };
        let null_keys = in_order(nulls(first_keys.as_ref()), nulls(second_keys.as_ref()));
        let mut keys = match (first_keys, second_keys) {
            (Some(first), Some(second)) if is_right_first => Some(KeyPairs::new(second, first)?),
            (Some(first), Some(second)) => Some(KeyPairs::new(first, second)?),
            _ => None,
        };
        let differing = match stored {
            [Some(left), Some(right)] => {
                Some(self.matched([left, right], keys.as_mut(), max_samples)?)
            }
            _ => {
                keys.as_mut().map_or(Ok(()), KeyPairs::finish)?;
                None
            }
        };
        let rows = in_order(first_pass.rows, second_pass.rows);
        let read = match is_right_first {
            true => [second_pass.read, first_pass.read],
            false => [first_pass.read, second_pass.read],
        };
        Ok(ComparedRows {
            rows,
            read,
            keys,
            null_keys,
            differing,
        })
    }

    fn matched(
        &self,
        mut stored: [StoredRows; 2],
        keys: Option<&mut KeyPairs>,
        max_samples: usize,
    ) -> Result<DifferingRows> {
        let mut records = RecordsByKey::new(
            self.plan.columns.len(),
            self.plan.key.clone(),
            self.budget.limit() / RECORDS_SHARE,
            self.reserve("rows that differ"),
        );
        for (side, stored) in stored.iter_mut().enumerate() {
            records.add(side, stored, |values| {
                note_passed(values_bytes(&values), self.budget.limit());
                self.hasher.hash_values(values)
            })?;
        }
        let mut matched = records.matched(keys, max_samples)?;
        matched.sample_each_column();
        Ok(DifferingRows { matched, stored })
    }

    /// Reads the rows of a side, 0 for the left one, and gives each batch of them to `take`.
    async fn read(
        &self,
        side: usize,
        mut take: impl FnMut(&HashedRows) -> Result<()>,
    ) -> Result<Pass> {
        let mut rows = self.sides[side].open(&self.names).await?;
        let (mut count, mut sum) = (0, 0_u128);
        let hashing = (&mut rows.stream).map(|batch| {
            let hasher = Arc::clone(&self.hasher);
            let hashed = tokio::task::spawn_blocking(move || hasher.hash(&batch?));
            async move {
                let ended = hashed.await;
                ended.map_err(|error| {
                    Error::internal("hashing rows ended unexpectedly").with_source(error)
                })?
            }
        });
        let mut hashed = hashing.buffered(env::processors());
        while let Some(batch) = hashed.try_next().await? {
            count += batch.rows.len() as u64;
            note_passed(values_bytes(&batch.values), self.budget.limit());
            sum = batch
                .rows
                .iter()
                .fold(sum, |sum, hash| sum.wrapping_add(*hash));
            take(&batch)?;
        }
        drop(hashed);
        let read = rows.finish().await?;
        if let Some(recorded) = self.sides[side].recorded_counts().rows
            && recorded != count
        {
            return Err(Error::data(format!(
                "the published files have {count} rows, recorded as {recorded}"
            ))
            .with_hint("`dayport verify` checks all files of the export"));
        }
        Ok(Pass {
            rows: count,
            sum,
            read,
        })
    }

    /// Checks that a side has the same rows when it is read again.
    fn check_steady(&self, side: usize, before: &Pass, again: &Pass) -> Result<()> {
        if (before.rows, before.sum) == (again.rows, again.sum) {
            return Ok(());
        }
        let functions = self.sides[side].volatile_functions()?;
        let error = Error::data("the rows of one side were others when they were read again");
        Err(match functions.is_empty() {
            true => error.with_hint("did a source change? try again"),
            false => error.with_hint(format!(
                "the definition uses {}: its rows cannot be compared with those of another definition",
                functions.into_iter().collect::<Vec<String>>().join(", ")
            )),
        })
    }

    fn tally(&self) -> Option<KeyTally> {
        let limit = self.budget.limit();
        let memory = TallyMemory {
            sorted: limit / SORTED_KEYS_SHARE,
            seen: limit / SEEN_KEYS_SHARE,
        };
        let key = &self.plan.key;
        (!key.is_empty())
            .then(|| KeyTally::new(key.clone(), memory, || self.reserve("keys to compare")))
    }

    /// Registers a consumer of memory with each pool: whatever is read while it is held, has less.
    fn reserve(&self, consumer: &str) -> Vec<MemoryReservation> {
        let pools = self.pools.iter();
        pools
            .map(|pool| MemoryConsumer::new(consumer).register(pool))
            .collect()
    }
}

fn values_bytes(values: &[ArrayRef]) -> usize {
    let arrays = values.iter();
    arrays.map(|array| array.get_array_memory_size()).sum()
}

fn tallied(keys: Option<KeyTally>) -> Result<Option<TalliedKeys>> {
    keys.map(KeyTally::finish).transpose()
}

fn nulls(keys: Option<&TalliedKeys>) -> u64 {
    keys.map_or(0, |keys| keys.nulls)
}

/// Returns the indexes of the rows whose hash is kept.
fn indexes_of(rows: &HashedRows, mut keeps: impl FnMut(u128) -> bool) -> Vec<u32> {
    let rows = rows.rows.iter().enumerate();
    rows.filter(|(_, hash)| keeps(**hash))
        .map(|(row, _)| row as u32)
        .collect()
}
