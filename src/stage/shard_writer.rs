//! Writes one shard: encodes rows, compresses blocks concurrently, digests and uploads the bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::execution::memory_pool::{MemoryPool, MemoryReservation};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::codec::deflate::GzipMember;
use crate::error::{Error, Result};
use crate::format::{FileEncoder, FileEncoding};
use crate::layout::{FileFormat, Partition, Shard};
use crate::memory_budget::MemoryBudget;
use crate::stage::compression_limit::CompressionLimit;
use crate::stage::session::StagingSession;
use crate::staged::StagedFile;
use crate::store::Upload;

/// The maximum number of blocks of one file that are compressed, or wait to be appended, concurrently.
const MAX_BLOCKS: usize = 8;

/// The memory pool that open files share with the query and its sorts.
#[derive(Debug)]
pub(super) struct SharedPool {
    pub pool: Arc<dyn MemoryPool>,
}

impl SharedPool {
    /// Returns true if so much is reserved that row groups have to end before they are full: otherwise a sort that spills could not reserve its memory to merge in.
    fn is_pressed(&self) -> bool {
        MemoryBudget::of(&*self.pool).is_pressed(self.pool.reserved())
    }
}

/// The settings that all partitions of a table share.
#[derive(Debug)]
pub(super) struct ShardSettings {
    pub session: Arc<StagingSession>,
    pub encoding: Arc<dyn FileEncoding>,
    pub schema: SchemaRef,
    pub pool: SharedPool,
    /// The index of the window column in `schema`.
    pub window_column: Option<usize>,
    pub compression: CompressionLimit,
}

/// Writes rows into one file of a partition.
pub(super) struct ShardWriter {
    encoder: Box<dyn FileEncoder>,
    /// Blocks of the encoder that are being compressed, in order.
    blocks: VecDeque<JoinHandle<Result<GzipMember>>>,
    rows: u64,
    /// The least and the greatest value of the window column, in microseconds.
    window: Option<(i64, i64)>,
    sink: UploadSink,
}

impl ShardWriter {
    /// Creates a writer of an empty file; its upload starts with the first part.
    pub(super) fn new(settings: Arc<ShardSettings>, partition: Partition) -> Result<Self> {
        Ok(Self {
            encoder: settings.encoding.encoder(&settings.schema)?,
            blocks: VecDeque::new(),
            rows: 0,
            window: None,
            sink: UploadSink {
                settings,
                partition,
                upload: None,
                digest: Sha256::new(),
                bytes: 0,
            },
        })
    }

    /// Encodes a batch, and uploads a part if one is complete. `memory` is resized to what the file
    /// holds.
    pub(super) async fn write(
        &mut self,
        batch: &RecordBatch,
        memory: &MemoryReservation,
    ) -> Result<()> {
        self.encoder.write(batch)?;
        self.compress_ready_blocks().await?;
        self.widen_window(batch);
        let rows = batch.num_rows() as u64;
        self.rows += rows;
        let session = Arc::clone(&self.sink.settings.session);
        session.progress().add_rows(rows);

        let pool = &self.sink.settings.pool;
        if memory.try_resize(self.encoder.memory()).is_err() || pool.is_pressed() {
            self.encoder.relieve()?;
            self.compress_ready_blocks().await?;
            self.append_blocks(0).await?;
            // The minimum that is needed to continue is reserved even above the limit.
            memory.resize(self.encoder.memory());
        }
        if self.encoder.ready() as u64 >= session.part_size(self.sink.format()) {
            self.sink.send(self.encoder.take()).await?;
        }
        Ok(())
    }

    /// Spawns the compression of the blocks that are ready. How many are appended depends on their
    /// number alone, not on how fast they are, so that equal rows make equal files.
    async fn compress_ready_blocks(&mut self) -> Result<()> {
        while let Some(block) = self.encoder.take_block() {
            let permit = self.sink.settings.compression.permit().await?;
            self.blocks.push_back(tokio::task::spawn_blocking(move || {
                let member = block.compress();
                drop(permit);
                member
                    .map_err(|error| Error::internal("cannot compress a block").with_source(error))
            }));
            self.append_blocks(MAX_BLOCKS).await?;
        }
        Ok(())
    }

    /// Appends compressed blocks, in order, until only `left` are outstanding.
    async fn append_blocks(&mut self, left: usize) -> Result<()> {
        while self.blocks.len() > left
            && let Some(block) = self.blocks.pop_front()
        {
            let member = block.await.map_err(|error| {
                Error::internal("compressing ended unexpectedly").with_source(error)
            })??;
            self.encoder.append(&member);
        }
        Ok(())
    }

    fn widen_window(&mut self, batch: &RecordBatch) {
        let Some(column) = self.sink.settings.window_column else {
            return;
        };
        let times = batch
            .column(column)
            .as_primitive::<TimestampMicrosecondType>();
        if let (Some(min), Some(max)) = (compute::min(times), compute::max(times)) {
            self.window = Some(match self.window {
                Some((least, greatest)) => (least.min(min), greatest.max(max)),
                None => (min, max),
            });
        }
    }

    /// Returns true if the file has reached its target size.
    pub(super) fn is_full(&self) -> bool {
        let size = self.sink.bytes + (self.encoder.ready() + self.encoder.pending()) as u64;
        let session = &self.sink.settings.session;
        size >= session.target_file_size(self.sink.format())
    }

    /// Ends the file: all of its bytes are in the store, and only its completion is withheld.
    pub(super) async fn finish(mut self) -> Result<StagedFile> {
        self.append_blocks(0).await?;
        let Self {
            mut encoder,
            rows,
            window,
            mut sink,
            ..
        } = self;
        let mut last = encoder.take();
        let (end, encoded) = encoder.finish()?;
        if encoded != rows {
            return Err(Error::internal(format!(
                "a file of `{}` was given {rows} rows and has {encoded}",
                sink.partition
            )));
        }
        last.extend(end);
        sink.send(last).await?;
        let (shard, upload) = match sink.upload {
            Some(started) => started,
            None => {
                let session = &sink.settings.session;
                session.start_shard(&sink.partition, sink.format()).await?
            }
        };
        let instant = |micros| DateTime::<Utc>::from_timestamp_micros(micros);
        Ok(StagedFile {
            shard,
            rows,
            bytes: sink.bytes,
            sha256: format!("{:x}", sink.digest.finalize()),
            window: window.and_then(|(min, max)| instant(min).zip(instant(max))),
            token: upload.seal().await?,
        })
    }
}

/// Uploads the bytes of a shard, and counts and digests them.
struct UploadSink {
    settings: Arc<ShardSettings>,
    partition: Partition,
    /// Starts with the first part, so that small files hold no connection while they wait for rows.
    upload: Option<(Shard, Upload)>,
    digest: Sha256,
    bytes: u64,
}

impl UploadSink {
    fn format(&self) -> FileFormat {
        self.settings.encoding.format()
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let session = &self.settings.session;
        let (_, upload) = match &mut self.upload {
            Some(started) => started,
            None => {
                let started = session.start_shard(&self.partition, self.format()).await?;
                self.upload.insert(started)
            }
        };
        self.digest.update(&bytes);
        let length = bytes.len() as u64;
        self.bytes += length;
        session.progress().add_bytes(length);
        upload.part(Bytes::from(bytes)).await
    }
}
