//! Routes rows to the partitions they belong to, in bounded memory.
//!
//! The first partitions that appear get an open file each, as long as memory lasts; their rows are
//! encoded while the query runs (a fan-out). Rows of all later partitions go through an external sort
//! by partition ([`SpillSort`]), which spills to disk, and are written one partition after the other
//! at the end ([`ClusteredWriter`]). So every partition is written by one task, and small data gives
//! one shard per partition.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use futures::StreamExt;

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::layout::Partition;
use crate::memory_budget::MemoryBudget;
use crate::memory_gate::MemoryGate;
use crate::planted_fault::{strikes, without_last_row};
use crate::stage::clustered_writer::{ClusteredWriter, EndingPartitions};
use crate::stage::combined_schema::CombinedSchema;
use crate::stage::compression_limit::CompressionLimit;
use crate::stage::file_memory::{FileMemory, QueueLimits};
use crate::stage::open_partition::OpenPartition;
use crate::stage::row_tap::InstalledTap;
use crate::stage::session::StagingSession;
use crate::stage::shard_writer::{ShardSettings, SharedPool};
use crate::stage::spec::StageSpec;
use crate::stage::spill_sort::SpillSort;
use crate::stage::splitter::{PartitionRows, take_rows};
use crate::stage::window_check::WindowCheck;
use crate::staged::StagedFile;
use crate::view_gc::batch_bytes;

/// Writes the rows of one input partition of the plan, each into the files of its Hive partition.
pub struct PartitionedWriter {
    schema: CombinedSchema,
    settings: Arc<ShardSettings>,
    context: Arc<TaskContext>,
    max_open_files: usize,
    /// The memory of a file at its opening, in bytes.
    opening_bytes: usize,
    /// The number of tables that are written concurrently.
    tables: usize,
    open: HashMap<Partition, OpenPartition>,
    /// The sort of rows without an open file: once it exists, every new partition goes into it.
    spill_sort: Option<SpillSort>,
    window_check: Option<WindowCheck>,
    tap: Option<Arc<InstalledTap>>,
    empty_file: bool,
    /// The number of rows written, to be compared with the rows in the files.
    rows: u64,
}

impl PartitionedWriter {
    /// Creates a writer for rows of a query with the schema `input`.
    pub fn new(
        spec: &StageSpec,
        input: &SchemaRef,
        session: Arc<StagingSession>,
        context: Arc<TaskContext>,
    ) -> Result<Self> {
        let schema = CombinedSchema::new(spec, input)?;
        let file_schema = schema.file_schema();
        let config = context.session_config();
        let compression = match config.get_extension::<CompressionLimit>() {
            Some(shared) => shared.as_ref().clone(),
            None => CompressionLimit::new(config.target_partitions()),
        };
        let window = spec.window.as_ref();
        let window_column = window.and_then(|window| file_schema.index_of(&window.name).ok());
        let window_check = window.and_then(|window| WindowCheck::new(window, schema.schema()));
        let tap = config.get_extension::<InstalledTap>();
        let tables = session.config().concurrent_tables;
        let pool = context.memory_pool();
        let budget = MemoryBudget::of(&**pool);
        let opening_bytes = spec.encoding.opening_memory(file_schema);
        let max_open_files = budget.open_files(tables, opening_bytes);
        Ok(Self {
            max_open_files,
            opening_bytes,
            tables,
            settings: Arc::new(ShardSettings {
                session,
                encoding: Arc::clone(&spec.encoding),
                schema: Arc::clone(file_schema),
                pool: SharedPool {
                    pool: Arc::clone(context.memory_pool()),
                },
                queue: QueueLimits {
                    gate: MemoryGate::new(
                        pool,
                        "rows queued for files",
                        budget.queued_batches(tables),
                    ),
                    pending_bytes: budget.pending_bytes(tables, max_open_files),
                },
                parts: MemoryGate::new(pool, "parts being uploaded", budget.uploaded_parts(tables)),
                memory: FileMemory {
                    encoded_bytes: budget.encoded_bytes(),
                    blocks_bytes: budget.blocks_bytes(),
                    finishing_bytes: budget.finishing_bytes(tables),
                    row_group_bytes: budget.row_group_bytes(),
                    early_end_bytes: budget.early_end_bytes(tables, max_open_files),
                },
                window_column,
                compression,
            }),
            schema,
            context,
            open: HashMap::new(),
            spill_sort: None,
            window_check,
            tap,
            empty_file: spec.empty_file,
            rows: 0,
        })
    }

    /// Returns the schema of the rows that [`Self::write_partition`] accepts.
    pub fn schema(&self) -> &CombinedSchema {
        &self.schema
    }

    /// Returns true if the partition has an open file.
    pub fn is_open(&self, partition: &Partition) -> bool {
        self.open.contains_key(partition)
    }

    /// Writes a batch of the query.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        let combined = without_last_row(
            "a row is lost in the cast to the columns of the files",
            self.schema.combine(batch)?,
        );
        self.check(&combined).await?;
        let mut spilled = Vec::new();
        for PartitionRows { partition, rows } in self.schema.split(&combined)? {
            if strikes("the rows of one partition of a batch are lost") {
                continue;
            }
            if self.has_file(&partition, &combined)? {
                self.send(&partition, &rows.select(&combined)?).await?;
            } else {
                rows.append_to(&mut spilled);
            }
        }
        if spilled.is_empty() {
            return Ok(());
        }
        // All of these partitions together: the sort pays for each batch, however small.
        spilled.sort_unstable();
        let rows = take_rows(&combined, spilled)?;
        self.spill_sort()?.write(&rows).await
    }

    /// Writes combined rows that all belong to `partition`.
    pub async fn write_partition(
        &mut self,
        partition: &Partition,
        combined: &RecordBatch,
    ) -> Result<()> {
        self.rows += combined.num_rows() as u64;
        self.check(combined).await?;
        match self.has_file(partition, combined)? {
            true => self.send(partition, combined).await,
            false => self.spill_sort()?.write(combined).await,
        }
    }

    /// Gives combined rows to the check of the window and to the tap.
    async fn check(&mut self, combined: &RecordBatch) -> Result<()> {
        if let Some(check) = &mut self.window_check {
            check.add(combined);
        }
        match &self.tap {
            Some(tap) => tap.0.add(combined).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, partition: &Partition, combined: &RecordBatch) -> Result<()> {
        let rows = self.schema.file_rows(combined)?;
        match self.open.get_mut(partition) {
            Some(open) => open.send(rows).await,
            None => Err(Error::internal(format!("`{partition}` has no open file"))),
        }
    }

    /// Returns the sort of rows without an open file; the first call starts it.
    fn spill_sort(&mut self) -> Result<&mut SpillSort> {
        let sort = match self.spill_sort.take() {
            Some(sort) => sort,
            None => SpillSort::new(
                self.schema.schema(),
                self.schema.first_partition_column(),
                &self.context,
            )?,
        };
        Ok(self.spill_sort.insert(sort))
    }

    /// Returns true if the partition has an open file; opens one if the limit permits. Files of rows as wide as
    /// those of `batch` are fewer.
    fn has_file(&mut self, partition: &Partition, batch: &RecordBatch) -> Result<bool> {
        if self.open.contains_key(partition) {
            return Ok(true);
        }
        if self.spill_sort.is_some() || self.open.len() >= self.max_open_files {
            return Ok(false);
        }
        let row_bytes = batch_bytes(batch) / batch.num_rows().max(1);
        let held_bytes = self.opening_bytes.saturating_add(row_bytes);
        let budget = MemoryBudget::of(&**self.context.memory_pool());
        if self.open.len() >= budget.open_files(self.tables, held_bytes) {
            return Ok(false);
        }
        let opened = self.open_partition(partition.clone(), false)?;
        self.open.insert(partition.clone(), opened);
        Ok(true)
    }

    fn open_partition(&self, partition: Partition, even_if_empty: bool) -> Result<OpenPartition> {
        OpenPartition::open(Arc::clone(&self.settings), partition, even_if_empty)
    }

    /// Ends all files and returns them. Nothing of them is visible.
    ///
    /// # Errors
    /// [`Error::data`] if a row lies outside of the cycle; [`Error::internal`] if the files do not have as
    /// many rows as were written.
    pub async fn finish(self) -> Result<Vec<StagedFile>> {
        if let Some(check) = &self.window_check {
            check.finish()?;
        }
        let mut ending = EndingPartitions::default();
        if self.open.is_empty() && self.empty_file {
            ending.finish(self.open_partition(Partition::default(), true)?);
        }
        for open in self.open.into_values() {
            ending.finish(open);
        }
        let mut files = ending.files().await?;
        if let Some(sort) = self.spill_sort {
            let mut writer = ClusteredWriter::new(&self.schema, self.settings);
            let mut sorted = sort.sorted();
            while let Some(batch) = sorted.next().await {
                writer.write(&batch.map_err(from_datafusion)?).await?;
            }
            files.extend(writer.finish().await?);
        }
        if strikes("a staged file is lost") {
            files.pop();
        }
        files.sort_by(|one, other| one.shard.cmp(&other.shard));
        let encoded: u64 = files.iter().map(|file| file.rows).sum();
        if encoded != self.rows {
            return Err(Error::internal(format!(
                "the query gave {} rows, and the files have {encoded}",
                self.rows
            )));
        }
        Ok(files)
    }
}
