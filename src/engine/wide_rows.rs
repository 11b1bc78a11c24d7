//! Sorts, merges and filters of rows of any width: an operator in place of each of DataFusion's.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::{
    RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt};

use crate::engine::wrapped_node::leave_to_node;
use crate::planted_fault::{CutAt, cut_files, strikes};
use crate::spill_folder::SpillFolder;
use crate::wide_sort::{WideRowsSeen, merge_rows, over_wide_rows, sort_rows};

/// The number of rows that a filter collects; DataFusion's default.
const MAX_FILTERED_ROWS: usize = 8192;

/// Wraps each sort and each merge of a plan, but those that keep only a number of rows, and each filter.
pub(super) fn sort_wide_rows(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let is_sort = node.is::<SortExec>() || node.is::<SortPreservingMergeExec>();
        if node.is::<FilterExec>() || is_sort && node.fetch().is_none() {
            return Ok(Transformed::yes(WideRowsExec::with_node(node)));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(wrapped.data)
}

/// A sort, a merge or a filter of rows of any width.
#[derive(Debug)]
struct WideRowsExec {
    /// The operator of DataFusion.
    node: Arc<dyn ExecutionPlan>,
    /// The note of a sort that its rows are wide.
    seen: WideRowsSeen,
}

impl WideRowsExec {
    fn with_node(node: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            node,
            seen: WideRowsSeen::default(),
        })
    }

    /// Adds the notes of the sorts below a node.
    fn notes_below(node: &Arc<dyn ExecutionPlan>, notes: &mut Vec<WideRowsSeen>) {
        if let Some(sort) = node.downcast_ref::<WideRowsExec>() {
            notes.push(sort.seen.clone());
        }
        for child in node.children() {
            Self::notes_below(child, notes);
        }
    }

    fn sort(
        &self,
        sort: &SortExec,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = sort.input().execute(partition, Arc::clone(&context))?;
        let session = Arc::clone(&context);
        let sorted = sort_rows(sort.expr(), input, context, self.seen.clone());
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            sorted.inspect_ok(move |_| cut_spill_files(&session)),
        )))
    }

    /// Filters rows. DataFusion collects those that pass until they are a batch of a fixed number of rows.
    fn filter(
        &self,
        filter: &FilterExec,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = filter.input().execute(partition, Arc::clone(&context))?;
        let schema = input.schema();
        let running = over_wide_rows(Arc::clone(&self.node), vec![input], schema, context);
        let output = async {
            let (node, context) = running.await?;
            let Some(filter) = node.downcast_ref::<FilterExec>() else {
                return internal_err!("a filter is no filter over other rows");
            };
            // It has a number of its own, which is not that of the context.
            let rows = context.session_config().batch_size().min(MAX_FILTERED_ROWS);
            filter.with_batch_size(rows)?.execute(0, context)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            futures::stream::once(output).try_flatten(),
        )))
    }

    fn merge(
        merge: &SortPreservingMergeExec,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = merge.input();
        let count = input.properties().output_partitioning().partition_count();
        let mut inputs = Vec::with_capacity(count);
        for partition in 0..count {
            let rows = input.execute(partition, Arc::clone(&context))?;
            // The inputs of a merge run concurrently.
            inputs.push(if count > 1 { spawned(rows) } else { rows });
        }
        let mut notes = Vec::new();
        Self::notes_below(input, &mut notes);
        merge_rows(merge.expr(), inputs, context, notes)
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

    leave_to_node!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node = Arc::clone(&self.node).replace_children(children, options)?;
        Ok(Self::with_node(node))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if let Some(sort) = self.node.downcast_ref::<SortExec>() {
            return self.sort(sort, partition, context);
        }
        if let Some(filter) = self.node.downcast_ref::<FilterExec>() {
            return self.filter(filter, partition, context);
        }
        match self.node.downcast_ref::<SortPreservingMergeExec>() {
            Some(merge) => Self::merge(merge, context),
            None => internal_err!("neither a sort nor a merge nor a filter"),
        }
    }
}

/// Returns the operator of DataFusion that a plan's operator stands for, if it is one of these.
pub(super) fn node_of(plan: &Arc<dyn ExecutionPlan>) -> &Arc<dyn ExecutionPlan> {
    match plan.downcast_ref::<WideRowsExec>() {
        Some(wrapper) => &wrapper.node,
        None => plan,
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

/// Returns a stream that a task of its own runs.
fn spawned(mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut running = RecordBatchReceiverStreamBuilder::new(rows.schema(), 1);
    let output = running.tx();
    running.spawn(async move {
        // The next batch is made once there is room for it: it may be large.
        while let Ok(place) = output.reserve().await
            && let Some(batch) = rows.next().await
        {
            if strikes("an input of a merge ends early") {
                break;
            }
            place.send(batch);
        }
        Ok(())
    });
    running.build()
}
