//! The reading of JSON lines in a task of another machine.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::engine_error::for_elsewhere;
use crate::jsonl::compression::Compression;
use crate::listing::location::key_url;
use crate::listing::snapshot::SourceFile;
use crate::scan::filter::row_filter::RowFilter;
use crate::scan::json::columns::Columns;
use crate::scan::json::exec::{JsonLinesExec, read_files};
use crate::scan::json::pipeline::ReadSettings;
use crate::scan::remote::lists::{Listed, files, lists};
use crate::scan::remote::tally::Part;
use crate::scan::scan_log::{Scan, ScanCounts};
use crate::task::TaskEnd;

/// All of the operator but its schema, its filters and its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonTask {
    source: String,
    /// The scan's place in the log.
    scan: usize,
    /// `scheme://authority`.
    store: String,
    compression: Compression,
    /// Over the columns of the files, then those of the folders.
    projection: Vec<usize>,
    /// One flag for each leaf of the columns of the files; all are used where there are none.
    leaves: Option<Vec<bool>>,
    /// Whether malformed lines fail the scan.
    set_aside: bool,
}

/// Reads the files that its input lists.
#[derive(Debug)]
pub struct JsonTaskExec {
    task: JsonTask,
    settings: ReadSettings,
    columns: Columns,
    filter: RowFilter,
    lists: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonLinesExec {
    /// The same scan for tasks of other machines. It is `number` in the log.
    pub(crate) fn for_elsewhere(&self, number: usize) -> Result<JsonTaskExec> {
        let settings = self.settings();
        let places: HashMap<&str, usize> = self
            .scan()
            .files
            .iter()
            .enumerate()
            .map(|(place, file)| (file.key.as_str(), place))
            .collect();
        let listed = |part: usize, file: &SourceFile| {
            let key = key_url(&settings.store, &file.meta.location);
            let Some(place) = places.get(key.as_str()) else {
                return internal_err!("`{key}` is in no frozen list");
            };
            Ok(Listed {
                part: part as u64,
                place: *place,
                file: file.clone(),
            })
        };
        let parts = self.groups().iter().enumerate().map(|(part, group)| {
            let files = group.iter().map(|file| listed(part, file));
            files.collect::<Result<Vec<_>>>()
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let folders = settings.schema.table_partition_cols();
        let task = JsonTask {
            source: self.scan().source.clone(),
            scan: number,
            store: settings.store.as_str().to_owned(),
            compression: settings.compression,
            projection: self.columns().projection().to_vec(),
            leaves: self.columns().leaves().map(<[bool]>::to_vec),
            set_aside: self.scan().rejects.is_some(),
        };
        JsonTaskExec::new(
            task,
            settings.schema.clone(),
            self.filter().conditions().to_vec(),
            lists(&parts, folders)?,
        )
    }
}

impl JsonTaskExec {
    /// `lists` has a partition for each part of the scan that is done here.
    pub fn new(
        task: JsonTask,
        schema: TableSchema,
        conditions: Vec<Arc<dyn PhysicalExpr>>,
        lists: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let columns = Columns::new(&schema, &task.projection, task.leaves.as_deref())?;
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
                schema,
                // Each task has memory of its own.
                tasks: parts,
            },
            task,
            columns,
            filter: RowFilter::of(conditions),
            lists,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    pub fn task(&self) -> &JsonTask {
        &self.task
    }

    /// Of the files and their folders.
    pub fn table_schema(&self) -> &TableSchema {
        &self.settings.schema
    }

    /// The columns that the conditions are over.
    pub fn conditions(&self) -> &[Arc<dyn PhysicalExpr>] {
        self.filter.conditions()
    }

    fn over_one(
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
            _ => internal_err!("JsonTaskExec has one input"),
        }
    }
}

impl JsonTask {
    /// The columns that come out, before any filter.
    pub fn output(&self, schema: &TableSchema) -> Result<SchemaRef> {
        project_schema(schema.table_schema(), Some(&self.projection))
    }
}

impl DisplayAs for JsonTaskExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.columns.output().fields().iter();
        let names: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
        write!(
            f,
            "JsonTaskExec: source={}, columns=[{}]{}{}",
            self.task.source,
            names.join(", "),
            self.columns.decoded(),
            self.filter
        )
    }
}

impl ExecutionPlan for JsonTaskExec {
    fn name(&self) -> &'static str {
        "JsonTaskExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.lists]
    }

    /// Another partition of the lists would be another part of the scan.
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
        self.over_one(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over_one(children)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let listed = files(&self.lists, partition)?;
        let part = Part {
            scan: self.task.scan,
            part: listed.first().map_or(0, |file| file.part),
        };
        let store = &self.settings.store;
        let places = listed.iter().map(|listed| {
            let key = key_url(store, &listed.file.meta.location);
            (key, listed.place)
        });
        let reading = Reading {
            places: places.collect(),
            scan: Arc::new(Scan {
                source: self.task.source.clone(),
                files: Vec::new(),
                newest: None,
                counts: ScanCounts::default(),
                rejects: self.task.set_aside.then(Mutex::default),
                unpinned: None,
            }),
            part,
            rows: part.rows(&self.metrics, partition),
            metrics: self.metrics.clone(),
            partition,
            told: false,
            end: TaskEnd::of(&context),
        };
        let scan = Arc::clone(&reading.scan);
        let files = listed.into_iter().map(|listed| listed.file);
        let read = read_files(&self.settings, &self.columns, scan, files, &context)?;
        let schema = Arc::clone(self.columns.output());
        let batches = reading.watch(read.stream(Arc::clone(&schema)));
        let batches = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
        let put_out = MetricBuilder::new(&self.metrics).output_rows(partition);
        self.filter.stream(batches, self.columns.used(), put_out)
    }
}

/// What is to be reported of the reading of one part.
struct Reading {
    /// The files' places in the frozen list, by their names.
    places: HashMap<String, usize>,
    scan: Arc<Scan>,
    part: Part,
    rows: Count,
    metrics: ExecutionPlanMetricsSet,
    partition: usize,
    told: bool,
    end: TaskEnd,
}

impl Reading {
    fn watch(
        self,
        batches: SendableRecordBatchStream,
    ) -> impl futures::Stream<Item = Result<RecordBatch>> {
        futures::stream::unfold((self, batches), |(mut reading, mut batches)| async move {
            match reading.end.unless_ended(batches.try_next()).await {
                Ok(Some(batch)) => {
                    reading.rows.add(batch.num_rows());
                    Some((Ok(batch), (reading, batches)))
                }
                Err(error) => Some((Err(for_elsewhere(error)), (reading, batches))),
                Ok(None) => {
                    reading.tell();
                    None
                }
            }
        })
    }

    /// Reports the malformed lines, once.
    fn tell(&mut self) {
        let Some(rejects) = self.scan.rejects.as_ref().filter(|_| !self.told) else {
            return;
        };
        self.told = true;
        let rejects = rejects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_file: BTreeMap<usize, usize> = BTreeMap::new();
        for reject in rejects.iter() {
            if let Some(place) = self.places.get(&reject.file) {
                *by_file.entry(*place).or_default() += 1;
            }
        }
        for (place, lines) in by_file {
            let count = self.part.rejects(place, &self.metrics, self.partition);
            count.add(lines);
        }
    }
}

impl Drop for Reading {
    /// A query that needs only some rows ends early.
    fn drop(&mut self) {
        self.tell();
    }
}
