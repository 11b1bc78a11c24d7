//! The operator that reads JSON lines.

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
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::listing::snapshot::SourceFile;
use crate::scan::batch_channel::{BatchReceiver, batch_channel};
use crate::scan::filter::row_filter::RowFilter;
use crate::scan::json::columns::Columns;
use crate::scan::json::pipeline::{ReadSettings, Reader, SharedFile, read};
use crate::scan::record::Scan;
use crate::scan::shared::request::ScanRequest;

/// Reads files of JSON lines, in one task for each group of files, or returns the rows of the shared
/// scan that its request is assigned to.
///
/// Its columns are those of the projection. It can be executed once: its counts add up.
#[derive(Debug, Clone)]
pub(crate) struct JsonLinesExec {
    groups: Vec<Vec<SourceFile>>,
    settings: ReadSettings,
    columns: Columns,
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
        columns: Columns,
        scan: Arc<Scan>,
        request: Option<Arc<ScanRequest>>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(columns.output())),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        // Its stream is a tokio channel, which yields by itself.
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
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    #[cfg(feature = "cluster")]
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

/// Starts a reading of `files` for one scan alone.
pub(crate) fn read_files(
    settings: &ReadSettings,
    columns: &Columns,
    scan: Arc<Scan>,
    files: impl IntoIterator<Item = SourceFile>,
    context: &TaskContext,
) -> Result<BatchReceiver> {
    let (senders, receiver) = batch_channel(1);
    let files = files.into_iter().map(|file| SharedFile {
        file,
        readers: vec![0],
    });
    let readers = senders.into_iter().map(|sender| Reader {
        columns: columns.clone(),
        scan: Arc::clone(&scan),
        sender,
    });
    read(settings, files.collect(), readers.collect(), context)?;
    Ok(receiver)
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
        asked: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(self
            .filter
            .take_over(phase, &asked, |filter| self.with_filter(filter)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// Dropping the stream ends the tasks behind it.
    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(files) = self.groups.get(partition) else {
            return internal_err!("JsonLinesExec has no partition {partition}");
        };
        let schema = Arc::clone(self.columns.output());
        let rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let request = self.request.as_ref();
        let batches = match request.and_then(|request| request.open(partition, self.groups.len())) {
            Some(input) => input.stream(&context, schema)?,
            None => {
                let scan = Arc::clone(&self.scan);
                let files = files.iter().cloned();
                read_files(&self.settings, &self.columns, scan, files, &context)?.stream(schema)
            }
        };
        self.filter.stream(batches, self.columns.used(), rows)
    }
}
