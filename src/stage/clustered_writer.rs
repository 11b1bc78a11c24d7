//! Writes rows that are clustered by partition, one partition after the other.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::JoinSet;

use crate::error::Result;
use crate::layout::Partition;
use crate::planted_fault::strikes;
use crate::stage::combined_schema::CombinedSchema;
use crate::stage::open_partition::{OpenPartition, broke_off};
use crate::stage::shard_writer::ShardSettings;
use crate::stage::splitter::PartitionRows;
use crate::staged::StagedFile;
use crate::store::CONCURRENCY;

/// Writes rows of one partition after the other: only one partition takes rows at a time.
pub(super) struct ClusteredWriter<'a> {
    schema: &'a CombinedSchema,
    settings: Arc<ShardSettings>,
    current: Option<(Partition, OpenPartition)>,
    ending: EndingPartitions,
}

impl<'a> ClusteredWriter<'a> {
    /// Creates a writer without files.
    pub(super) fn new(schema: &'a CombinedSchema, settings: Arc<ShardSettings>) -> Self {
        Self {
            schema,
            settings,
            current: None,
            ending: EndingPartitions::default(),
        }
    }

    /// Writes a combined batch. Rows of a partition must not follow those of a later one.
    pub(super) async fn write(&mut self, combined: &RecordBatch) -> Result<()> {
        for PartitionRows { partition, rows } in self.schema.split(combined)? {
            let mut open = match self.current.take() {
                Some((same, open)) if same == partition => open,
                previous => {
                    if let Some((_, previous)) = previous
                        && !strikes("the files of a sorted partition are lost")
                    {
                        self.ending.finish(previous);
                    }
                    let max_bytes = self.settings.memory.finishing_bytes;
                    self.ending
                        .join_until(CONCURRENCY.files_being_finished - 1, max_bytes)
                        .await?;
                    OpenPartition::open(Arc::clone(&self.settings), partition.clone(), false)?
                }
            };
            open.send(self.schema.file_rows(&rows.select(combined)?)?)
                .await?;
            self.current = Some((partition, open));
        }
        Ok(())
    }

    /// Ends all files and returns them.
    pub(super) async fn finish(mut self) -> Result<Vec<StagedFile>> {
        if let Some((_, last)) = self.current.take() {
            self.ending.finish(last);
        }
        self.ending.files().await
    }
}

/// Partitions that take no more rows, and the files of those that have ended.
#[derive(Default)]
pub(super) struct EndingPartitions {
    tasks: JoinSet<(usize, Result<Vec<StagedFile>>)>,
    /// The bytes of the rows of the partitions that have not ended.
    bytes: usize,
    files: Vec<StagedFile>,
}

impl EndingPartitions {
    /// Spawns the end of a partition.
    pub(super) fn finish(&mut self, open: OpenPartition) {
        let bytes = open.bytes();
        self.bytes = self.bytes.saturating_add(bytes);
        self.tasks
            .spawn(async move { (bytes, open.finish().await) });
    }

    /// Waits until at most `outstanding` partitions have not ended, and these have rows of at most `bytes`.
    async fn join_until(&mut self, outstanding: usize, bytes: usize) -> Result<()> {
        while (self.tasks.len() > outstanding || self.bytes > bytes)
            && let Some(ended) = self.tasks.join_next().await
        {
            let (ended_bytes, files) = ended.map_err(broke_off)?;
            self.bytes = self.bytes.saturating_sub(ended_bytes);
            self.files.extend(files?);
        }
        Ok(())
    }

    /// Waits for all partitions and returns their files.
    pub(super) async fn files(mut self) -> Result<Vec<StagedFile>> {
        self.join_until(0, 0).await?;
        Ok(self.files)
    }
}
