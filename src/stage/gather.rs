//! The last task of a plan whose writers are several: it writes the rows that they handed on.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::{TryFutureExt, TryStreamExt};

use crate::engine_error::for_elsewhere;
use crate::scan::remote::tally::written;
use crate::stage::elsewhere::{Began, StageTask};
use crate::stage::exec::StageSpec;
use crate::stage::writer::Writer;
use crate::stage::{Stage, rows};
use crate::task::TaskEnd;

/// Takes the rows of staged files from all writers of a plan, and what they handed on; yields the
/// rows of all files.
#[derive(Debug)]
pub struct GatherExec {
    input: Arc<dyn ExecutionPlan>,
    /// That of the writers.
    task: StageTask,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GatherExec {
    /// `input` has one partition, with what all writers yield.
    pub fn new(input: Arc<dyn ExecutionPlan>, task: StageTask) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(rows::schema()),
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

    pub fn task(&self) -> &StageTask {
        &self.task
    }

    fn over(&self, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
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
        self.over(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(children)
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
        let end = TaskEnd::of(&context);
        let gathered = async move {
            let (stage, began) = task.gathering(&context).await?;
            let spec = task.spec(&context)?;
            gather(input, &spec, stage, began, &context, |writer| {
                written(writer, &metrics, partition)
            })
            .await
        };
        let gathered = async move { end.unless_ended(gathered).await };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            rows::schema(),
            futures::stream::once(gathered.map_err(for_elsewhere)),
        )))
    }
}

async fn gather(
    mut input: SendableRecordBatchStream,
    spec: &StageSpec,
    stage: Arc<Stage>,
    began: Began,
    context: &Arc<TaskContext>,
    count: impl FnOnce(u64) -> Count,
) -> Result<RecordBatch> {
    let mut files = Vec::new();
    let mut writer: Option<Writer> = None;
    while let Some(batch) = input.try_next().await? {
        let (staged, handed_on) = rows::take_apart(&batch)?;
        files.extend(staged);
        for rows in handed_on {
            let mut open = match writer.take() {
                Some(open) => open,
                None => {
                    let (stage, context) = (Arc::clone(&stage), Arc::clone(context));
                    Writer::new(spec, &rows.schema(), stage, context)?
                }
            };
            open.write(&rows).await?;
            writer = Some(open);
        }
    }
    let own = match writer {
        Some(writer) => writer.finish().await?.files,
        None => Vec::new(),
    };
    let rows: u64 = own.iter().map(|file| file.rows).sum();
    count(began.writer).add(usize::try_from(rows).unwrap_or(usize::MAX));
    files.extend(own);
    began.give_up.keep();
    Ok(rows::batch(&files)?)
}
