//! Reads JSON lines in a task on another machine.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err, project_schema};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::cluster::cancellation::TaskCancellation;
use crate::cluster::counts::ScanPart;
use crate::cluster::scan::file_list::{RemoteFile, decode_files, encode_files};
use crate::cluster::wire::error::encode_for_wire;
use crate::jsonl::{Compression, Framing, LeafRules};
use crate::listing::location::key_url;
use crate::listing::snapshot::SourceFile;
use crate::memory_budget::MemoryBudget;
use crate::scan::filter::row_filter::{FilterCounts, RowFilter};
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::exec::JsonLinesExec;
use crate::scan::json::pipeline::ReadSettings;
use crate::scan::json::pipeline::scan_files;
use crate::scan::misplaced::TimeCheck;
use crate::scan::record::Scan;

/// The serializable part of a [`RemoteJsonExec`]: all but its schema, its filters and its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemoteJsonTask {
    source: String,
    /// The index of the scan in the log.
    scan: usize,
    /// The root of the object store, `scheme://authority`.
    store: String,
    compression: Compression,
    #[serde(default)]
    framing: Framing,
    /// The indexes of the columns of the files, then those of the folders.
    projection: Vec<usize>,
    /// One flag for each leaf of the columns of the files; `None` if all are used.
    leaves: Option<Vec<bool>>,
    /// The units of the numbers in the timestamps of the files' columns.
    #[serde(default)]
    leaf_rules: LeafRules,
    /// True if malformed lines are set aside; false if the first one fails the scan.
    set_aside: bool,
    /// The rule by which rows are in no cycle.
    #[serde(default)]
    time_check: Option<TimeCheck>,
}

/// Reads the files that its input lists.
#[derive(Debug)]
pub(crate) struct RemoteJsonExec {
    task: RemoteJsonTask,
    settings: ReadSettings,
    columns: ScanColumns,
    filter: RowFilter,
    lists: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RemoteJsonExec {
    /// Creates the remote form of a scan, which has the index `scan` in the log.
    pub(crate) fn over(exec: &JsonLinesExec, scan: usize) -> Result<Self> {
        let settings = exec.settings();
        let indexes: HashMap<&str, usize> = exec
            .scan()
            .files
            .iter()
            .enumerate()
            .map(|(index, file)| (file.key.as_str(), index))
            .collect();
        let remote_file = |part: usize, file: &SourceFile| {
            let key = key_url(&settings.store, &file.meta.location);
            let Some(index) = indexes.get(key.as_str()) else {
                return internal_err!("`{key}` is not in the file-list snapshot");
            };
            Ok(RemoteFile {
                part: part as u64,
                index: *index,
                file: file.clone(),
            })
        };
        let parts = exec
            .groups()
            .iter()
            .enumerate()
            .map(|(part, group)| group.iter().map(|file| remote_file(part, file)).collect())
            .collect::<Result<Vec<Vec<RemoteFile>>>>()?;
        let folders = settings.schema.table_partition_cols();
        let task = RemoteJsonTask {
            source: exec.scan().source.clone(),
            scan,
            store: settings.store.as_str().to_owned(),
            compression: settings.compression,
            framing: settings.framing.clone(),
            projection: exec.columns().projection().to_vec(),
            leaves: exec.columns().leaves().map(<[bool]>::to_vec),
            leaf_rules: exec.columns().leaf_rules().clone(),
            set_aside: exec.scan().rejects.is_some(),
            time_check: exec.scan().time_check.clone(),
        };
        Self::new(
            task,
            settings.schema.clone(),
            exec.filter().conditions().to_vec(),
            encode_files(&parts, folders)?,
        )
    }

    /// Creates an operator that reads the files of `lists`, one partition for each part of the scan.
    pub(crate) fn new(
        task: RemoteJsonTask,
        schema: TableSchema,
        conditions: Vec<Arc<dyn PhysicalExpr>>,
        lists: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let columns = ScanColumns::new(
            &schema,
            &task.projection,
            task.leaves.as_deref(),
            &task.leaf_rules,
        )?;
        let parts = lists.properties().output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(columns.output())),
            Partitioning::UnknownPartitioning(parts),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self {
            settings: ReadSettings {
                store: ObjectStoreUrl::parse(&task.store)?,
                compression: task.compression,
                framing: task.framing.clone(),
                schema,
                // Each task has its own memory.
                tasks: parts,
            },
            task,
            columns,
            filter: RowFilter::new(conditions),
            lists,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Returns the serializable part of the operator.
    pub(crate) fn task(&self) -> &RemoteJsonTask {
        &self.task
    }

    /// Returns the columns of the files and of their folders.
    pub(crate) fn table_schema(&self) -> &TableSchema {
        &self.settings.schema
    }

    /// Returns the conditions that rows must satisfy, over the columns of [`RemoteJsonTask::output`].
    pub(crate) fn conditions(&self) -> &[Arc<dyn PhysicalExpr>] {
        self.filter.conditions()
    }

    fn with_lists(
        &self,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(lists), None) => Ok(Arc::new(Self::new(
                self.task.clone(),
                self.settings.schema.clone(),
                self.filter.conditions().to_vec(),
                lists,
            )?)),
            _ => internal_err!("RemoteJsonExec has one input"),
        }
    }
}

impl RemoteJsonTask {
    /// Returns the columns that the scan emits.
    pub(crate) fn output(&self, schema: &TableSchema) -> Result<SchemaRef> {
        project_schema(schema.table_schema(), Some(&self.projection))
    }
}

impl DisplayAs for RemoteJsonExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.columns.output().fields().iter();
        let names: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
        write!(
            f,
            "RemoteJsonExec: source={}, columns=[{}]{}{}",
            self.task.source,
            names.join(", "),
            self.columns.decoded(),
            self.filter
        )
    }
}

impl ExecutionPlan for RemoteJsonExec {
    fn name(&self) -> &'static str {
        "RemoteJsonExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.lists]
    }

    /// Repartitioned lists would be other parts of the scan.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
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
        self.with_lists(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_lists(children)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let remote_files = decode_files(&self.lists, partition)?;
        let part = ScanPart {
            scan: self.task.scan,
            part: remote_files.first().map_or(0, |file| file.part),
        };
        let store = &self.settings.store;
        let indexes = remote_files.iter().map(|remote| {
            let key = key_url(store, &remote.file.meta.location);
            (key, remote.index)
        });
        let reporter = ScanReporter {
            file_indexes: indexes.collect(),
            scan: Scan::without_files(
                &self.task.source,
                self.task.set_aside.then(Arc::default),
                self.task.time_check.clone(),
            ),
            part,
            rows: part.rows_counter(&self.metrics, partition),
            metrics: self.metrics.clone(),
            partition,
            is_reported: false,
            cancellation: TaskCancellation::of(&context),
        };
        let scan = Arc::clone(&reporter.scan);
        let files = remote_files.into_iter().map(|remote| remote.file);
        let read = scan_files(&self.settings, &self.columns, scan, files, &context)?;
        let schema = Arc::clone(self.columns.output());
        let reported = reporter.report(read.stream(Arc::clone(&schema)));
        let batches = Box::pin(RecordBatchStreamAdapter::new(schema, reported));
        let counts = FilterCounts::new(&self.metrics, partition);
        let budget = MemoryBudget::of(&**context.memory_pool());
        self.filter
            .stream(batches, self.columns.output_mask(), counts, budget)
    }
}

/// Reports the rows and the malformed lines of one part of a scan.
struct ScanReporter {
    /// The index of each file in the scan's list, by its key.
    file_indexes: HashMap<String, usize>,
    scan: Arc<Scan>,
    part: ScanPart,
    rows: Count,
    metrics: ExecutionPlanMetricsSet,
    partition: usize,
    is_reported: bool,
    cancellation: TaskCancellation,
}

impl ScanReporter {
    fn report(
        self,
        batches: SendableRecordBatchStream,
    ) -> impl futures::Stream<Item = Result<RecordBatch>> {
        let state = (self, batches);
        futures::stream::unfold(state, |(mut reporter, mut batches)| async move {
            let next = reporter
                .cancellation
                .run_until_cancelled(batches.try_next());
            match next.await {
                Ok(Some(batch)) => {
                    reporter.rows.add(batch.num_rows());
                    Some((Ok(batch), (reporter, batches)))
                }
                Err(error) => Some((Err(encode_for_wire(error)), (reporter, batches))),
                Ok(None) => {
                    reporter.report_rejects();
                    None
                }
            }
        })
    }

    /// Reports the malformed lines, the bytes of all lines, and the misplaced rows, once.
    fn report_rejects(&mut self) {
        if std::mem::replace(&mut self.is_reported, true) {
            return;
        }
        for (file, misplaced) in self.scan.counts.misplaced.by_file() {
            if let Some(index) = self.file_indexes.get(&file) {
                self.part
                    .report_misplaced(*index, misplaced, &self.metrics, self.partition);
            }
        }
        let Some(rejects) = &self.scan.rejects else {
            return;
        };
        let text_bytes = self.scan.counts.text_bytes.load(Ordering::Relaxed);
        let text = self.part.text_counter(&self.metrics, self.partition);
        text.add(usize::try_from(text_bytes).unwrap_or(usize::MAX));
        for (file, rejects) in rejects.by_file() {
            let Some(index) = self.file_indexes.get(&file) else {
                continue;
            };
            let count = self
                .part
                .rejects_counter(*index, &self.metrics, self.partition);
            count.add(usize::try_from(rejects.lines).unwrap_or(usize::MAX));
        }
    }
}

impl Drop for ScanReporter {
    /// Reports the malformed lines of a query that ends early because it needs only some rows.
    fn drop(&mut self) {
        self.report_rejects();
    }
}
