//! Sorted runs of wide rows, in memory and spilled.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::Rows;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::memory_budget::MemoryBudget;
use crate::resident::note_passed;
use crate::view_gc::{batch_bytes, gc_views, row_sizes};
use crate::wide_sort::merge::{BatchLimits, merge, take_rows};
use crate::wide_sort::sort_keys::SortKeys;

/// The memory that the merge of a run needs, as a multiple of its largest batch: as it is read, decoded, and
/// its keys.
const MERGED_COPIES: usize = 3;

/// The sizes of runs and their batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunLimits {
    /// The bytes of a run in memory, and of those that are merged.
    run_bytes: usize,
    memory_limit: usize,
    /// The bounds of the batches of a run.
    spilled: BatchLimits,
    /// The bounds of the batches of the output.
    pub(super) output: BatchLimits,
}

impl RunLimits {
    /// Returns the sizes for one of the sorts that run concurrently.
    pub(super) fn new(context: &TaskContext) -> Self {
        let config = context.session_config();
        let budget = MemoryBudget::of(&**context.memory_pool());
        let limits = |bytes| BatchLimits {
            rows: config.batch_size(),
            bytes,
        };
        Self {
            memory_limit: budget.limit(),
            run_bytes: budget.wide_run_bytes(config.target_partitions()),
            spilled: limits(budget.spilled_batch_bytes()),
            output: limits(budget.wide_batch_bytes()),
        }
    }
}

/// Wide rows that are sorted, in bounded memory.
pub(super) struct WideRuns {
    keys: SortKeys,
    schema: SchemaRef,
    limits: RunLimits,
    context: Arc<TaskContext>,
    spill: SpillManager,
    memory: MemoryReservation,
    /// The rows in memory, unsorted, with their keys.
    batches: Vec<(RecordBatch, Rows)>,
    spilled: VecDeque<SpilledRun>,
}

struct SpilledRun {
    file: Arc<dyn SpillFile>,
    /// The bytes of its largest batch.
    max_batch_bytes: usize,
}

impl WideRuns {
    /// Creates a sort without rows.
    pub(super) fn new(keys: SortKeys, schema: &SchemaRef, context: &Arc<TaskContext>) -> Self {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        Self {
            keys,
            schema: Arc::clone(schema),
            limits: RunLimits::new(context),
            spill: SpillManager::new(context.runtime_env(), metrics, Arc::clone(schema)),
            context: Arc::clone(context),
            memory: MemoryConsumer::new("sort of wide rows").register(context.memory_pool()),
            batches: Vec::new(),
            spilled: VecDeque::new(),
        }
    }

    /// Returns true if no row was added.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.spilled.is_empty()
    }

    /// Adds rows. If there is no room for them, those in memory are spilled.
    pub(super) fn insert(&mut self, batch: RecordBatch) -> Result<()> {
        let batch = gc_views(&batch)?;
        let keys = self.keys.of(&batch)?;
        let bytes = batch_bytes(&batch) + keys.size();
        let total = self.memory.size().saturating_add(bytes);
        if total > self.limits.run_bytes || self.memory.try_grow(bytes).is_err() {
            self.spill()?;
            // What is needed to go on is reserved even above the limit.
            self.memory.grow(bytes);
        }
        self.batches.push((batch, keys));
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        if self.batches.is_empty() {
            return Ok(());
        }
        let mut rows = SortedRows::new(std::mem::take(&mut self.batches), self.limits.spilled);
        let mut file = self.spill.create_in_progress_file("a sort of wide rows")?;
        let mut max_batch_bytes = 0;
        while let Some(batch) = rows.next_batch().transpose()? {
            note_passed(batch_bytes(&batch), self.limits.memory_limit);
            max_batch_bytes = max_batch_bytes.max(file.append_batch(&batch)?);
        }
        if let Some(file) = file.finish()? {
            self.spilled.push_back(SpilledRun {
                file,
                max_batch_bytes,
            });
        }
        self.memory.free();
        Ok(())
    }

    /// Returns all rows in their order, together with those of a stream that is sorted, too.
    pub(super) async fn merge_with(
        mut self,
        sorted: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let mut inputs = vec![sorted];
        if self.spilled.is_empty() {
            inputs.push(self.rows_in_memory());
        } else {
            self.spill()?;
            inputs.extend(self.merge_down().await?);
        }
        let Self { keys, limits, .. } = self;
        let pool = self.context.memory_pool();
        Ok(merge(keys, &self.schema, inputs, limits.output, pool))
    }

    fn rows_in_memory(&mut self) -> SendableRecordBatchStream {
        let rows = SortedRows::new(std::mem::take(&mut self.batches), self.limits.output);
        let memory = self.memory.take();
        let batches = futures::stream::unfold((rows, memory), |(mut rows, memory)| async {
            rows.next_batch().map(|batch| (batch, (rows, memory)))
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }

    /// Merges runs until there is memory to merge those that are left, and returns these.
    async fn merge_down(&mut self) -> Result<Vec<SendableRecordBatchStream>> {
        loop {
            let count = self.merged_at_once();
            if self.spilled.len() <= count {
                let runs = std::mem::take(&mut self.spilled);
                return runs.into_iter().map(|run| self.read(run)).collect();
            }
            let runs: Vec<SpilledRun> = self.spilled.drain(..count).collect();
            let inputs = runs.into_iter().map(|run| self.read(run));
            let mut merged = merge(
                self.keys.again()?,
                &self.schema,
                inputs.collect::<Result<_>>()?,
                self.limits.spilled,
                self.context.memory_pool(),
            );
            let mut file = self.spill.create_in_progress_file("a sort of wide rows")?;
            let mut max_batch_bytes = 0;
            while let Some(batch) = merged.next().await.transpose()? {
                max_batch_bytes = max_batch_bytes.max(file.append_batch(&batch)?);
            }
            if let Some(file) = file.finish()? {
                self.spilled.push_back(SpilledRun {
                    file,
                    max_batch_bytes,
                });
            }
        }
    }

    /// Returns the number of runs that are merged at once, two or more.
    fn merged_at_once(&self) -> usize {
        let sizes = self.spilled.iter().map(|run| run.max_batch_bytes);
        let run_bytes = sizes.max().unwrap_or(0).saturating_mul(MERGED_COPIES);
        (self.limits.run_bytes / run_bytes.max(1)).max(2)
    }

    fn read(&self, run: SpilledRun) -> Result<SendableRecordBatchStream> {
        self.spill.read_spill_as_stream_unbuffered(run.file, None)
    }
}

/// Rows in memory, in their order.
struct SortedRows {
    batches: Vec<RecordBatch>,
    /// The bytes of the rows of each batch.
    sizes: Vec<Vec<usize>>,
    /// The indexes of batch and row.
    order: Vec<(usize, usize)>,
    next: usize,
    limits: BatchLimits,
}

impl SortedRows {
    fn new(batches: Vec<(RecordBatch, Rows)>, limits: BatchLimits) -> Self {
        let (batches, keys): (Vec<RecordBatch>, Vec<Rows>) = batches.into_iter().unzip();
        let rows = batches.iter().map(RecordBatch::num_rows).enumerate();
        let mut order: Vec<(usize, usize)> = rows
            .flat_map(|(batch, rows)| (0..rows).map(move |row| (batch, row)))
            .collect();
        let key = |(batch, row): (usize, usize)| keys[batch].row(row);
        // Stable: the order of equal rows is the same in every run of a job.
        order.sort_by(|one, other| key(*one).cmp(&key(*other)));
        Self {
            sizes: batches.iter().map(row_sizes).collect(),
            batches,
            order,
            next: 0,
            limits,
        }
    }

    fn next_batch(&mut self) -> Option<Result<RecordBatch>> {
        let first = self.next;
        let mut bytes = 0;
        while let Some((batch, row)) = self.order.get(self.next)
            && self.next - first < self.limits.rows
            && bytes < self.limits.bytes
        {
            bytes += self.sizes[*batch][*row];
            self.next += 1;
        }
        let picked = &self.order[first..self.next];
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        (!picked.is_empty()).then(|| take_rows(&batches, picked))
    }
}
