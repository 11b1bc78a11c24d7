//! Counts the rows of a scan that another operator does.

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

use crate::scan::remote::tally::Part;
use crate::task::{ordinal, ordinals};

/// Hands on what its input reads, and reports how many rows that was.
#[derive(Debug)]
pub struct CountedExec {
    input: Arc<dyn ExecutionPlan>,
    ordinals: Arc<dyn ExecutionPlan>,
    /// The scan's place in the log.
    scan: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl CountedExec {
    pub(crate) fn over(input: Arc<dyn ExecutionPlan>, scan: usize) -> Result<Self> {
        let parts = input.properties().output_partitioning().partition_count();
        Ok(Self::new(input, ordinals(parts)?, scan))
    }

    /// `ordinals` has the numbers of the partitions of `input`.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        ordinals: Arc<dyn ExecutionPlan>,
        scan: usize,
    ) -> Self {
        Self {
            input,
            ordinals,
            scan,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    pub fn scan(&self) -> usize {
        self.scan
    }

    fn over_both(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        match (children.next(), children.next()) {
            (Some(input), Some(ordinals)) => Ok(Arc::new(Self::new(input, ordinals, self.scan))),
            _ => internal_err!("CountedExec has two inputs"),
        }
    }
}

impl DisplayAs for CountedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountedExec: scan={}", self.scan)
    }
}

impl ExecutionPlan for CountedExec {
    fn name(&self) -> &'static str {
        "CountedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input, &self.ordinals]
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
        self.over_both(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over_both(children)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let part = Part {
            scan: self.scan,
            part: ordinal(&self.ordinals, partition)?,
        };
        // There from the start: who never asks for a row has read none.
        let rows = part.rows(&self.metrics, partition);
        let counted = input.inspect_ok(move |batch| rows.add(batch.num_rows()));
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}
