//! The operator that scans Parquet files, by itself or as part of a shared scan.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

use crate::jsonl::LeafMask;
use crate::memory_budget::MemoryBudget;
use crate::scan::filter::row_filter::{FilterCounts, RowFilter};
use crate::scan::record::Scan;
use crate::scan::shared::request::ScanRequest;

/// Returns the rows of the shared scan that its request is assigned to, or else those of its input,
/// DataFusion's own reader of the same files.
#[derive(Debug)]
pub(crate) struct SharedParquetExec {
    input: Arc<dyn ExecutionPlan>,
    request: Arc<ScanRequest>,
    filter: RowFilter,
    /// The leaves of its rows that the plan uses, if it does not use all of them.
    used: Option<Arc<LeafMask>>,
    metrics: ExecutionPlanMetricsSet,
}

impl SharedParquetExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        request: Arc<ScanRequest>,
        used: Option<Arc<LeafMask>>,
    ) -> Self {
        Self {
            input,
            request,
            filter: RowFilter::default(),
            used,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn over_one(
        &self,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => Ok(self.over(input)),
            _ => internal_err!("SharedParquetExec has one input"),
        }
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let over = Self::new(input, Arc::clone(&self.request), self.used.clone());
        over.with_filter(self.filter.clone())
    }

    pub(crate) fn scan(&self) -> &Arc<Scan> {
        &self.request.scan
    }

    pub(crate) fn filter(&self) -> &RowFilter {
        &self.filter
    }

    pub(crate) fn with_filter(&self, filter: RowFilter) -> Arc<dyn ExecutionPlan> {
        let input = Arc::clone(&self.input);
        let mut with = Self::new(input, Arc::clone(&self.request), self.used.clone());
        with.filter = filter;
        Arc::new(with)
    }
}

impl DisplayAs for SharedParquetExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.request.source();
        write!(f, "SharedParquetExec: source={source}{}", self.filter)
    }
}

impl ExecutionPlan for SharedParquetExec {
    fn name(&self) -> &'static str {
        "SharedParquetExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        self.over_one(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over_one(children)
    }

    fn repartitioned(
        &self,
        partitions: usize,
        config: &ConfigOptions,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let input = self.input.repartitioned(partitions, config)?;
        Ok(input.map(|input| self.over(input)))
    }

    /// Passes the filters on to the reader below, which skips row groups by them unless the scan is
    /// shared.
    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(filters, &self.children())
    }

    /// Takes over the filters: the reader below skips only whole row groups, and a shared scan
    /// returns the rows that other plans need, too.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        pushdown: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(self
            .filter
            .accept_pushdown(phase, &pushdown, |filter| self.with_filter(filter)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let partitions = self.properties().output_partitioning().partition_count();
        let budget = MemoryBudget::of(&**context.memory_pool());
        let batches = match self.request.open(partition, partitions) {
            Some(input) => input.stream(&context, self.schema())?,
            None => self.input.execute(partition, context)?,
        };
        let counts = FilterCounts::new(&self.metrics, partition);
        self.filter
            .stream(batches, self.used.clone(), counts, budget)
    }
}
