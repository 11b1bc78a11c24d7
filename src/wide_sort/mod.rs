//! Sorts and merges of rows of any width, in bounded memory.
//!
//! ```text
//! input ─┬─ usual rows → DataFusion's sort ──────────────────────┐
//!        └─ wide rows, as soon as there are any → WideRuns ──────┴─ merge, if there were any → output
//! ```
//! DataFusion merges rows into batches of a fixed number of rows, which it does not account for: 8,192 rows
//! of 1 MiB would be 8 GiB. Its batches have fewer rows here if the first rows of the input are wide. Rows
//! that are wider than that are sorted apart, in runs and batches that are bounded in bytes: they may come
//! anywhere in the input, and next to each other in the output.

mod merge;
mod row_width;
mod runs;
mod sort_keys;
mod sort_pool;
mod taken_input;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::{BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use futures::{StreamExt, TryFutureExt, TryStreamExt};
use parking_lot::Mutex;

use crate::memory_budget::MemoryBudget;
use crate::planted_fault::strikes_rows;
use crate::view_gc::{batch_bytes, max_row_bytes, row_sizes};
use crate::wide_sort::merge::merge;
use crate::wide_sort::row_width::context_for_rows;
use crate::wide_sort::runs::{RunLimits, WideRuns};
use crate::wide_sort::sort_keys::SortKeys;
use crate::wide_sort::sort_pool::SortPool;
use crate::wide_sort::taken_input::taken_input;

/// Notes that the rows of a sort are wide: a merge of sorts learns it by this.
#[derive(Debug, Clone, Default)]
pub(crate) struct WideRowsSeen(Arc<AtomicBool>);

impl WideRowsSeen {
    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sorts all rows of `input`.
pub(crate) fn sort_rows(
    order: &LexOrdering,
    input: SendableRecordBatchStream,
    context: Arc<TaskContext>,
    seen: WideRowsSeen,
) -> SendableRecordBatchStream {
    let (schema, order) = (input.schema(), order.clone());
    let sorted = async move {
        let peeked = peek(input).await?;
        let usual = context_for_rows(&context, peeked.row_bytes);
        let max_bytes = max_usual_row(&usual);
        let wide = SortKeys::new(&order, &peeked.rows.schema())?
            .map(|keys| WideRuns::new(keys, &peeked.rows.schema(), &context));
        let runs = Arc::new(Mutex::new(wide));
        let schema = peeked.rows.schema();
        let narrow = divert_wide(peeked.rows, max_bytes, Arc::clone(&runs));
        let narrow = taken_input(&schema, vec![narrow])?;
        let tasks = usual.session_config().target_partitions();
        let usual = SortPool::context(&usual, budget(&context).min_sort_bytes(tasks))?;
        let mut sorted = SortExec::new(order, narrow).execute(0, usual)?;
        // With its first row, the sort has read all of its input.
        let first = sorted.next().await.transpose()?;
        let all = prepend(first, sorted);
        let taken = runs.lock().take();
        match taken {
            Some(runs) if !runs.is_empty() => {
                seen.note();
                runs.merge_with(all).await
            }
            _ => Ok(all),
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(
        schema,
        futures::stream::once(sorted).try_flatten(),
    ))
}

/// Merges sorted inputs. `seen` are the notes of the sorts that these come from.
pub(crate) fn merge_rows(
    order: &LexOrdering,
    inputs: Vec<SendableRecordBatchStream>,
    context: Arc<TaskContext>,
    seen: Vec<WideRowsSeen>,
) -> Result<SendableRecordBatchStream> {
    let Some(first) = inputs.first() else {
        return internal_err!("a merge without inputs");
    };
    let (schema, order) = (first.schema(), order.clone());
    let output_schema = Arc::clone(&schema);
    let merged = async move {
        let min_bytes = budget(&context).merge_bytes(inputs.len());
        let peeked = futures::future::try_join_all(inputs.into_iter().map(peek)).await?;
        let widths = peeked.iter().map(|input| input.row_bytes);
        let row_bytes = widths.max().unwrap_or(0);
        let usual = context_for_rows(&context, row_bytes);
        let is_wide = seen.iter().any(WideRowsSeen::is_noted) || row_bytes > max_usual_row(&usual);
        let inputs = peeked.into_iter().map(|input| input.rows);
        if is_wide && let Some(keys) = SortKeys::new(&order, &schema)? {
            let limits = RunLimits::new(&context);
            let pool = context.memory_pool();
            return Ok(merge(keys, &schema, inputs.collect(), limits.output, pool));
        }
        let narrow = taken_input(&schema, inputs.collect())?;
        let usual = SortPool::context(&usual, min_bytes)?;
        SortPreservingMergeExec::new(order, narrow).execute(0, usual)
    };
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        output_schema,
        futures::stream::once(merged).try_flatten(),
    )))
}

/// Returns the operator `node` over its running inputs, and the context to execute it in: its batches have
/// fewer rows if the first ones of the input are wide.
///
/// It waits for the first rows of any input, not of all: these may wait for memory that the first ones hold.
pub(crate) async fn over_wide_rows(
    node: Arc<dyn ExecutionPlan>,
    inputs: Vec<SendableRecordBatchStream>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
    let mut waiting: Vec<_> = inputs
        .into_iter()
        .map(|input| Box::pin(peek(input)))
        .collect();
    let mut streams = Vec::with_capacity(waiting.len());
    let mut row_bytes = 0;
    while row_bytes == 0 && !waiting.is_empty() {
        let (peeked, _, others) = futures::future::select_all(waiting).await;
        let peeked = peeked?;
        row_bytes = peeked.row_bytes;
        streams.push(peeked.rows);
        waiting = others;
    }
    streams.extend(waiting.into_iter().map(|peeked| {
        let rows = peeked.map_ok(|input| input.rows).try_flatten_stream();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), rows)) as _
    }));
    let input = taken_input(&schema, streams)?;
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let node = node.replace_children(vec![input], options)?;
    Ok((node, context_for_rows(&context, row_bytes)))
}

/// Returns the maximum width of a row that DataFusion sorts and merges, in bytes.
fn max_usual_row(context: &TaskContext) -> usize {
    budget(context).usual_row_bytes(context.session_config().batch_size())
}

fn budget(context: &TaskContext) -> MemoryBudget {
    MemoryBudget::of(&**context.memory_pool())
}

/// Passes on rows of up to `max_bytes` each, and gives wider ones to `runs`.
fn divert_wide(
    rows: SendableRecordBatchStream,
    max_bytes: usize,
    runs: Arc<Mutex<Option<WideRuns>>>,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let usual = rows.try_filter_map(move |batch| {
        let usual = divert(batch, max_bytes, &mut runs.lock());
        futures::future::ready(usual)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, usual))
}

fn divert(
    batch: RecordBatch,
    max_bytes: usize,
    runs: &mut Option<WideRuns>,
) -> Result<Option<RecordBatch>> {
    // The bound looks at lengths alone; it is exact for most rows.
    let Some(runs) = runs.as_mut().filter(|_| max_row_bytes(&batch) > max_bytes) else {
        return Ok(Some(batch));
    };
    let sizes = row_sizes(&batch);
    let is_wide: BooleanArray = sizes.iter().map(|size| Some(*size > max_bytes)).collect();
    match is_wide.true_count() {
        0 => return Ok(Some(batch)),
        wide if wide == batch.num_rows() => {
            runs.insert(batch)?;
            return Ok(None);
        }
        _ => runs.insert(filter_record_batch(&batch, &is_wide)?)?,
    }
    let is_usual: BooleanArray = sizes.iter().map(|size| Some(*size <= max_bytes)).collect();
    filter_record_batch(&batch, &is_usual)
        .map(Some)
        .map_err(Into::into)
}

/// An input, and the bytes of a row of its first batch.
struct PeekedInput {
    row_bytes: usize,
    rows: SendableRecordBatchStream,
}

async fn peek(mut rows: SendableRecordBatchStream) -> Result<PeekedInput> {
    let first = rows.next().await.transpose()?;
    let row_bytes = first
        .as_ref()
        .map_or(0, |batch| batch_bytes(batch) / batch.num_rows().max(1));
    let first = first.filter(|batch| !strikes_rows("the first batch of a sort is lost", batch));
    Ok(PeekedInput {
        row_bytes,
        rows: prepend(first, rows),
    })
}

/// Returns the stream with a batch before its first.
fn prepend(
    first: Option<RecordBatch>,
    rows: SendableRecordBatchStream,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let all = futures::stream::iter(first.map(Ok)).chain(rows);
    Box::pin(RecordBatchStreamAdapter::new(schema, all))
}
