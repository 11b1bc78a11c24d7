//! The operator that scans JSON lines.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::listing::snapshot::SourceFile;
use crate::memory_budget::MemoryBudget;
use crate::scan::filter::row_filter::{FilterCounts, RowFilter};
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::pipeline::{ReadSettings, scan_files};
use crate::scan::record::Scan;
use crate::scan::shared::request::ScanRequest;

/// Scans files of JSON lines, with one pipeline for each group of files, or takes its rows from the
/// shared scan that its request is assigned to.
///
/// The output columns are those of the projection. The operator can be executed only once, since its
/// counts accumulate.
#[derive(Debug, Clone)]
pub(crate) struct JsonLinesExec {
    groups: Vec<Vec<SourceFile>>,
    settings: ReadSettings,
    columns: ScanColumns,
    scan: Arc<Scan>,
    request: Option<Arc<ScanRequest>>,
    filter: RowFilter,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonLinesExec {
    pub(crate) fn new(
        groups: Vec<Vec<SourceFile>>,
        settings: ReadSettings,
        columns: ScanColumns,
        scan: Arc<Scan>,
        request: Option<Arc<ScanRequest>>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(columns.output())),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        // The stream is a tokio channel, which yields cooperatively.
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            groups,
            settings,
            columns,
            scan,
            request,
            filter: RowFilter::default(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn groups(&self) -> &[Vec<SourceFile>] {
        &self.groups
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn settings(&self) -> &ReadSettings {
        &self.settings
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn columns(&self) -> &ScanColumns {
        &self.columns
    }

    pub(crate) fn scan(&self) -> &Arc<Scan> {
        &self.scan
    }

    pub(crate) fn filter(&self) -> &RowFilter {
        &self.filter
    }

    pub(crate) fn with_filter(&self, filter: RowFilter) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            filter,
            metrics: ExecutionPlanMetricsSet::new(),
            ..self.clone()
        })
    }
}

impl DisplayAs for JsonLinesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.groups.iter().map(Vec::len).sum();
        let fields = self.columns.output().fields().iter();
        let names: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
        write!(
            f,
            "JsonLinesExec: source={}, files={files}, columns=[{}]{}{}",
            self.scan.source,
            names.join(", "),
            self.columns.decoded(),
            self.filter
        )
    }
}

impl ExecutionPlan for JsonLinesExec {
    fn name(&self) -> &'static str {
        "JsonLinesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

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

    /// Starts the scan. Dropping the stream ends its tasks.
    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(files) = self.groups.get(partition) else {
            return internal_err!("JsonLinesExec has no partition {partition}");
        };
        let schema = Arc::clone(self.columns.output());
        let counts = FilterCounts::new(&self.metrics, partition);
        let request = self.request.as_ref();
        let batches = match request.and_then(|request| request.open(partition, self.groups.len())) {
            Some(input) => input.stream(&context, schema)?,
            None => {
                let scan = Arc::clone(&self.scan);
                let files = files.iter().cloned();
                scan_files(&self.settings, &self.columns, scan, files, &context)?.stream(schema)
            }
        };
        let budget = MemoryBudget::of(&**context.memory_pool());
        self.filter
            .stream(batches, self.columns.output_mask(), counts, budget)
    }
}
