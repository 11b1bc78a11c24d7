//! Counts the rows of a scan that another operator reads.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::TryStreamExt;

use crate::cluster::counts::ScanPart;
use crate::cluster::partition_index::{partition_index, partition_indexes};
use crate::cluster::wire::error::encode_for_wire;
use crate::scan::parquet::source::with_checks;

/// Forwards the rows of its input, and reports how many rows each part of the scan has.
#[derive(Debug)]
pub(crate) struct RowCountExec {
    input: Arc<dyn ExecutionPlan>,
    partition_indexes: Arc<dyn ExecutionPlan>,
    /// The index of the scan in the log.
    scan: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl RowCountExec {
    /// Creates an operator over the whole of a scan, before a scheduler cuts it.
    pub(crate) fn over(input: Arc<dyn ExecutionPlan>, scan: usize) -> Result<Self> {
        let parts = input.properties().output_partitioning().partition_count();
        Ok(Self::new(input, partition_indexes(parts)?, scan))
    }

    /// Creates an operator over some partitions of a scan, with their indexes in the whole scan.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        partition_indexes: Arc<dyn ExecutionPlan>,
        scan: usize,
    ) -> Self {
        Self {
            input,
            partition_indexes,
            scan,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Returns the index of the scan in the log.
    pub(crate) fn scan(&self) -> usize {
        self.scan
    }

    fn with_inputs(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        match (children.next(), children.next()) {
            (Some(input), Some(indexes)) => Ok(Arc::new(Self::new(input, indexes, self.scan))),
            _ => internal_err!("RowCountExec has two inputs"),
        }
    }
}

impl DisplayAs for RowCountExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowCountExec: scan={}", self.scan)
    }
}

impl ExecutionPlan for RowCountExec {
    fn name(&self) -> &'static str {
        "RowCountExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input, &self.partition_indexes]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
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
        self.with_inputs(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_inputs(children)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        // The plan was encoded without the checks of values.
        let checked = with_checks(&self.input).unwrap_or_else(|| Arc::clone(&self.input));
        let input = checked.execute(partition, context)?;
        let part = ScanPart {
            scan: self.scan,
            part: partition_index(&self.partition_indexes, partition)?,
        };
        // Registered up front, so that a partition that is never polled reports 0.
        let rows = part.rows_counter(&self.metrics, partition);
        let counted = input
            .inspect_ok(move |batch| rows.add(batch.num_rows()))
            .map_err(encode_for_wire);
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}
