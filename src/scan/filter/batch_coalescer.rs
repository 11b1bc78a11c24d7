//! The coalescer of small batches.
//!
//! It is not arrow's `BatchCoalescer`: `docs/decisions/0010-coalescing-filtered-rows.md` says why.

use std::collections::VecDeque;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::common::Result;

/// The minimum number of rows of a batch that is not coalesced with others: a batch has a fixed cost
/// for each of its columns.
pub(crate) const MIN_BATCH_ROWS: usize = 2048;

/// Buffers small batches until they have [`MIN_BATCH_ROWS`] together. Keeps the order of rows.
#[derive(Default)]
pub(crate) struct SmallBatchCoalescer {
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl SmallBatchCoalescer {
    /// Returns true if no rows are buffered.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a batch, and moves batches that are large enough to `completed`.
    pub(crate) fn push(
        &mut self,
        batch: RecordBatch,
        completed: &mut VecDeque<RecordBatch>,
    ) -> Result<()> {
        if batch.num_rows() >= MIN_BATCH_ROWS {
            // A large batch is not copied only because a few rows are buffered.
            completed.extend(self.flush()?);
            completed.push_back(batch);
            return Ok(());
        }
        self.rows += batch.num_rows();
        self.batches.push(batch);
        if self.rows >= MIN_BATCH_ROWS {
            completed.extend(self.flush()?);
        }
        Ok(())
    }

    /// Returns all buffered rows as one batch, if there are any.
    pub(crate) fn flush(&mut self) -> Result<Option<RecordBatch>> {
        self.rows = 0;
        let batches = std::mem::take(&mut self.batches);
        match batches.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            [first, ..] => Ok(Some(concat_batches(first.schema_ref(), &batches)?)),
        }
    }
}
