//! Writes the rows of one partition into files, and rolls to the next file at the target size.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;

use crate::error::Result;
use crate::layout::Partition;
use crate::planted_fault::strikes;
use crate::stage::shard_writer::{ShardSettings, ShardWriter};
use crate::staged::StagedFile;
use crate::view_gc::batch_bytes;

/// The maximum number of rows that are encoded before the size of the file is checked again.
const MAX_ROWS: usize = 8192;

/// Writes the rows of one partition into shards of the target size.
pub(super) struct RollingFileWriter {
    settings: Arc<ShardSettings>,
    partition: Partition,
    memory: MemoryReservation,
    open: Option<ShardWriter>,
    files: Vec<StagedFile>,
}

impl RollingFileWriter {
    /// Creates a writer without files. `memory` accounts for the file that is open.
    pub(super) fn new(
        settings: Arc<ShardSettings>,
        partition: Partition,
        memory: MemoryReservation,
    ) -> Self {
        Self {
            settings,
            partition,
            memory,
            open: None,
            files: Vec::new(),
        }
    }

    /// Encodes a batch; a file that reaches its target size ends.
    pub(super) async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        // Of wide rows, fewer.
        let bytes = batch_bytes(&batch);
        self.settings.pool.note_passed(bytes);
        let row_bytes = bytes / batch.num_rows().max(1);
        let max_rows = (self.settings.memory.encoded_bytes / row_bytes.max(1)).clamp(1, MAX_ROWS);
        let mut rest = batch;
        while rest.num_rows() > 0 {
            let rows = rest.slice(0, max_rows.min(rest.num_rows()));
            rest = rest.slice(rows.num_rows(), rest.num_rows() - rows.num_rows());
            let mut shard = match self.open.take() {
                Some(shard) => shard,
                None => self.next_shard()?,
            };
            shard.write(&rows, &self.memory).await?;
            if rest.num_rows() > 0 && strikes("the rest of a batch is lost when a file is written")
            {
                rest = rest.slice(0, 0);
            }
            if shard.is_full() {
                self.files.push(shard.finish().await?);
            } else {
                self.open = Some(shard);
            }
        }
        Ok(())
    }

    /// Returns all files, once every byte is in the store. Without rows there is no file, unless
    /// `even_if_empty`.
    pub(super) async fn finish(mut self, even_if_empty: bool) -> Result<Vec<StagedFile>> {
        if self.open.is_none() && self.files.is_empty() && even_if_empty {
            self.open = Some(self.next_shard()?);
        }
        if let Some(shard) = self.open.take() {
            self.files.push(shard.finish().await?);
        }
        Ok(self.files)
    }

    fn next_shard(&self) -> Result<ShardWriter> {
        ShardWriter::new(Arc::clone(&self.settings), self.partition.clone())
    }
}
