//! Routes rows to the partitions they belong to, in bounded memory.
//!
//! The first partitions that appear get an open file each, as long as memory lasts; their rows are
//! encoded while the query runs. Rows of all later partitions go through an external sort by
//! partition ([`Overflow`]), which spills to disk, and are written one partition after another at
//! the end. So every partition is written by one task, and small data gives one shard a partition.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::encode::Encoding;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::layout::Partition;
use crate::schema::ExportSchema;
use crate::stage::few::Few;
use crate::stage::overflow::Overflow;
use crate::stage::shard::{Compressing, ShardSettings, SharedPool, write_partition};
use crate::stage::split::{Group, Splitter, columns_named, picked, taken};
use crate::stage::{Stage, StageSpec};
use crate::staged::StagedFile;
use crate::store::CONCURRENCY;

/// Files open at once, however much memory there is.
const MOST_OPEN: usize = 512;

/// Fewer rows are not sent to a file by themselves.
const FEW_ROWS: usize = 256;

/// Files that are to be smaller than this may end after any row.
const SMALL_FILE: u64 = 1 << 20;

/// Batches on their way to one file.
const QUEUED_BATCHES: usize = 2;

/// The share of the memory pool that open files may begin with: the rest is for their growth, the
/// query and the sort, which needs room to merge in (six tables of 400 days at 512 MiB).
const OPENING_SHARE: usize = 12;

/// What a writer has come to.
pub struct Written {
    pub files: Vec<StagedFile>,
    /// Rows of partitions that have few, with their partition columns.
    pub handed_on: Vec<RecordBatch>,
}

/// Writes the rows of one input partition of the plan.
pub struct Writer {
    data_columns: Vec<String>,
    partition_columns: Vec<String>,
    /// The columns of the files, then the partition columns.
    combined: SchemaRef,
    splitter: Splitter,
    settings: Arc<ShardSettings>,
    context: Arc<TaskContext>,
    /// How many files may be open.
    most_open: usize,
    open: HashMap<Partition, OpenPartition>,
    /// Once it is there, every new partition goes into it.
    overflow: Option<Overflow>,
    empty_file: bool,
    /// Where rows of partitions that have few are handed on.
    few: Option<Few>,
    /// Rows taken, to be held against what the files have.
    rows: u64,
}

/// A task that writes one partition, and the way to it.
struct OpenPartition {
    rows: mpsc::Sender<RecordBatch>,
    /// Rows of late partitions come one by one: they wait here for each other.
    few: Vec<RecordBatch>,
    few_rows: usize,
    /// As many rows do not wait any more.
    most_waiting: usize,
    task: SpawnedTask<Result<Vec<StagedFile>>>,
}

impl OpenPartition {
    async fn send(&mut self, batch: RecordBatch) -> Result<()> {
        if self.few.is_empty() && batch.num_rows() >= self.most_waiting {
            return self.send_now(batch).await;
        }
        self.few_rows += batch.num_rows();
        self.few.push(batch);
        match self.few_rows >= self.most_waiting {
            true => self.send_few().await,
            false => Ok(()),
        }
    }

    async fn send_few(&mut self) -> Result<()> {
        let few = std::mem::take(&mut self.few);
        self.few_rows = 0;
        let Some(first) = few.first() else {
            return Ok(());
        };
        let together = concat_batches(first.schema_ref(), &few)
            .map_err(|error| Error::internal("cannot put rows together").with_source(error))?;
        self.send_now(together).await
    }

    async fn send_now(&mut self, batch: RecordBatch) -> Result<()> {
        if self.rows.send(batch).await.is_ok() {
            return Ok(());
        }
        // The task hung up, so it has failed: its error says why.
        match (&mut self.task).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) => Err(Error::internal("a file was ended before its rows")),
            Err(error) => Err(broke_off(error)),
        }
    }

    async fn finish(mut self) -> Result<Vec<StagedFile>> {
        self.send_few().await?;
        drop(self.rows);
        self.task.join().await.map_err(broke_off)?
    }
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::internal("the task that writes a file broke off").with_source(error)
}

impl Writer {
    pub fn new(
        spec: &StageSpec,
        input: &SchemaRef,
        stage: Arc<Stage>,
        context: Arc<TaskContext>,
    ) -> Result<Self> {
        let schema = spec.schema.arrow();
        let splitter = Splitter::new(&spec.partition_by, input)?;
        let partition_fields = spec.partition_by.iter().filter_map(|name| {
            let (_, field) = input.column_with_name(name)?;
            Some(Arc::new(field.clone()))
        });
        let combined = schema.fields().iter().cloned().chain(partition_fields);
        let window_column = spec
            .window_column
            .as_ref()
            .and_then(|name| schema.index_of(name).ok());
        let session = context.session_config();
        let compressing = match session.get_extension::<Compressing>() {
            Some(shared) => Compressing::clone(&shared),
            None => Compressing::new(session.target_partitions()),
        };
        Ok(Self {
            splitter,
            data_columns: schema.fields().iter().map(|f| f.name().clone()).collect(),
            partition_columns: spec.partition_by.clone(),
            combined: Arc::new(Schema::new(combined.collect::<Fields>())),
            most_open: most_open(&spec.encoding, &schema, &context, stage.tables),
            settings: Arc::new(ShardSettings {
                stage,
                encoding: spec.encoding.clone(),
                schema,
                pool: SharedPool {
                    pool: Arc::clone(context.memory_pool()),
                },
                window_column,
                compressing,
            }),
            context,
            open: HashMap::new(),
            overflow: None,
            empty_file: spec.empty_file,
            few: None,
            rows: 0,
        })
    }

    /// Rows of partitions that have few are not written but handed on.
    #[must_use]
    pub fn handing_on(mut self) -> Self {
        let format = self.settings.encoding.format();
        self.few = Some(Few::new(self.settings.stage.target_file_size(format)));
        self
    }

    /// Takes a batch of the query.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        let data = columns_named(batch, &self.data_columns)?;
        let data = ExportSchema::cast(&self.settings.schema, data)?;
        let mut columns = data.columns().to_vec();
        columns.extend(columns_named(batch, &self.partition_columns)?);
        let combined = RecordBatch::try_new(Arc::clone(&self.combined), columns)
            .map_err(|error| Error::internal("cannot combine columns").with_source(error))?;
        let mut late = Vec::new();
        for group in self.groups(&combined)? {
            if self.few.is_some() && !self.open.contains_key(&group.partition) {
                // Copied: what waits must not keep the whole batch.
                let mut places = Vec::new();
                group.rows.add_to(&mut places);
                let rows = taken(&combined, places)?;
                self.write_or_wait(group.partition, rows).await?;
            } else if self.has_file(&group.partition)? {
                let rows = self.data(&group.rows.of(&combined)?)?;
                if let Some(open) = self.open.get_mut(&group.partition) {
                    open.send(rows).await?;
                }
            } else {
                group.rows.add_to(&mut late);
            }
        }
        if late.is_empty() {
            return Ok(());
        }
        // All late partitions together: the sort pays for each batch, however small.
        late.sort_unstable();
        let late = picked(&combined, late)?;
        self.overflow()?.write(&late).await
    }

    fn groups(&self, combined: &RecordBatch) -> Result<Vec<Group>> {
        let first = self.data_columns.len();
        let values = &combined.columns()[first..first + self.partition_columns.len()];
        self.splitter.groups(combined, values)
    }

    /// The columns inside the files.
    fn data(&self, combined: &RecordBatch) -> Result<RecordBatch> {
        let columns = combined.columns()[..self.data_columns.len()].to_vec();
        RecordBatch::try_new(Arc::clone(&self.settings.schema), columns)
            .map_err(|error| Error::internal("cannot take columns apart").with_source(error))
    }

    /// Writes rows of one partition, or has them wait for more.
    async fn write_or_wait(&mut self, partition: Partition, rows: RecordBatch) -> Result<()> {
        let Some(few) = &mut self.few else {
            return self.write_now(&partition, &rows).await;
        };
        if let Some((partition, waited)) = few.add(partition, rows) {
            for rows in &waited {
                self.write_now(&partition, rows).await?;
            }
        }
        Ok(())
    }

    async fn write_now(&mut self, partition: &Partition, combined: &RecordBatch) -> Result<()> {
        if !self.has_file(partition)? {
            return self.overflow()?.write(combined).await;
        }
        let rows = self.data(combined)?;
        match self.open.get_mut(partition) {
            Some(open) => open.send(rows).await,
            None => Ok(()),
        }
    }

    /// Where rows of late partitions go.
    fn overflow(&mut self) -> Result<&mut Overflow> {
        if self.overflow.is_none() {
            let first = self.data_columns.len();
            self.overflow = Some(Overflow::new(&self.combined, first, &self.context)?);
        }
        let overflow = self.overflow.as_mut();
        overflow.ok_or_else(|| Error::internal("late rows have nowhere to go"))
    }

    /// Whether the partition has an open file; it gets one if one more may be open.
    fn has_file(&mut self, partition: &Partition) -> Result<bool> {
        if self.open.contains_key(partition) {
            return Ok(true);
        }
        if self.overflow.is_some() || self.open.len() >= self.most_open {
            return Ok(false);
        }
        let opened = self.open_partition(partition.clone(), false)?;
        self.open.insert(partition.clone(), opened);
        Ok(true)
    }

    fn open_partition(&self, partition: Partition, even_if_empty: bool) -> Result<OpenPartition> {
        let (rows, batches) = mpsc::channel(QUEUED_BATCHES);
        let memory = MemoryConsumer::new(format!("file of {partition}"))
            .register(self.context.memory_pool());
        let tracked = self.settings.stage.track()?;
        let file_size = self
            .settings
            .stage
            .target_file_size(self.settings.encoding.format());
        let most_waiting = if file_size < SMALL_FILE { 1 } else { FEW_ROWS };
        let writing = write_partition(
            Arc::clone(&self.settings),
            partition,
            batches,
            memory,
            even_if_empty,
        );
        let task = SpawnedTask::spawn(async move {
            let written = writing.await;
            drop(tracked);
            written
        });
        Ok(OpenPartition {
            rows,
            few: Vec::new(),
            few_rows: 0,
            most_waiting,
            task,
        })
    }

    /// Ends all files. Nothing of them is visible.
    pub async fn finish(mut self) -> Result<Written> {
        let mut open: Vec<OpenPartition> = std::mem::take(&mut self.open).into_values().collect();
        if open.is_empty() && self.empty_file {
            open.push(self.open_partition(Partition::default(), true)?);
        }
        let mut files = Vec::new();
        let mut ending = JoinSet::new();
        for open in open {
            ending.spawn(open.finish());
        }
        while !ending.is_empty() {
            join_one(&mut ending, &mut files).await?;
        }
        if let Some(overflow) = self.overflow.take() {
            files.extend(self.write_overflow(overflow).await?);
        }
        files.sort_by(|a, b| a.shard.cmp(&b.shard));
        let handed_on = self.few.take().map(Few::rest).unwrap_or_default();
        let encoded: u64 = files.iter().map(|file| file.rows).sum();
        let rest: u64 = handed_on.iter().map(|batch| batch.num_rows() as u64).sum();
        if encoded + rest != self.rows {
            return Err(Error::internal(format!(
                "the query gave {} rows, the files have {encoded}, and {rest} are handed on",
                self.rows
            )));
        }
        Ok(Written { files, handed_on })
    }

    async fn write_overflow(&mut self, overflow: Overflow) -> Result<Vec<StagedFile>> {
        let mut sorted = overflow.sorted();
        let mut files = Vec::new();
        let mut current: Option<(Partition, OpenPartition)> = None;
        let mut ending = JoinSet::new();
        while let Some(batch) = sorted.next().await {
            let batch = batch.map_err(from_datafusion)?;
            for Group { partition, rows } in self.groups(&batch)? {
                let mut open = match current.take() {
                    Some((same, open)) if same == partition => open,
                    ended => {
                        if let Some((_, ended)) = ended {
                            ending.spawn(ended.finish());
                        }
                        while ending.len() >= CONCURRENCY.files_being_finished {
                            join_one(&mut ending, &mut files).await?;
                        }
                        self.open_partition(partition.clone(), false)?
                    }
                };
                open.send(self.data(&rows.of(&batch)?)?).await?;
                current = Some((partition, open));
            }
        }
        if let Some((_, last)) = current {
            ending.spawn(last.finish());
        }
        while !ending.is_empty() {
            join_one(&mut ending, &mut files).await?;
        }
        Ok(files)
    }
}

async fn join_one(
    ending: &mut JoinSet<Result<Vec<StagedFile>>>,
    files: &mut Vec<StagedFile>,
) -> Result<()> {
    if let Some(ended) = ending.join_next().await {
        files.extend(ended.map_err(broke_off)??);
    }
    Ok(())
}

/// How many files may be open, so that what they take at first is a fair share of the pool.
fn most_open(
    encoding: &Encoding,
    schema: &SchemaRef,
    context: &TaskContext,
    tables: usize,
) -> usize {
    let pool = match context.memory_pool().memory_limit() {
        MemoryLimit::Finite(bytes) => bytes,
        MemoryLimit::Infinite | MemoryLimit::Unknown => return MOST_OPEN,
    };
    let share = pool / OPENING_SHARE / tables.max(1) / encoding.opening_memory(schema).max(1);
    share.clamp(1, MOST_OPEN)
}
