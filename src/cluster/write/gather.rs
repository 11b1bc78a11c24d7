//! The last task of a plan with several writers, which writes the rows that they forward.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::{TryFutureExt, TryStreamExt};

use crate::cluster::cancellation::TaskCancellation;
use crate::cluster::wire::error::encode_for_wire;
use crate::cluster::write::forwarded_rows::{decode_rows, encode_rows, forwarded_schema};
use crate::cluster::write::remote_writer::RemoteWriter;
use crate::cluster::write::task::RemoteWriteTask;
use crate::stage::PartitionedWriter;
use crate::staged::StagedFile;

/// Writes the rows that the writers of a plan forward, and yields the rows of all staged files.
#[derive(Debug)]
pub(crate) struct GatherExec {
    input: Arc<dyn ExecutionPlan>,
    /// The settings of the writers.
    task: RemoteWriteTask,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GatherExec {
    /// Creates an operator over `input`, whose one partition has the rows of all writers.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, task: RemoteWriteTask) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(forwarded_schema()),
            Partitioning::UnknownPartitioning(1),
            input.properties().emission_type,
            input.properties().boundedness,
        );
        Self {
            input,
            task,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Returns the settings of the writers.
    pub(crate) fn task(&self) -> &RemoteWriteTask {
        &self.task
    }

    fn with_input(
        &self,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => Ok(Arc::new(Self::new(input, self.task.clone()))),
            _ => internal_err!("GatherExec has one input"),
        }
    }
}

impl DisplayAs for GatherExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatherExec")
    }
}

impl ExecutionPlan for GatherExec {
    fn name(&self) -> &'static str {
        "GatherExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_input(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_input(children)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (task, metrics) = (self.task.clone(), self.metrics.clone());
        let cancellation = TaskCancellation::of(&context);
        let work = async move {
            let remote = task.start_gathering(&context).await?;
            let Gathered { mut files, own } = gather(input, &task, &remote, &context).await?;
            remote.finish(&own, &metrics, partition);
            files.extend(own);
            Ok(encode_rows(&files, &[])?)
        };
        let gathered = async move { cancellation.run_until_cancelled(work).await };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            forwarded_schema(),
            futures::stream::once(gathered.map_err(encode_for_wire)),
        )))
    }
}

struct Gathered {
    /// The files of the other writers.
    files: Vec<StagedFile>,
    /// The files with the forwarded rows.
    own: Vec<StagedFile>,
}

async fn gather(
    mut input: SendableRecordBatchStream,
    task: &RemoteWriteTask,
    remote: &RemoteWriter,
    context: &Arc<TaskContext>,
) -> Result<Gathered> {
    let spec = task.spec(context)?;
    let mut files = Vec::new();
    let mut writer: Option<PartitionedWriter> = None;
    while let Some(batch) = input.try_next().await? {
        let (staged, forwarded) = decode_rows(&batch)?;
        files.extend(staged);
        for rows in forwarded {
            let mut open = match writer.take() {
                Some(open) => open,
                None => {
                    let session = Arc::clone(remote.session());
                    PartitionedWriter::new(&spec, &rows.schema(), session, Arc::clone(context))?
                }
            };
            open.write(&rows).await?;
            writer = Some(open);
        }
    }
    let own = match writer {
        Some(writer) => writer.finish().await?,
        None => Vec::new(),
    };
    Ok(Gathered { files, own })
}
