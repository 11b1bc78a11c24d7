//! The operator that reads JSON lines.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err, project_schema};
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
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use tokio::sync::mpsc;

use super::super::frozen::SourceFile;
use super::super::scan_log::Scan;
use super::compression::Compression;
use super::decode::{BadLine, Decoded, LineDecoder};
use super::fetch::fetch;
use super::lines::{LONGEST_LINE, Piece};
use super::pieces::{FilePiece, PieceSource, send_pieces};
use crate::error::Error;

/// Batches that wait for the operator above.
const BATCHES_AHEAD: usize = 2;
/// Pieces of files that wait for the decoder.
const PIECES_AHEAD: usize = 2;
/// Files that are opened before the one being inflated is done.
const FILES_AHEAD: usize = 1;

/// Reads files of JSON lines: one partition for each group of files, in the order of the group.
///
/// Its columns are those of the projection. It can be executed once: its counts add up.
#[derive(Debug)]
pub(in super::super) struct JsonLinesExec {
    store: ObjectStoreUrl,
    groups: Vec<Vec<SourceFile>>,
    compression: Compression,
    columns: Columns,
    scan: Arc<Scan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonLinesExec {
    /// # Errors
    /// Where `projection` names a column that is not in `schema`.
    pub(in super::super) fn new(
        store: ObjectStoreUrl,
        groups: Vec<Vec<SourceFile>>,
        compression: Compression,
        schema: &TableSchema,
        projection: Option<&Vec<usize>>,
        scan: Arc<Scan>,
    ) -> Result<Self> {
        let columns = Columns::new(schema, projection)?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&columns.output)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        // Its stream is a tokio channel, which yields by itself.
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self {
            store,
            groups,
            compression,
            columns,
            scan,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for JsonLinesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.groups.iter().map(Vec::len).sum();
        let fields = self.columns.output.fields().iter();
        let names: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
        write!(
            f,
            "JsonLinesExec: source={}, files={files}, columns=[{}]",
            self.scan.source,
            names.join(", ")
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

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// Starts the three tasks of one partition. Dropping the stream ends them.
    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(files) = self.groups.get(partition).cloned() else {
            return internal_err!("JsonLinesExec has no partition {partition}");
        };
        let store = context.runtime_env().object_store(&self.store)?;
        let batch_size = context.session_config().batch_size();
        let decoder = LineDecoder::new(Arc::clone(&self.columns.decoded), batch_size)?;
        let bytes_scanned = MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition);
        let output_rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let compression = self.compression;

        let (opened, to_inflate) = mpsc::channel(FILES_AHEAD);
        let (pieces, to_decode) = mpsc::channel(PIECES_AHEAD);
        let schema = Arc::clone(&self.columns.output);
        let mut tasks = RecordBatchReceiverStreamBuilder::new(schema, BATCHES_AHEAD);
        let store_url = self.store.clone();
        tasks.spawn(async move {
            fetch(store, store_url, files, opened).await;
            Ok(())
        });
        let scan = Arc::clone(&self.scan);
        tasks.spawn_blocking(move || {
            send_pieces(to_inflate, compression, &scan, &bytes_scanned, &pieces);
            Ok(())
        });
        let decoding = Decoding {
            decoder,
            columns: self.columns.clone(),
            scan: Arc::clone(&self.scan),
            output_rows,
            batches: tasks.tx(),
        };
        tasks.spawn(async move {
            decoding.run(to_decode).await;
            Ok(())
        });
        Ok(tasks.build())
    }
}

/// The decoding task of one partition.
struct Decoding {
    decoder: LineDecoder,
    columns: Columns,
    scan: Arc<Scan>,
    output_rows: Count,
    batches: mpsc::Sender<Result<RecordBatch>>,
}

impl Decoding {
    /// Decodes pieces until there are none, one fails, or nobody takes the batches any more.
    async fn run(mut self, mut pieces: mpsc::Receiver<crate::error::Result<FilePiece>>) {
        while let Some(piece) = pieces.recv().await {
            let decoded = piece
                .map_err(DataFusionError::from)
                .and_then(|piece| self.decode(&piece));
            let batches = match decoded {
                Ok(batches) => batches,
                Err(error) => {
                    // Nobody to tell means that nobody needs it.
                    let _ = self.batches.send(Err(error)).await;
                    return;
                }
            };
            for batch in batches {
                let rows = batch.num_rows();
                if self.batches.send(Ok(batch)).await.is_err() {
                    return;
                }
                self.output_rows.add(rows);
                let counts = &self.scan.counts;
                counts.rows_read.fetch_add(rows as u64, Ordering::Relaxed);
            }
        }
    }

    fn decode(&mut self, piece: &FilePiece) -> Result<Vec<RecordBatch>> {
        let key = &piece.source.key;
        let chunk = match &piece.piece {
            Piece::Lines(chunk) => chunk,
            Piece::TooLong { line, offset } => {
                let bad = BadLine {
                    line: *line,
                    offset: *offset,
                    reason: format!("the line is longer than {} MiB", LONGEST_LINE >> 20),
                };
                self.scan.bad_line(key, bad)?;
                return Ok(Vec::new());
            }
        };
        let decoded = if self.scan.sets_aside() {
            self.decoder.decode_and_set_aside(chunk)?
        } else {
            let batches = self.decoder.decode(chunk);
            Decoded {
                batches: batches.map_err(|bad| bad.error(key))?,
                bad: Vec::new(),
            }
        };
        let rows: usize = decoded.batches.iter().map(RecordBatch::num_rows).sum();
        let lines = chunk.lines().count();
        if rows + decoded.bad.len() != lines {
            let bad = decoded.bad.len();
            return Err(Error::internal(format!(
                "`{key}`: {lines} lines gave {rows} rows and {bad} rejects"
            ))
            .into());
        }
        for bad in decoded.bad {
            self.scan.bad_line(key, bad)?;
        }
        let batches = decoded.batches.iter();
        batches
            .map(|batch| self.columns.complete(batch, &piece.source))
            .collect()
    }
}

/// Where each column of the output comes from.
#[derive(Debug, Clone)]
struct Columns {
    output: SchemaRef,
    /// The columns that are decoded from the lines.
    decoded: SchemaRef,
    origins: Vec<Origin>,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    /// By its place in the decoded batch.
    Line(usize),
    /// By its place among the partition columns.
    Folder(usize),
}

impl Columns {
    fn new(schema: &TableSchema, projection: Option<&Vec<usize>>) -> Result<Self> {
        let output = project_schema(schema.table_schema(), projection)?;
        let in_files = schema.file_schema().fields().len();
        let all: Vec<usize> = (0..schema.table_schema().fields().len()).collect();
        let mut decoded = Vec::new();
        let mut origins = Vec::new();
        for column in projection.unwrap_or(&all) {
            if *column < in_files {
                origins.push(Origin::Line(decoded.len()));
                decoded.push(Arc::clone(&schema.file_schema().fields()[*column]));
            } else {
                origins.push(Origin::Folder(*column - in_files));
            }
        }
        Ok(Self {
            output,
            decoded: Arc::new(Schema::new(decoded)),
            origins,
        })
    }

    /// Adds the folder's values to decoded rows.
    fn complete(&self, batch: &RecordBatch, source: &PieceSource) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self.origins.iter().map(|origin| match *origin {
            Origin::Line(column) => Ok(Arc::clone(batch.column(column))),
            Origin::Folder(column) => match source.partition.get(column) {
                Some(value) => value.to_array_of_size(rows),
                None => internal_err!("`{}` has no partition value {column}", source.key),
            },
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        // Without columns, the number of rows is all there is.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.output);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}
