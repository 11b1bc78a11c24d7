//! Sorts and merges of wide rows in smaller batches.
//!
//! ```text
//! input ─first batch of each partition→ bytes of a row ─→ rows of a batch ─→ the sort, or the merge
//! ```
//! DataFusion merges rows into batches of a fixed number of rows, which it does not account for: 8,192 rows
//! of 1 MiB would be 8 GiB.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::{
    RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter,
};
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use crate::planted_fault::{CutAt, cut_files, strikes, strikes_rows};
use crate::spill_folder::SpillFolder;
use crate::stage::context_for_rows;
use crate::view_gc::batch_bytes;

/// Wraps each sort and each merge of a plan, but those that keep only a number of rows.
pub(super) fn sort_wide_rows(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let is_sort = node.is::<SortExec>() || node.is::<SortPreservingMergeExec>();
        if is_sort && node.fetch().is_none() {
            return Ok(Transformed::yes(Arc::new(WideRowsExec { node }) as _));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(wrapped.data)
}

/// A sort or a merge whose batches have fewer rows if these are wide.
#[derive(Debug)]
struct WideRowsExec {
    node: Arc<dyn ExecutionPlan>,
}

impl WideRowsExec {
    fn with_node(node: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { node })
    }

    /// Returns the partitions of the input that a partition of the output is made of.
    fn inputs_of(&self, partition: usize) -> Result<(&Arc<dyn ExecutionPlan>, Vec<usize>)> {
        let [input] = self.node.children()[..] else {
            return internal_err!("a sort has one input");
        };
        let count = input.properties().output_partitioning().partition_count();
        Ok(match self.node.is::<SortExec>() {
            true => (input, vec![partition]),
            false => (input, (0..count).collect()),
        })
    }
}

impl DisplayAs for WideRowsExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt_as(format, f)
    }
}

impl ExecutionPlan for WideRowsExec {
    fn name(&self) -> &'static str {
        "WideRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.node.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.node.children()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.node.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.node.maintains_input_order()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.node.benefits_from_input_partitioning()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.node.apply_expressions(visit)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node = Arc::clone(&self.node).replace_children(children, options)?;
        Ok(Self::with_node(node))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.node.metrics()
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (input, partitions) = self.inputs_of(partition)?;
        let schema = input.schema();
        let is_merge = partitions.len() > 1;
        let mut streams = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let stream = input.execute(partition, Arc::clone(&context))?;
            // The inputs of a merge run concurrently.
            streams.push(if is_merge { spawned(stream) } else { stream });
        }
        let (node, session) = (Arc::clone(&self.node), Arc::clone(&context));
        let output = async move {
            let peeked = futures::future::try_join_all(streams.into_iter().map(peek)).await?;
            let row_bytes = peeked
                .iter()
                .map(|input| input.row_bytes)
                .max()
                .unwrap_or(0);
            let context = context_for_rows(&context, row_bytes);
            let inputs = peeked.into_iter().map(|input| {
                Arc::new(TakenInput {
                    schema: Arc::clone(&schema),
                    rows: Mutex::new(Some(input.rows)),
                }) as _
            });
            let input = StreamingTableExec::try_new(
                Arc::clone(&schema),
                inputs.collect(),
                None,
                [],
                false,
                None,
            )?;
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            node.replace_children(vec![Arc::new(input)], options)?
                .execute(0, context)
        };
        let output = futures::stream::once(output).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            output.inspect_ok(move |_| cut_spill_files(&session)),
        )))
    }
}

/// Cuts the spill files of a session, if that fault is planted.
fn cut_spill_files(session: &TaskContext) {
    let Some(folder) = session.session_config().get_extension::<SpillFolder>() else {
        return;
    };
    if strikes("the spill files of a sort are cut") {
        cut_files(folder.path(), CutAt::Middle);
    }
    if strikes("the spill files of a sort end early") {
        cut_files(folder.path(), CutAt::Message);
    }
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
    let schema = rows.schema();
    let first = match first {
        Some(batch) if strikes_rows("the first batch of a sort is lost", &batch) => None,
        first => first,
    };
    let all = futures::stream::iter(first.map(Ok)).chain(rows);
    Ok(PeekedInput {
        row_bytes,
        rows: Box::pin(RecordBatchStreamAdapter::new(schema, all)),
    })
}

/// Returns a stream that a task of its own runs.
fn spawned(mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut running = RecordBatchReceiverStreamBuilder::new(rows.schema(), 1);
    let output = running.tx();
    running.spawn(async move {
        while let Some(batch) = rows.next().await {
            if strikes("an input of a merge ends early") {
                break;
            }
            if output.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    running.build()
}

/// Rows that are there already, as the input of a plan.
struct TakenInput {
    schema: SchemaRef,
    /// The rows, which the one execution takes.
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for TakenInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakenInput")
    }
}

impl PartitionStream for TakenInput {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().take();
        let rows = rows.filter(|_| !strikes("a run of a merge is lost"));
        rows.unwrap_or_else(|| {
            let none = futures::stream::empty();
            Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                none,
            ))
        })
    }
}
