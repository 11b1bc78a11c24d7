//! A partition with an open file: the task that writes it, and the channel to that task.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::memory_pool::MemoryConsumer;
use futures::FutureExt;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::layout::Partition;
use crate::memory_gate::MemoryPermit;
use crate::planted_fault::{strikes, strikes_rows};
use crate::stage::file_memory::QueueLimits;
use crate::stage::rolling_file::RollingFileWriter;
use crate::stage::shard_writer::ShardSettings;
use crate::staged::StagedFile;
use crate::view_gc::batch_bytes;

/// The minimum number of rows that are sent to a file at once; fewer are coalesced.
const MIN_ROWS: usize = 256;

/// The target size in bytes below which a file may end after any row.
const SMALL_FILE_BYTES: u64 = 1 << 20;

/// The maximum number of batches that are queued for one file.
const QUEUED_BATCHES: usize = 2;

/// The task that writes one partition, with the channel to it.
pub(super) struct OpenPartition {
    batches: mpsc::Sender<(RecordBatch, MemoryPermit)>,
    limits: QueueLimits,
    /// Small batches of late rows that are coalesced before they are sent.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    pending_bytes: usize,
    /// The bytes of all rows that the task was given.
    sent_bytes: usize,
    min_rows: usize,
    task: SpawnedTask<Result<Vec<StagedFile>>>,
}

impl OpenPartition {
    /// Spawns the task that writes `partition`. Without rows it writes no file, unless
    /// `even_if_empty`.
    ///
    /// # Errors
    /// [`Error::unavailable`] if the staging session is aborted.
    pub(super) fn open(
        settings: Arc<ShardSettings>,
        partition: Partition,
        even_if_empty: bool,
    ) -> Result<Self> {
        let limits = settings.queue.clone();
        let (sender, mut batches) = mpsc::channel::<(RecordBatch, MemoryPermit)>(QUEUED_BATCHES);
        let consumer = MemoryConsumer::new(format!("file of {partition}"));
        let memory = consumer.register(&settings.pool.pool);
        let token = settings.session.track()?;
        let file_size = settings
            .session
            .target_file_size(settings.encoding.format());
        let task = SpawnedTask::spawn(async move {
            let mut writer = RollingFileWriter::new(settings, partition, memory);
            let written = async {
                while let Some((batch, permit)) = batches.recv().await {
                    if strikes_rows("a batch that is queued for a file is lost", &batch) {
                        continue;
                    }
                    writer.write(batch).await?;
                    drop(permit);
                }
                writer.finish(even_if_empty).await
            };
            let ended = AssertUnwindSafe(written).catch_unwind().await;
            drain(batches).await;
            drop(token);
            ended.unwrap_or_else(|panic| resume_unwind(panic))
        });
        Ok(Self {
            batches: sender,
            limits,
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            sent_bytes: 0,
            min_rows: match file_size < SMALL_FILE_BYTES {
                true => 1,
                false => MIN_ROWS,
            },
            task,
        })
    }

    /// Sends a batch to the task, together with earlier ones that were too small.
    pub(super) async fn send(&mut self, batch: RecordBatch) -> Result<()> {
        if self.pending.is_empty() && batch.num_rows() >= self.min_rows {
            return self.send_now(batch).await;
        }
        self.pending_rows += batch.num_rows();
        self.pending_bytes += batch_bytes(&batch);
        self.pending.push(batch);
        let is_enough =
            self.pending_rows >= self.min_rows || self.pending_bytes >= self.limits.pending_bytes;
        match is_enough {
            true => self.send_pending().await,
            false => Ok(()),
        }
    }

    async fn send_pending(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_rows = 0;
        self.pending_bytes = 0;
        let Some(first) = pending.first() else {
            return Ok(());
        };
        let coalesced = match pending.as_slice() {
            [one] => one.clone(),
            _ => concat_batches(first.schema_ref(), &pending)
                .map_err(|error| Error::internal("cannot concatenate rows").with_source(error))?,
        };
        drop(pending);
        self.send_now(coalesced).await
    }

    async fn send_now(&mut self, batch: RecordBatch) -> Result<()> {
        let bytes = batch_bytes(&batch);
        self.sent_bytes = self.sent_bytes.saturating_add(bytes);
        // The files take what is queued, whatever the plan does: this ends.
        let permit = self.limits.gate.acquire(bytes).await;
        if self.batches.send((batch, permit)).await.is_ok() {
            return Ok(());
        }
        // The task has dropped the receiver, so it has failed: its error is the cause.
        match (&mut self.task).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) => Err(Error::internal("a file was ended before its rows")),
            Err(error) => Err(broke_off(error)),
        }
    }

    /// Returns the bytes of all rows of the partition.
    pub(super) fn bytes(&self) -> usize {
        self.sent_bytes.saturating_add(self.pending_bytes)
    }

    /// Returns the files of the partition, once every byte is in the store.
    pub(super) async fn finish(mut self) -> Result<Vec<StagedFile>> {
        if !self.pending.is_empty() && strikes("the last small batches of a file are lost") {
            self.pending.clear();
        }
        self.send_pending().await?;
        drop(self.batches);
        self.task.join().await.map_err(broke_off)?
    }
}

/// Closes a channel and drops what is in it.
///
/// What is sent just while its receiver is dropped would stay in the channel as long as there is a sender,
/// with a permit that the rows of other files may wait for. A closed channel ends behind the last message.
async fn drain<T>(mut receiver: mpsc::Receiver<T>) {
    receiver.close();
    while receiver.recv().await.is_some() {}
}

/// The error of a task that panicked or was aborted.
pub(super) fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::internal("the task that writes a file ended unexpectedly").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};

    use super::*;
    use crate::memory_gate::{GateLimits, MemoryGate};

    #[tokio::test]
    async fn what_is_sent_while_a_file_fails_holds_no_memory() {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let gate = MemoryGate::new(&pool, "test", GateLimits { min: 0, max: 1 });
        let (sender, receiver) = mpsc::channel(2);
        sender.send(gate.acquire(0).await).await.unwrap();
        let place = sender.reserve().await.unwrap();
        let failed = tokio::spawn(drain(receiver));
        sender.closed().await;
        place.send(gate.acquire(1).await);
        let next_permit = tokio::time::timeout(Duration::from_secs(60), gate.acquire(1));
        assert!(next_permit.await.is_ok(), "the sender is still there");
        failed.await.unwrap();
        assert!(sender.is_closed());
    }
}
