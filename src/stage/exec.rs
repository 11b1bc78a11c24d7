//! The operator that a `COPY` plans into.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
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
use crate::stage::writer::Writer;
use crate::stage::{Stage, rows};

/// What the plan says about the files.
#[derive(Debug, Clone)]
pub struct StageSpec {
    pub encoding: Encoding,
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

/// Writes its input into files with withheld completion; yields one row for each file, see
/// [`staged_files`](crate::stage::staged_files). Where to is in the session's [`Stage`].
#[derive(Debug)]
pub struct StageExec {
    input: Arc<dyn ExecutionPlan>,
    spec: StageSpec,
    /// The order that the query asks for, kept inside each file.
    order: Option<LexRequirement>,
    properties: Arc<PlanProperties>,
}

impl StageExec {
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        spec: StageSpec,
        order: Option<LexRequirement>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(rows::schema()),
            Partitioning::UnknownPartitioning(
                input.properties().output_partitioning().partition_count(),
            ),
            input.properties().emission_type,
            input.properties().boundedness,
        );
        Self {
            input,
            spec,
            order,
            properties: Arc::new(properties),
        }
    }

    pub fn spec(&self) -> &StageSpec {
        &self.spec
    }

    fn with_input(
        &self,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => Ok(Arc::new(Self::new(
                input,
                self.spec.clone(),
                self.order.clone(),
            ))),
            _ => Err(Error::internal("StageExec has one input").into()),
        }
    }
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
        vec![&self.input]
    }

    /// One writer sees all rows of a partition, so that little data makes one file.
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
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
        let stage = context
            .session_config()
            .get_extension::<Stage>()
            .ok_or_else(|| {
                DataFusionError::from(Error::internal("a COPY was executed without a stage"))
            })?;
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let spec = self.spec.clone();
        let written = async move {
            let mut writer = Writer::new(&spec, &input.schema(), stage, context)?;
            while let Some(batch) = input.next().await {
                writer.write(&batch?).await?;
            }
            Ok(rows::batch(&writer.finish().await?)?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            rows::schema(),
            futures::stream::once(written),
        )))
    }
}
