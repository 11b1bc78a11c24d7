//! The coalescer of small batches.
//!
//! It is not arrow's `BatchCoalescer`: `docs/decisions/0010-coalescing-filtered-rows.md` says why.

use std::collections::VecDeque;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::common::Result;

use crate::planted_fault::{strikes, strikes_rows};

/// The minimum number of rows of a batch that is not coalesced with others: a batch has a fixed cost
/// for each of its columns.
pub(crate) const MIN_BATCH_ROWS: usize = 2048;

/// Buffers small batches until they have [`MIN_BATCH_ROWS`] or a number of bytes together. Keeps the order
/// of rows.
pub(crate) struct SmallBatchCoalescer {
    batches: Vec<RecordBatch>,
    rows: usize,
    /// The bytes of the buffered batches: rows may be wide.
    bytes: usize,
    max_bytes: usize,
}

impl SmallBatchCoalescer {
    /// Creates a coalescer that buffers up to `max_bytes` bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            batches: Vec::new(),
            rows: 0,
            bytes: 0,
            max_bytes,
        }
    }

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
        let bytes = batch.get_array_memory_size();
        if batch.num_rows() >= MIN_BATCH_ROWS || bytes >= self.max_bytes {
            // A large batch is not copied only because a few rows are buffered.
            completed.extend(self.flush()?);
            completed.push_back(batch);
            return Ok(());
        }
        self.rows += batch.num_rows();
        self.bytes = self.bytes.saturating_add(bytes);
        if strikes_rows("a batch is coalesced twice", &batch) {
            self.batches.push(batch.clone());
        }
        self.batches.push(batch);
        if self.rows >= MIN_BATCH_ROWS || self.bytes >= self.max_bytes {
            completed.extend(self.flush()?);
        }
        Ok(())
    }

    /// Returns all buffered rows as one batch, if there are any.
    pub(crate) fn flush(&mut self) -> Result<Option<RecordBatch>> {
        self.rows = 0;
        self.bytes = 0;
        let mut batches = std::mem::take(&mut self.batches);
        if batches.len() > 1 && strikes("one of the coalesced batches is lost") {
            batches.remove(0);
        }
        match batches.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            [first, ..] => Ok(Some(concat_batches(first.schema_ref(), &batches)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, StringArray};

    use super::*;

    fn wide_rows(count: usize, bytes: usize) -> RecordBatch {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(bytes); count]));
        RecordBatch::try_from_iter([("text", texts)]).unwrap()
    }

    #[test]
    fn wide_rows_are_not_buffered_by_their_number() {
        let mut coalescer = SmallBatchCoalescer::new(10_000);
        let mut completed = VecDeque::new();
        for _ in 0..40 {
            coalescer.push(wide_rows(1, 3000), &mut completed).unwrap();
            let buffered = coalescer.batches.iter();
            let bytes: usize = buffered.map(RecordBatch::get_array_memory_size).sum();
            assert!(bytes < 10_000, "{bytes}");
        }
        coalescer
            .push(wide_rows(1, 50_000), &mut completed)
            .unwrap();
        assert!(coalescer.is_empty());
        completed.extend(coalescer.flush().unwrap());
        let rows: usize = completed.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 41);
        assert!(completed.len() < 20);
    }
}
