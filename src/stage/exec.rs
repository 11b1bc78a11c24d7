//! The operator that a `COPY` plans into.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::compute::concat_batches;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexRequirement, OrderingRequirements, PhysicalExpr,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryFutureExt};

use crate::encode::Encoding;
use crate::engine_error::for_elsewhere;
use crate::error::Error;
use crate::scan::remote::tally::written;
use crate::schema::ExportSchema;
use crate::stage::elsewhere::Elsewhere;
use crate::stage::format::EncodingRecipe;
use crate::stage::writer::{Writer, Written};
use crate::stage::{Stage, rows};
use crate::task::TaskEnd;

/// What the plan says about the files.
#[derive(Debug, Clone)]
pub struct StageSpec {
    pub encoding: Encoding,
    /// What `encoding` is made of.
    pub recipe: EncodingRecipe,
    /// The columns inside the files.
    pub schema: ExportSchema,
    pub partition_by: Vec<String>,
    /// The columns of `partition_by`, as the query yields them.
    pub partition_columns: ExportSchema,
    /// The column of `schema` that the window selects by, where there is one.
    pub window_column: Option<String>,
    /// Whether no rows at all make one empty file.
    pub empty_file: bool,
}

/// Who writes the rows of a table: an extension of the session that plans it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Writers {
    /// One sees all rows of a partition, so that little data makes one file.
    #[default]
    One,
    /// One for each task of the query, wherever its rows belong.
    EachTask,
    /// All rows of a partition go to one of several.
    ByPartition,
}

/// Writes its input into files with withheld completion; yields one row for each file, see
/// [`staged_files`](crate::stage::staged_files). Where to is in the session's [`Stage`], or, in the
/// tasks of another machine, in the plan.
#[derive(Debug)]
pub struct StageExec {
    input: Arc<dyn ExecutionPlan>,
    spec: StageSpec,
    /// The order that the query asks for, kept inside each file.
    order: Option<LexRequirement>,
    writers: Writers,
    elsewhere: Option<Elsewhere>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl StageExec {
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        spec: StageSpec,
        order: Option<LexRequirement>,
        writers: Writers,
    ) -> Self {
        Self {
            properties: properties(&input),
            input,
            spec,
            order,
            writers,
            elsewhere: None,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// For a task of another machine. Its plan is complete, so that it requires nothing.
    pub(super) fn with_parts(
        input: Arc<dyn ExecutionPlan>,
        spec: StageSpec,
        elsewhere: Elsewhere,
    ) -> Self {
        Self {
            elsewhere: Some(elsewhere),
            ..Self::new(input, spec, None, Writers::EachTask)
        }
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    pub(super) fn elsewhere(&self) -> Option<&Elsewhere> {
        self.elsewhere.as_ref()
    }

    pub fn spec(&self) -> &StageSpec {
        &self.spec
    }

    fn with_inputs(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        let elsewhere = self.elsewhere.as_ref();
        Ok(match (children.next(), children.next(), elsewhere) {
            (Some(input), None, None) => Arc::new(Self::new(
                input,
                self.spec.clone(),
                self.order.clone(),
                self.writers,
            )),
            (Some(input), Some(ordinals), Some(elsewhere)) => Arc::new(Self::with_parts(
                input,
                self.spec.clone(),
                elsewhere.with_ordinals(ordinals),
            )),
            _ => return Err(Error::internal("StageExec has other inputs").into()),
        })
    }

    /// The partition columns, as the input has them.
    fn partition_columns(&self) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        let schema = self.input.schema();
        let columns = self.spec.partition_by.iter();
        columns.map(|name| col(name, &schema)).collect()
    }
}

fn properties(input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(rows::schema()),
        Partitioning::UnknownPartitioning(
            input.properties().output_partitioning().partition_count(),
        ),
        input.properties().emission_type,
        input.properties().boundedness,
    ))
}

impl DisplayAs for StageExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StageExec: format={}, compression={}, partition_by=[{}]",
            self.spec.encoding.format(),
            self.spec.encoding.compression(),
            self.spec.partition_by.join(", ")
        )
    }
}

impl ExecutionPlan for StageExec {
    fn name(&self) -> &str {
        "StageExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        let ordinals = self.elsewhere.as_ref().map(|elsewhere| &elsewhere.ordinals);
        std::iter::once(&self.input).chain(ordinals).collect()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let of_input = match self.writers {
            Writers::One => Distribution::SinglePartition,
            Writers::EachTask => Distribution::UnspecifiedDistribution,
            Writers::ByPartition => self
                .partition_columns()
                .map_or(Distribution::SinglePartition, Distribution::KeyPartitioned),
        };
        let ordinals = self.elsewhere.iter();
        let ordinals = ordinals.map(|_| Distribution::UnspecifiedDistribution);
        InputDistributionRequirements::new(std::iter::once(of_input).chain(ordinals).collect())
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let order = self.order.clone().map(OrderingRequirements::from);
        let ordinals = self.elsewhere.iter().map(|_| None);
        std::iter::once(order).chain(ordinals).collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.children().iter().map(|_| false).collect()
    }

    /// More tasks than the query has would only make more files.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.children().iter().map(|_| false).collect()
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
        // What is written here, whoever runs the plan sees by itself.
        let elsewhere = self.elsewhere.as_ref();
        elsewhere.map(|_| self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let (spec, elsewhere) = (self.spec.clone(), self.elsewhere.clone());
        let is_elsewhere = elsewhere.is_some();
        let is_gathered = elsewhere
            .as_ref()
            .is_some_and(|elsewhere| elsewhere.gathered);
        let metrics = self.metrics.clone();
        let end = TaskEnd::of(&context);
        let written = async move {
            let (stage, began) = match elsewhere {
                None => (stage_of_session(&context)?, None),
                Some(elsewhere) => {
                    let (stage, began) = elsewhere.stage(partition, &context).await?;
                    (stage, Some(began))
                }
            };
            let mut writer = Writer::new(&spec, &input.schema(), stage, context)?;
            if is_gathered {
                writer = writer.handing_on();
            }
            while let Some(batch) = input.next().await {
                writer.write(&batch?).await?;
            }
            let Written { files, handed_on } = writer.finish().await?;
            if let Some(began) = began {
                let rows: u64 = files.iter().map(|file| file.rows).sum();
                let count = written(began.writer, &metrics, partition);
                count.add(usize::try_from(rows).unwrap_or(usize::MAX));
                began.give_up.keep();
            }
            let files = rows::batch(&files)?;
            let handed_on = rows::handing_on(&handed_on)?;
            Ok(concat_batches(
                &rows::schema(),
                std::iter::once(&files).chain(&handed_on),
            )?)
        };
        let written = async move { end.unless_ended(written).await };
        let written = written.map_err(move |error| match is_elsewhere {
            true => for_elsewhere(error),
            false => error,
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            rows::schema(),
            futures::stream::once(written),
        )))
    }
}

fn stage_of_session(context: &TaskContext) -> Result<Arc<Stage>> {
    let stage = context.session_config().get_extension::<Stage>();
    stage.ok_or_else(|| Error::internal("a COPY was executed without a stage").into())
}
