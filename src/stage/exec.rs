//! The operator that a `COPY` plans into.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexRequirement, OrderingRequirements, PhysicalExpr,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;

use crate::encode::Encoding;
use crate::error::Error;
use crate::schema::ExportSchema;
use crate::stage::elsewhere::Elsewhere;
use crate::stage::format::EncodingRecipe;
use crate::stage::writer::Writer;
use crate::stage::{Stage, rows};

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

    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    pub(super) fn elsewhere(&self) -> Option<&Elsewhere> {
        self.elsewhere.as_ref()
    }

    pub fn spec(&self) -> &StageSpec {
        &self.spec
    }

    fn with_inputs(
        &self,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
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
            Writers::ByPartition => self.partition_columns().map_or(
                Distribution::SinglePartition,
                Distribution::HashPartitioned,
            ),
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

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let (mut spec, elsewhere) = (self.spec.clone(), self.elsewhere.clone());
        let written = async move {
            let (stage, give_up) = match elsewhere {
                None => (stage_of_session(&context)?, None),
                Some(elsewhere) => {
                    // Of several writers without rows, each would make one.
                    spec.empty_file = false;
                    let (stage, give_up) = elsewhere.stage(partition, &context).await?;
                    (stage, Some(give_up))
                }
            };
            let mut writer = Writer::new(&spec, &input.schema(), stage, context)?;
            while let Some(batch) = input.next().await {
                writer.write(&batch?).await?;
            }
            let files = writer.finish().await?;
            if let Some(give_up) = give_up {
                give_up.keep();
            }
            Ok(rows::batch(&files)?)
        };
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
