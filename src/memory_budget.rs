//! Divides the memory limit among all that holds memory: the one table of shares.
//!
//! ```text
//! limit ─┬─ 1/2    all reservations; beyond it, row groups end before they are full
//!        ├─ 1/4    what a function gives for one batch, 16 MiB to 256 MiB
//!        ├─ 1/4    chunks of sources that wait with their rows, over all tasks; 1/32 in any case
//!        ├─ 1/4    wide rows that are sorted, over all sorts of a query
//!        ├─ 1/4    what open files hold before they end early, over all tables, 64 KiB or more for each
//!        ├─ 1/4    parts that are being uploaded, over all tables; 1/32 in any case
//!        ├─ 1/8    source files inflated as a whole, over all tasks
//!        ├─ 1/8    batches that are queued for files, over all tables; 1/64 in any case
//!        ├─ 1/8    one row group that is written
//!        ├─ 1/4    sorts that have no more in any case, over all tasks; 1/16 of each
//!        ├─ 1/4    the batches of a merge of sorts that has no more in any case
//!        ├─ 1/8    rows that window functions hold in any case, over all tasks
//!        ├─ 1/8    the blocks of one file that are compressed, at most 16 MiB
//!        ├─ 1/8    values that audits compare, over all tables
//!        ├─ 1/16   rows that wait for audits, over all tables; 1/128 in any case
//!        ├─ 1/64   rows that break audits, of one table, at most 64 MiB
//!        ├─ 1/12   files at their opening, with one row each, over all tables
//!        ├─ 1/16   rows that open files collect, over all tables
//!        ├─ 1/32   a line of a JSON source, at most 64 MiB, or a row of a Parquet source
//!        ├─ 1/32   rows of files that are finished, while others are written, over all tables
//!        ├─ 1/32   rows that a file encodes at once, 1 MiB to 16 MiB
//!        ├─ 1/64   a batch of wide rows that are sorted, 1 MiB to 64 MiB; a quarter of it in spilled runs
//!        ├─ 1/128  the rows that a scan coalesces, 512 KiB to 4 MiB
//!        ├─ 1/128  the merge of one sort, at most 10 MiB
//!        ├─ 1/256  one chunk of a JSON source, 256 KiB to 6 MiB
//!        └─ 1/128 Ki a row of a batch, 8,192 to 32,768 rows
//! ```
//! Shares are upper bounds of single consumers and may overlap: DataFusion's memory pool enforces the
//! limit over their sum. What does not come from the pool is a constant here: small partitions that
//! a task of a cluster buffers.

use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};

use crate::jsonl::{CHUNK_BYTES, MAX_LINE_BYTES};
use crate::memory_gate::GateLimits;

/// The minimum limit, in bytes: nothing useful fits into less.
pub const MIN_LIMIT: u64 = 64 << 20;

/// The maximum limit that is chosen by default, in bytes: more makes no job faster.
pub const MAX_DEFAULT_LIMIT: u64 = 4 << 30;

/// The memory of a run beside 1.25 times its limit: the program, its stacks and its buffers.
const BESIDE_LIMIT_BYTES: u64 = 100 << 20;

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

/// The shares of chunks that wait with their rows, over all tasks, as divisors: the least, which is there
/// in any case, and the most.
const MIN_WAITING_SHARE: usize = 32;
const MAX_WAITING_SHARE: usize = 4;

/// The shares of batches that are queued for files, over all tables, as divisors.
const MIN_QUEUED_SHARE: usize = 64;
const MAX_QUEUED_SHARE: usize = 8;

/// The shares of parts that are being uploaded, over all tables, as divisors.
const MIN_UPLOAD_SHARE: usize = 32;
const MAX_UPLOAD_SHARE: usize = 4;

/// The share of rows that one scan coalesces, as a divisor, and its limits in bytes.
const COALESCED_SHARE: usize = 128;
const MIN_COALESCED_BYTES: usize = 512 << 10;
const MAX_COALESCED_BYTES: usize = 4 << 20;

/// The share of values that audits compare, over all tables, as a divisor.
const COMPARED_SHARE: usize = 8;

/// The shares of rows that wait for audits, over all tables, as divisors.
const MIN_AUDITED_SHARE: usize = 128;
const MAX_AUDITED_SHARE: usize = 16;

/// The share of rows that break the audits of one table and are kept, as a divisor, and its maximum in bytes.
const FAILING_SHARE: usize = 64;
const MAX_FAILING_BYTES: usize = 64 << 20;

/// The share of rows that open files collect, over all of them, as a divisor, and the least of one file in
/// bytes.
const PENDING_SHARE: usize = 16;
const MIN_PENDING_BYTES: usize = 32 << 10;

/// The share of finished bytes in files that end early, over all of them, as a divisor, and the least of
/// one file in bytes.
const EARLY_END_SHARE: usize = 4;
const MIN_EARLY_END_BYTES: usize = 64 << 10;

/// The share of a batch of wide rows, as a divisor, and its limits in bytes.
const WIDE_BATCH_SHARE: usize = 64;
const MIN_WIDE_BATCH: usize = 1 << 20;
const MAX_WIDE_BATCH: usize = 64 << 20;

/// The batches of wide rows that are spilled, in place of one that is not.
const SPILLED_BATCHES: usize = 4;

/// The share of a batch whose rows all have the maximum width of usual rows, as a divisor, and the limits of
/// that width in bytes.
const USUAL_ROWS_SHARE: usize = 8;
const MIN_USUAL_ROW: usize = 4 << 10;
const MAX_USUAL_ROW: usize = 32 << 10;

/// The least share of rows that window functions hold, over all tasks, as a divisor.
const MIN_WINDOW_SHARE: usize = 8;

/// The least share of sorts, over all tasks and of each, as divisors.
const MIN_SORTS_SHARE: usize = 4;
const MIN_SORT_SHARE: usize = 16;

/// The maximum share of a merge of sorts that is there in any case, as a divisor.
const MERGE_SHARE: usize = 4;

/// The share of wide rows that are sorted, over all sorts of a query, as a divisor.
const WIDE_RUN_SHARE: usize = 4;

/// The share of rows that a file encodes at once, as a divisor, and its limits in bytes.
const ENCODED_SHARE: usize = 32;
const MIN_ENCODED_BYTES: usize = 1 << 20;
const MAX_ENCODED_BYTES: usize = 16 << 20;

/// The share of the blocks of one file that are compressed, as a divisor.
const BLOCKS_SHARE: usize = 8;

/// The share of the rows of files that are finished, over all tables, as a divisor.
const FINISHING_SHARE: usize = 32;

/// The share of one row group, as a divisor: at its end it is in memory twice.
const ROW_GROUP_SHARE: usize = 8;

/// The share of what is reserved above the limit before files end early, as a divisor.
const EXCESS_SHARE: usize = 8;

/// The share of a single row of a batch, as a divisor.
const ROW_SHARE: usize = 128 << 10;

/// The share of what a function gives for one batch, as a divisor.
const FUNCTION_SHARE: usize = 4;

/// The minimum of what a function may give for one batch, in bytes.
const MIN_FUNCTION_BYTES: usize = 16 << 20;

/// The maximum of what a function may give for one batch, in bytes.
const MAX_FUNCTION_BYTES: usize = 256 << 20;

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
    /// The memory that a line needs, as a multiple of its length.
    pub const LIMIT_OF_A_LINE: usize = 32;

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

    /// Returns the limit, in bytes.
    pub(crate) fn limit(self) -> usize {
        self.limit
    }

    /// Returns the default limit where the process may use `usable` bytes, or an unknown number: half of
    /// them, within bounds, and less where the program beside its limit would not fit.
    pub fn default_limit(usable: Option<u64>) -> u64 {
        usable.map_or(MAX_DEFAULT_LIMIT, |usable| {
            let fits = usable.saturating_sub(BESIDE_LIMIT_BYTES) / 5 * 4;
            (usable / 2).min(fits).clamp(MIN_LIMIT, MAX_DEFAULT_LIMIT)
        })
    }

    /// Returns true if so much of the memory is reserved that row groups have to end before they are
    /// full: otherwise a sort that spills could not reserve its memory to merge in.
    pub fn is_pressed(self, reserved: usize) -> bool {
        reserved > self.limit / PRESSURE_SHARE
    }

    /// Returns true if `bytes` are more than all of the memory.
    pub fn is_more(self, bytes: u64) -> bool {
        usize::try_from(bytes).is_ok_and(|bytes| bytes > self.limit)
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

    /// Returns the maximum size of what a function gives for one batch, or an aggregate for one group, in
    /// bytes.
    pub fn function_bytes(self) -> u64 {
        let share = self.limit / FUNCTION_SHARE;
        share.clamp(MIN_FUNCTION_BYTES, MAX_FUNCTION_BYTES) as u64
    }

    /// Returns the size of a chunk of a JSON source, in bytes.
    pub fn chunk_bytes(self) -> usize {
        (self.limit / CHUNK_SHARE).clamp(MIN_CHUNK_BYTES, CHUNK_BYTES)
    }

    /// Returns the maximum length of a line of a JSON source, in bytes: between its file and the export it is
    /// in memory several times.
    pub fn line_bytes(self) -> usize {
        (self.limit / Self::LIMIT_OF_A_LINE).min(MAX_LINE_BYTES)
    }

    /// Returns the maximum size of a row of a Parquet source, in bytes, for the same reason.
    pub fn row_bytes(self) -> usize {
        self.limit / Self::LIMIT_OF_A_LINE
    }

    /// Returns the limits of the chunks and batches that wait in one of `tasks` concurrent tasks.
    pub(crate) fn waiting_chunks(self, tasks: usize) -> GateLimits {
        GateLimits {
            min: self.limit / MIN_WAITING_SHARE / tasks.max(1),
            max: self.limit / MAX_WAITING_SHARE / tasks.max(1),
        }
    }

    /// Returns the limits of the batches that are queued for the files of one of `tables` concurrent tables.
    pub(crate) fn queued_batches(self, tables: usize) -> GateLimits {
        GateLimits {
            min: self.limit / MIN_QUEUED_SHARE / tables.max(1),
            max: self.limit / MAX_QUEUED_SHARE / tables.max(1),
        }
    }

    /// Returns the limits of the rows that wait for one of `audits` audits of one of `tables` concurrent tables.
    pub(crate) fn audited_rows(self, tables: usize, audits: usize) -> GateLimits {
        let parts = tables.max(1).saturating_mul(audits.max(1));
        GateLimits {
            min: self.limit / MIN_AUDITED_SHARE / parts,
            max: self.limit / MAX_AUDITED_SHARE / parts,
        }
    }

    /// Returns the bytes of the values that one of `audits` audits of one of `tables` concurrent tables compares
    /// in memory.
    pub fn compared_bytes(self, tables: usize, audits: usize) -> usize {
        self.limit / COMPARED_SHARE / tables.max(1).saturating_mul(audits.max(1))
    }

    /// Returns the bytes of the rows that break one of `audits` audits of a table and are kept.
    pub fn failing_bytes(self, audits: usize) -> usize {
        (self.limit / FAILING_SHARE).min(MAX_FAILING_BYTES) / audits.max(1)
    }

    /// Returns the limits of the parts that one of `tables` concurrent tables uploads concurrently.
    pub(crate) fn uploaded_parts(self, tables: usize) -> GateLimits {
        GateLimits {
            min: self.limit / MIN_UPLOAD_SHARE / tables.max(1),
            max: self.limit / MAX_UPLOAD_SHARE / tables.max(1),
        }
    }

    /// Returns the size from which rows are not coalesced with others, in bytes.
    pub fn coalesced_bytes(self) -> usize {
        (self.limit / COALESCED_SHARE).clamp(MIN_COALESCED_BYTES, MAX_COALESCED_BYTES)
    }

    /// Returns the size of the rows that each of `files` open files collects before they are encoded, in
    /// bytes.
    pub fn pending_bytes(self, tables: usize, files: usize) -> usize {
        let share = self.limit / PENDING_SHARE / tables.max(1) / files.max(1);
        share.clamp(MIN_PENDING_BYTES, MAX_COALESCED_BYTES)
    }

    /// Returns the size from which a file ends because the memory is exhausted, of the `files` that each of
    /// `tables` concurrent tables may have open, in bytes.
    pub fn early_end_bytes(self, tables: usize, files: usize) -> usize {
        let share = self.limit / EARLY_END_SHARE / tables.max(1) / files.max(1);
        share.max(MIN_EARLY_END_BYTES)
    }

    /// Returns the maximum size of rows that a file encodes before its memory is checked again, in bytes. A
    /// batch of usual rows is smaller.
    pub fn encoded_bytes(self) -> usize {
        (self.limit / ENCODED_SHARE).clamp(MIN_ENCODED_BYTES, MAX_ENCODED_BYTES)
    }

    /// Returns the maximum size of the blocks of one file that are compressed concurrently, in bytes.
    pub fn blocks_bytes(self) -> usize {
        (self.limit / BLOCKS_SHARE).min(MAX_ENCODED_BYTES)
    }

    /// Returns the maximum size of the rows of files that one of `tables` concurrent tables finishes while it
    /// writes others, in bytes.
    pub fn finishing_bytes(self, tables: usize) -> usize {
        self.limit / FINISHING_SHARE / tables.max(1)
    }

    /// Returns the size at which a row group ends however much memory there is, in bytes. Formats end it
    /// earlier, unless the limit is small.
    pub fn row_group_bytes(self) -> usize {
        self.limit / ROW_GROUP_SHARE
    }

    /// Returns true if so much more is reserved than there is that files have to end early. What must go on
    /// reserves its memory even above the limit.
    pub fn is_exhausted(self, reserved: usize) -> bool {
        reserved.saturating_sub(self.limit) > self.limit / EXCESS_SHARE
    }

    /// Returns the number of rows of a batch of about `row_bytes` each, up to `rows`.
    pub fn rows_of(self, row_bytes: usize, rows: usize) -> usize {
        rows.min(self.wide_batch_bytes() / row_bytes.max(1)).max(1)
    }

    /// Returns the size of a batch of wide rows, in bytes.
    pub fn wide_batch_bytes(self) -> usize {
        (self.limit / WIDE_BATCH_SHARE).clamp(MIN_WIDE_BATCH, MAX_WIDE_BATCH)
    }

    /// Returns the size of a batch of wide rows that a sort spills, in bytes.
    pub fn spilled_batch_bytes(self) -> usize {
        self.wide_batch_bytes() / SPILLED_BATCHES
    }

    /// Returns the maximum width of a row that is sorted in batches of `rows`, in bytes: wider ones are
    /// sorted apart.
    pub fn usual_row_bytes(self, rows: usize) -> usize {
        let share = self.limit / USUAL_ROWS_SHARE / rows.max(1);
        share.clamp(MIN_USUAL_ROW, MAX_USUAL_ROW)
    }

    /// Returns the memory of one of `tasks` concurrent sorts that is there in any case, in bytes: two batches
    /// can be merged in it.
    pub fn min_sort_bytes(self, tasks: usize) -> usize {
        let share = self.limit / MIN_SORTS_SHARE / tasks.max(1);
        share.max(self.limit / MIN_SORT_SHARE)
    }

    /// Returns the memory of a merge of `inputs` sorts that is there in any case, in bytes.
    pub fn merge_bytes(self, inputs: usize) -> usize {
        let batches = self.wide_batch_bytes().saturating_mul(2 * inputs);
        batches.min(self.limit / MERGE_SHARE)
    }

    /// Returns the size of the rows that the window functions of one of `tasks` concurrent tasks hold in any
    /// case, in bytes.
    pub fn min_window_bytes(self, tasks: usize) -> usize {
        self.limit / MIN_WINDOW_SHARE / tasks.max(1)
    }

    /// Returns the size of the wide rows that each of `tasks` concurrent sorts has in memory, in bytes.
    pub fn wide_run_bytes(self, tasks: usize) -> usize {
        self.limit / WIDE_RUN_SHARE / tasks.max(1)
    }

    /// Returns the number of rows of a batch. A batch has a cost for each column of each table,
    /// however few rows it has: if there is memory, it has more rows than DataFusion's default.
    pub fn batch_rows(self) -> usize {
        (self.limit / ROW_SHARE).clamp(MIN_BATCH_ROWS, MAX_BATCH_ROWS)
    }
}

#[cfg(test)]
mod tests;
