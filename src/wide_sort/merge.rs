//! Merges sorted rows into batches that are bounded in bytes.
//!
//! A batch ends at its bound, and when the batch of an input does: so each input has one batch in memory.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::{Row, Rows};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::memory_budget::MemoryBudget;
use crate::resident::note_passed;
use crate::view_gc::{batch_bytes, gc_views, row_sizes};
use crate::wide_sort::sort_keys::SortKeys;

/// The bounds of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Merges sorted inputs. Of equal rows, those of an earlier input come first.
pub(super) fn merge(
    keys: SortKeys,
    schema: &SchemaRef,
    inputs: Vec<SendableRecordBatchStream>,
    limits: BatchLimits,
    pool: &Arc<dyn MemoryPool>,
) -> SendableRecordBatchStream {
    let merge = Merge {
        keys,
        inputs: inputs
            .into_iter()
            .map(|rows| Input {
                batch: RecordBatch::new_empty(Arc::clone(schema)),
                sizes: Vec::new(),
                bytes: 0,
                rows,
            })
            .collect(),
        heads: BinaryHeap::new(),
        to_refill: None,
        is_started: false,
        limits,
        memory: MemoryConsumer::new("merge of wide rows").register(pool),
        memory_limit: MemoryBudget::of(&**pool).limit(),
    };
    let merged = futures::stream::try_unfold(merge, |mut merge| async move {
        Ok(merge.next_batch().await?.map(|batch| (batch, merge)))
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), merged))
}

struct Merge {
    keys: SortKeys,
    inputs: Vec<Input>,
    /// The first row of each input that has one.
    heads: BinaryHeap<Head>,
    /// The input whose batch has ended.
    to_refill: Option<usize>,
    is_started: bool,
    limits: BatchLimits,
    memory: MemoryReservation,
    memory_limit: usize,
}

struct Input {
    rows: SendableRecordBatchStream,
    batch: RecordBatch,
    /// The bytes of each row of the batch.
    sizes: Vec<usize>,
    /// The bytes of the batch with its keys.
    bytes: usize,
}

/// The next row of an input.
struct Head {
    input: usize,
    row: usize,
    keys: Rows,
}

impl Head {
    fn key(&self) -> Row<'_> {
        self.keys.row(self.row)
    }
}

impl Ord for Head {
    /// The least row is the greatest head: a heap yields its greatest element.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = other.key().cmp(&self.key());
        by_key.then(other.input.cmp(&self.input))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Head {}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Merge {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if !self.is_started {
            self.is_started = true;
            for input in 0..self.inputs.len() {
                self.refill(input).await?;
            }
        }
        if let Some(input) = self.to_refill.take() {
            self.refill(input).await?;
        }
        let picked = self.pick();
        if picked.is_empty() {
            self.memory.free();
            return Ok(None);
        }
        self.build(&picked).map(Some)
    }

    /// Reads the next batch of an input, whose last one has ended.
    async fn refill(&mut self, index: usize) -> Result<()> {
        let input = &mut self.inputs[index];
        // Not held while the next one is read.
        input.batch = RecordBatch::new_empty(input.rows.schema());
        input.bytes = 0;
        while let Some(batch) = input.rows.next().await.transpose()? {
            if batch.num_rows() == 0 {
                continue;
            }
            let keys = self.keys.of(&batch)?;
            input.sizes = row_sizes(&batch);
            input.bytes = batch_bytes(&batch) + keys.size();
            note_passed(input.bytes, self.memory_limit);
            input.batch = batch;
            self.heads.push(Head {
                input: index,
                row: 0,
                keys,
            });
            break;
        }
        // What is needed to go on is reserved even above the limit.
        self.memory
            .resize(self.inputs.iter().map(|input| input.bytes).sum());
        Ok(())
    }

    /// Returns the next rows in their order, as indexes of input and row, up to the bounds of a batch.
    fn pick(&mut self) -> Vec<(usize, usize)> {
        let mut picked = Vec::new();
        let mut bytes = 0;
        while picked.len() < self.limits.rows
            && bytes < self.limits.bytes
            && let Some(mut head) = self.heads.peek_mut()
        {
            picked.push((head.input, head.row));
            bytes += self.inputs[head.input].sizes[head.row];
            head.row += 1;
            if head.row == head.keys.num_rows() {
                self.to_refill = Some(PeekMut::pop(head).input);
                break;
            }
        }
        picked
    }

    fn build(&self, picked: &[(usize, usize)]) -> Result<RecordBatch> {
        let batches: Vec<&RecordBatch> = self.inputs.iter().map(|input| &input.batch).collect();
        take_rows(&batches, picked)
    }
}

/// Copies rows, given by the indexes of batch and row, without what their batches hold besides.
pub(super) fn take_rows(
    batches: &[&RecordBatch],
    picked: &[(usize, usize)],
) -> Result<RecordBatch> {
    let mut steps = picked.windows(2).map(|pair| (pair[0], pair[1]));
    if let [(batch, first), ..] = picked
        && steps.all(|(one, next)| next == (one.0, one.1 + 1))
    {
        // Rows of one batch that follow each other are not copied.
        return Ok(batches[*batch].slice(*first, picked.len()));
    }
    Ok(gc_views(&interleave_record_batch(batches, picked)?)?)
}
