//! The operator that a `COPY` plans into.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
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

use crate::error::Error;
use crate::planted_fault::strikes_rows;
use crate::stage::partitioned_writer::PartitionedWriter;
use crate::stage::session::StagingSession;
use crate::stage::spec::StageSpec;
use crate::stage::staged_rows::{staged_rows, staged_schema};

/// The distribution of a table's rows to writers: an extension of the session that plans it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DistributionMode {
    /// One writer gets all rows, so that little data makes one file per partition.
    #[default]
    Single,
    /// Each task of the query has a writer of its own, whatever partitions its rows belong to.
    None,
    /// Each of several writers gets all rows of the partitions that hash to it.
    Hash,
}

/// Writes its input into files with withheld completion, and yields one row for each file, see
/// [`staged_files`](crate::stage::staged_files).
///
/// The destination is in the session's [`StagingSession`].
#[derive(Debug)]
pub struct StagedWriteExec {
    input: Arc<dyn ExecutionPlan>,
    spec: StageSpec,
    /// The order that the query requests, kept inside each file.
    order: Option<LexRequirement>,
    mode: DistributionMode,
    properties: Arc<PlanProperties>,
}

impl StagedWriteExec {
    /// Creates an operator that writes the rows of `input`, distributed by `mode`.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        spec: StageSpec,
        order: Option<LexRequirement>,
        mode: DistributionMode,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(staged_schema()),
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
            mode,
            properties: Arc::new(properties),
        }
    }

    /// Returns true if the query requests an order, which each file keeps.
    pub fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Returns the plan whose rows are written.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// Returns the settings of the files.
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
                self.mode,
            ))),
            _ => Err(Error::internal("StagedWriteExec has one input").into()),
        }
    }

    /// Returns the partition columns as expressions over the input.
    fn partition_columns(&self) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        let schema = self.input.schema();
        let columns = self.spec.partition_by.iter();
        columns.map(|name| col(name, &schema)).collect()
    }
}

impl DisplayAs for StagedWriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StagedWriteExec: format={}, compression={}, partition_by=[{}]",
            self.spec.encoding.format(),
            self.spec.encoding.compression(),
            self.spec.partition_by.join(", ")
        )
    }
}

impl ExecutionPlan for StagedWriteExec {
    fn name(&self) -> &'static str {
        "StagedWriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let distribution = match self.mode {
            DistributionMode::Single => Distribution::SinglePartition,
            DistributionMode::None => Distribution::UnspecifiedDistribution,
            DistributionMode::Hash => self
                .partition_columns()
                .map_or(Distribution::SinglePartition, Distribution::KeyPartitioned),
        };
        InputDistributionRequirements::new(vec![distribution])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    /// More tasks than the query has would only make more files.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
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
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let spec = self.spec.clone();
        let staged = async move {
            let session = staging_session(&context)?;
            let mut writer = PartitionedWriter::new(&spec, &input.schema(), session, context)?;
            while let Some(batch) = input.next().await {
                let rows = batch?;
                if strikes_rows("a batch of the query is not written", &rows) {
                    continue;
                }
                if strikes_rows("a batch of the query is written twice", &rows) {
                    writer.write(&rows).await?;
                }
                writer.write(&rows).await?;
            }
            let files = writer.finish().await?;
            Ok(staged_rows(&files)?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            staged_schema(),
            futures::stream::once(staged),
        )))
    }
}

fn staging_session(context: &TaskContext) -> Result<Arc<StagingSession>> {
    let session = context.session_config().get_extension::<StagingSession>();
    session.ok_or_else(|| Error::internal("a COPY was executed without a staging session").into())
}
