//! The stream of a scan's filtered rows.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::row::OwnedRow;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::Count;
use futures::{Stream, StreamExt};

use crate::jsonl::LeafMask;
use crate::planted_fault::strikes;
use crate::scan::filter::batch_coalescer::{MIN_BATCH_ROWS, SmallBatchCoalescer};
use crate::scan::filter::filter_kernel::filter_batch;
use crate::scan::filter::majority_split::{MajoritySplit, MajoritySplitter};
use crate::scan::filter::predicate::matching_rows;
use crate::view_gc::gc_views;

/// Filters the batches of a scan, splits and coalesces their rows.
pub(crate) struct FilterStream {
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    splitter: Option<MajoritySplitter>,
    /// The leaves of the rows that are copied, unless all are.
    output_mask: Option<Arc<LeafMask>>,
    batches: SendableRecordBatchStream,
    /// The split values that the rows in `majority` share.
    majority_key: Option<OwnedRow>,
    majority: SmallBatchCoalescer,
    rest: SmallBatchCoalescer,
    /// The batches that are returned next. They are pruned by `output_mask`.
    completed: VecDeque<RecordBatch>,
    /// Counts the rows that do not meet the conditions.
    filtered: Count,
}

impl FilterStream {
    pub(crate) fn new(
        conditions: Vec<Arc<dyn PhysicalExpr>>,
        splitter: Option<MajoritySplitter>,
        output_mask: Option<Arc<LeafMask>>,
        batches: SendableRecordBatchStream,
        max_buffered_bytes: usize,
        filtered: Count,
    ) -> Self {
        Self {
            conditions,
            splitter,
            output_mask,
            batches,
            majority_key: None,
            majority: SmallBatchCoalescer::new(max_buffered_bytes),
            rest: SmallBatchCoalescer::new(max_buffered_bytes),
            completed: VecDeque::new(),
            filtered,
        }
    }

    /// Returns the filtered batches. An error is the last item.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> {
        futures::stream::unfold(Some(self), |state| async {
            let mut filtering = state?;
            match filtering.next().await {
                Ok(None) => None,
                Ok(Some(batch)) => Some((Ok(batch), Some(filtering))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.completed.pop_front() {
                return self.restore(batch).map(Some);
            }
            match self.batches.next().await {
                Some(batch) => self.push(batch?)?,
                None if strikes("the rows that are still coalesced are lost") => return Ok(None),
                None if !self.majority.is_empty() || !self.rest.is_empty() => self.flush()?,
                None => return Ok(None),
            }
        }
    }

    /// Extends a pruned batch to the full schema, with NULL for what is masked out.
    fn restore(&self, batch: RecordBatch) -> Result<RecordBatch> {
        match &self.output_mask {
            Some(mask) => Ok(mask.restore(&self.batches.schema(), batch)?),
            None => Ok(batch),
        }
    }

    /// Filters a batch and adds its rows to the coalescers.
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let matching = matching_rows(&self.conditions, &batch)?;
        let matching_count = matching.true_count();
        self.filtered.add(batch.num_rows() - matching_count);
        if matching_count == 0 || strikes("a batch is taken for one without a matching row") {
            return Ok(());
        }
        let split = match &self.splitter {
            Some(splitter) => splitter.split(&batch, &matching)?,
            None => None,
        };
        let (key, majority, rest) = match split {
            None => (None, matching, None),
            Some(MajoritySplit {
                key,
                majority,
                rest,
            }) => (Some(key), majority, Some(rest)),
        };
        let pruned = match &self.output_mask {
            Some(mask) => mask.prune(&batch)?,
            None => batch,
        };
        // Rows of one file keep their order.
        if self.majority_key != key {
            self.flush()?;
            if !self.completed.is_empty() && strikes("rows are lost when the majority changes") {
                self.completed.clear();
            }
            self.majority_key = key;
        }
        let filtered = filter_batch(&pruned, &majority)?;
        // Rows that are buffered, here or by a later operator, must not retain the whole batch.
        let majority_rows = match self.splitter {
            Some(_) if filtered.num_rows() >= MIN_BATCH_ROWS => filtered,
            _ => gc_views(&filtered)?,
        };
        self.majority.push(majority_rows, &mut self.completed)?;
        if let Some(indexes) = rest
            && !indexes.is_empty()
            && !strikes("the rows beside the majority are lost")
        {
            let rest_rows = gc_views(&take_record_batch(&pruned, &indexes)?)?;
            if strikes("the rows beside the majority come twice") {
                self.rest.push(rest_rows.clone(), &mut self.completed)?;
            }
            self.rest.push(rest_rows, &mut self.completed)?;
        }
        Ok(())
    }

    /// Completes all buffered rows.
    fn flush(&mut self) -> Result<()> {
        self.completed.extend(self.majority.flush()?);
        self.completed.extend(self.rest.flush()?);
        Ok(())
    }
}
