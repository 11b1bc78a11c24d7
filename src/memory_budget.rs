//! Divides the memory limit among all that holds memory: the one table of shares.
//!
//! ```text
//! limit ─┬─ 1/2    all reservations; beyond it, row groups end before they are full
//!        ├─ 1/8    source files inflated as a whole, over all tasks
//!        ├─ 1/12   files at their opening, over all tables
//!        ├─ 1/128  the merge of one sort, at most 10 MiB
//!        ├─ 1/256  one chunk of a JSON source, 256 KiB to 6 MiB
//!        └─ 1/128 Ki a row of a batch, 8,192 to 32,768 rows
//! ```
//! Shares are upper bounds of single consumers and may overlap: DataFusion's memory pool enforces the
//! limit over their sum. What does not come from the pool is a constant here: small partitions that
//! a task of a cluster buffers.

use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};

use crate::jsonl::CHUNK_BYTES;

/// The minimum limit, in bytes: nothing useful fits into less.
pub const MIN_LIMIT: u64 = 64 << 20;

/// The maximum limit that is chosen by default, in bytes: more makes no job faster.
pub const MAX_DEFAULT_LIMIT: u64 = 4 << 30;

/// The maximum size of rows of small partitions that one task buffers, in bytes.
pub const MAX_SMALL_PARTITION_BYTES: usize = 64 << 20;

/// The share at which the memory pool counts as pressed, as a divisor: the rest is for a sort that
/// spills, which needs room to merge in.
const PRESSURE_SHARE: usize = 2;

/// The share of files inflated as a whole, over all tasks, as a divisor.
const INFLATE_SHARE: usize = 8;

/// The share of the memory of files at their opening, as a divisor: the rest is for their growth, the
/// query and the sort, which needs room to merge in (six tables of 400 days at 512 MiB).
const OPENING_SHARE: usize = 12;

/// The maximum number of files that are open concurrently, however much memory there is.
const MAX_OPEN_FILES: usize = 512;

/// The share that one sort reserves to merge in, as a divisor: many sorts share a small pool.
const SORT_SHARE: usize = 128;

/// The maximum that one sort reserves to merge in, in bytes; DataFusion's default.
const MAX_SORT_BYTES: usize = 10 << 20;

/// The share of a single chunk of a JSON source, as a divisor.
const CHUNK_SHARE: usize = 256;

/// The minimum size of a chunk, in bytes.
const MIN_CHUNK_BYTES: usize = 256 << 10;

/// The share of a single row of a batch, as a divisor.
const ROW_SHARE: usize = 128 << 10;

/// The minimum number of rows of a batch; DataFusion's default.
const MIN_BATCH_ROWS: usize = 8192;

/// The maximum number of rows of a batch.
const MAX_BATCH_ROWS: usize = 32_768;

/// A memory limit and its shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBudget {
    limit: usize,
}

impl MemoryBudget {
    /// Creates the budget of a limit in bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Returns the budget of a memory pool. A pool without a limit has the largest possible one.
    pub fn of(pool: &dyn MemoryPool) -> Self {
        match pool.memory_limit() {
            MemoryLimit::Finite(limit) => Self { limit },
            MemoryLimit::Infinite | MemoryLimit::Unknown => Self { limit: usize::MAX },
        }
    }

    /// Returns the default limit on a machine of `machine` bytes, or of unknown size: half of it,
    /// within bounds.
    pub fn default_limit(machine: Option<u64>) -> u64 {
        machine.map_or(MAX_DEFAULT_LIMIT, |machine| {
            (machine / 2).clamp(MIN_LIMIT, MAX_DEFAULT_LIMIT)
        })
    }

    /// Returns true if so much of the memory is reserved that row groups have to end before they are
    /// full: otherwise a sort that spills could not reserve its memory to merge in.
    pub fn is_pressed(self, reserved: usize) -> bool {
        reserved > self.limit / PRESSURE_SHARE
    }

    /// Returns the maximum size of the files that one of `tasks` concurrent tasks inflates as a whole,
    /// in bytes.
    pub fn inflate_bytes(self, tasks: usize) -> usize {
        self.limit / INFLATE_SHARE / tasks.max(1)
    }

    /// Returns how many files each of `tables` concurrent tables may have open, at least one, if a
    /// file takes `opening_bytes` before its first row.
    pub fn open_files(self, tables: usize, opening_bytes: usize) -> usize {
        let files = self.limit / OPENING_SHARE / tables.max(1) / opening_bytes.max(1);
        files.clamp(1, MAX_OPEN_FILES)
    }

    /// Returns the bytes that a sort reserves to merge its runs in.
    pub fn sort_bytes(self) -> usize {
        (self.limit / SORT_SHARE).min(MAX_SORT_BYTES)
    }

    /// Returns the size of a chunk of a JSON source, in bytes.
    pub fn chunk_bytes(self) -> usize {
        (self.limit / CHUNK_SHARE).clamp(MIN_CHUNK_BYTES, CHUNK_BYTES)
    }

    /// Returns the number of rows of a batch. A batch has a cost for each column of each table,
    /// however few rows it has: if there is memory, it has more rows than DataFusion's default.
    pub fn batch_rows(self) -> usize {
        (self.limit / ROW_SHARE).clamp(MIN_BATCH_ROWS, MAX_BATCH_ROWS)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{
        FairSpillPool, MemoryConsumer, MemoryPool, UnboundedMemoryPool,
    };

    use super::*;

    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;

    /// Pins every share at three limits, so that a change of one is seen.
    #[test]
    fn shares_of_three_limits() {
        let shares = |mib: usize| {
            let budget = MemoryBudget::new(mib * MIB);
            (
                budget.inflate_bytes(1) / MIB,
                budget.open_files(1, MIB),
                budget.sort_bytes() / KIB,
                budget.chunk_bytes() / KIB,
                budget.batch_rows(),
            )
        };
        assert_eq!(shares(64), (8, 5, 512, 256, 8192));
        assert_eq!(shares(256), (32, 21, 2048, 1024, 8192));
        assert_eq!(shares(512), (64, 42, 4096, 2048, 8192));
        assert_eq!(shares(4096), (512, 341, 10_240, 6144, 32_768));
    }

    #[test]
    fn shares_are_divided_among_tasks_and_tables() {
        let budget = MemoryBudget::new(512 * MIB);
        assert_eq!(budget.inflate_bytes(2), 32 * MIB);
        assert_eq!(budget.inflate_bytes(0), 64 * MIB);
        assert_eq!(budget.open_files(6, MIB), 7);
        // A table can always write.
        assert_eq!(budget.open_files(1000, MIB), 1);
    }

    #[test]
    fn half_of_the_limit_is_the_pressure() {
        let budget = MemoryBudget::new(MIB);
        assert!(!budget.is_pressed(512 * KIB));
        assert!(budget.is_pressed(512 * KIB + 1));
    }

    #[test]
    fn the_budget_of_a_pool_is_its_limit_whatever_is_reserved() {
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(MIB));
        let _reservation = MemoryConsumer::new("test").register(&pool);
        assert_eq!(MemoryBudget::of(&*pool), MemoryBudget::new(MIB));
        let unbounded = MemoryBudget::of(&UnboundedMemoryPool::default());
        assert_eq!(unbounded.open_files(1, MIB), MAX_OPEN_FILES);
        assert!(!unbounded.is_pressed(usize::MAX / 2));
    }

    #[test]
    fn half_of_the_machine_is_the_default_within_bounds() {
        assert_eq!(MemoryBudget::default_limit(None), MAX_DEFAULT_LIMIT);
        assert_eq!(MemoryBudget::default_limit(Some(2 << 30)), 1 << 30);
        assert_eq!(MemoryBudget::default_limit(Some(1 << 20)), MIN_LIMIT);
        assert_eq!(
            MemoryBudget::default_limit(Some(1 << 40)),
            MAX_DEFAULT_LIMIT
        );
    }
}
