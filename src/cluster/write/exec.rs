//! The operator that writes a partition of a plan in a task on another machine.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt, TryFutureExt};

use crate::cluster::cancellation::TaskCancellation;
use crate::cluster::partition_index::{partition_index, partition_indexes};
use crate::cluster::wire::error::encode_for_wire;
use crate::cluster::write::forwarded_rows::{encode_rows, forwarded_schema};
use crate::cluster::write::forwarding_writer::{ForwardingWriter, Written};
use crate::cluster::write::staging_config::RemoteStagingConfig;
use crate::cluster::write::task::RemoteWriteTask;
use crate::stage::{PartitionedWriter, StagedWriteExec};

/// Writes its input like a [`StagedWriteExec`], as one of several writers: each partition of the input
/// is a writer.
///
/// Yields the rows of staged files, and one more row if it forwards rows. Its plan is complete, so it
/// requires no distribution and no order.
#[derive(Debug)]
pub(crate) struct RemoteStagedWriteExec {
    input: Arc<dyn ExecutionPlan>,
    partition_indexes: Arc<dyn ExecutionPlan>,
    task: RemoteWriteTask,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RemoteStagedWriteExec {
    /// Creates the remote form of an operator. If there are several writers, they forward partitions
    /// with few rows to a last one that gathers them, unless the query requests an order.
    pub(crate) fn over(exec: &StagedWriteExec, config: RemoteStagingConfig) -> Result<Self> {
        let input = Arc::clone(exec.input());
        let partitions = input.properties().output_partitioning().partition_count();
        let is_gathered = partitions > 1 && !exec.is_ordered();
        let task = RemoteWriteTask::new(exec.spec(), config, partitions, is_gathered);
        Ok(Self::new(task, input, partition_indexes(partitions)?))
    }

    /// Creates an operator over some partitions of the input, with their indexes in the whole plan.
    pub(crate) fn new(
        task: RemoteWriteTask,
        input: Arc<dyn ExecutionPlan>,
        partition_indexes: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(forwarded_schema()),
            Partitioning::UnknownPartitioning(
                input.properties().output_partitioning().partition_count(),
            ),
            input.properties().emission_type,
            input.properties().boundedness,
        );
        Self {
            input,
            partition_indexes,
            task,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Returns the serializable part of the operator.
    pub(crate) fn task(&self) -> &RemoteWriteTask {
        &self.task
    }

    fn with_inputs(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        match (children.next(), children.next()) {
            (Some(input), Some(indexes)) => {
                Ok(Arc::new(Self::new(self.task.clone(), input, indexes)))
            }
            _ => internal_err!("RemoteStagedWriteExec has two inputs"),
        }
    }
}

impl DisplayAs for RemoteStagedWriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RemoteStagedWriteExec: writers={}, gathered={}",
            self.task.writers(),
            self.task.is_gathered()
        )
    }
}

impl ExecutionPlan for RemoteStagedWriteExec {
    fn name(&self) -> &'static str {
        "RemoteStagedWriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input, &self.partition_indexes]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false, false]
    }

    /// More tasks than the query has would only make more files.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_inputs(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_inputs(children)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let index = partition_index(&self.partition_indexes, partition)?;
        let (task, metrics) = (self.task.clone(), self.metrics.clone());
        let cancellation = TaskCancellation::of(&context);
        let work = async move {
            let remote = task.start(index, &context).await?;
            let spec = task.spec(&context)?;
            let session = Arc::clone(remote.session());
            let writer = PartitionedWriter::new(&spec, &input.schema(), session, context)?;
            let mut forwarding = match task.is_gathered() {
                true => {
                    let format = spec.encoding.format();
                    ForwardingWriter::new(writer, remote.session().target_file_size(format))
                }
                false => ForwardingWriter::without_forwarding(writer),
            };
            while let Some(batch) = input.next().await {
                forwarding.write(&batch?).await?;
            }
            let Written { files, forwarded } = forwarding.finish().await?;
            remote.finish(&files, &metrics, partition);
            Ok(encode_rows(&files, &forwarded)?)
        };
        let staged = async move { cancellation.run_until_cancelled(work).await };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            forwarded_schema(),
            futures::stream::once(staged.map_err(encode_for_wire)),
        )))
    }
}
