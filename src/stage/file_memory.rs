//! The memory of the files of a table, and of the rows that wait for them.

use crate::memory_gate::MemoryGate;

/// The memory of rows that wait for the files of a table.
#[derive(Debug, Clone)]
pub(super) struct QueueLimits {
    /// Counts the batches that are queued for all files.
    pub gate: MemoryGate,
    /// The size from which rows are not coalesced, in bytes.
    pub pending_bytes: usize,
}

/// The sizes of what an open file has in memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileMemory {
    /// The maximum size of the rows that are encoded before memory and size are checked again.
    pub encoded_bytes: usize,
    /// The maximum size of the blocks that are compressed, or wait to be appended.
    pub blocks_bytes: usize,
    /// The maximum size of the rows of files that are finished while other partitions are written.
    pub finishing_bytes: usize,
    /// The size at which a row group ends.
    pub row_group_bytes: usize,
    /// The size from which a file ends if the memory is exhausted.
    pub early_end_bytes: usize,
}
