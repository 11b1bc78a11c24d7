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
use crate::memory_gate::{MemoryGate, MemoryPermit};
use crate::planted_fault::strikes_rows;
use crate::resident::note_passed;
use crate::stage::compression_limit::CompressionLimit;
use crate::stage::file_memory::{FileMemory, QueueLimits};
use crate::stage::session::StagingSession;
use crate::staged::StagedFile;
use crate::store::Upload;

/// The maximum number of blocks of one file that are compressed, or wait to be appended, concurrently.
const MAX_BLOCKS: usize = 8;

/// The minimum size of a part that is not the last one, in bytes; S3's.
const MIN_STORE_PART_BYTES: u64 = 5 << 20;

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

    /// Notes that rows of `bytes` are written.
    pub(super) fn note_passed(&self, bytes: usize) {
        note_passed(bytes, MemoryBudget::of(&*self.pool).limit());
    }

    /// Returns true if more is reserved than there is.
    fn is_exhausted(&self) -> bool {
        MemoryBudget::of(&*self.pool).is_exhausted(self.pool.reserved())
    }
}

/// The settings that all partitions of a table share.
#[derive(Debug)]
pub(super) struct ShardSettings {
    pub session: Arc<StagingSession>,
    pub encoding: Arc<dyn FileEncoding>,
    pub schema: SchemaRef,
    pub pool: SharedPool,
    /// The memory of rows that wait for the files.
    pub queue: QueueLimits,
    /// Counts the parts of all files that are being uploaded.
    pub parts: MemoryGate,
    /// The sizes of what a file has in memory.
    pub memory: FileMemory,
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
    /// True if the file has to end, whatever its size: the memory is exhausted.
    ends_early: bool,
    /// The least and the greatest value of the window column, in microseconds.
    window: Option<(i64, i64)>,
    sink: UploadSink,
}

impl ShardWriter {
    /// Creates a writer of an empty file; its upload starts with the first part.
    ///
    /// # Errors
    /// [`Error::data`] if the store cannot have the files of the partition.
    pub(super) fn new(settings: Arc<ShardSettings>, partition: Partition) -> Result<Self> {
        let format = settings.encoding.format();
        settings.session.require_names(&partition, format)?;
        Ok(Self {
            encoder: settings.encoding.encoder(&settings.schema)?,
            blocks: VecDeque::new(),
            rows: 0,
            ends_early: false,
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
        if !strikes_rows("an encoder is not given a batch", batch) {
            self.encoder.write(batch)?;
        }
        if strikes_rows("an encoder is given a batch twice", batch) {
            self.encoder.write(batch)?;
        }
        self.compress_ready_blocks().await?;
        self.widen_window(batch);
        let rows = batch.num_rows() as u64;
        self.rows += rows;
        let session = Arc::clone(&self.sink.settings.session);
        session.progress().add_rows(rows);

        let pool = &self.sink.settings.pool;
        let is_large = self.encoder.pending() >= self.sink.settings.memory.row_group_bytes;
        if memory.try_resize(self.encoder.memory()).is_err() || pool.is_pressed() || is_large {
            self.encoder.relieve()?;
            self.compress_ready_blocks().await?;
            self.append_blocks(0).await?;
            // The minimum that is needed to continue is reserved even above the limit.
            memory.resize(self.encoder.memory());
        }
        let mut part_size = session.part_size(self.sink.format());
        if self.sink.settings.pool.is_exhausted() {
            part_size = part_size.min(MIN_STORE_PART_BYTES);
            let held = self.encoder.ready() + self.encoder.pending();
            self.ends_early = held >= self.sink.settings.memory.early_end_bytes;
        }
        if self.encoder.ready() as u64 >= part_size {
            self.sink.send(self.encoder.take()).await?;
            memory.resize(self.encoder.memory());
        }
        Ok(())
    }

    /// Spawns the compression of the blocks that are ready. How many are appended depends on their
    /// number alone, not on how fast they are, so that equal rows make equal files.
    async fn compress_ready_blocks(&mut self) -> Result<()> {
        while let Some(block) = self.encoder.take_block() {
            // A block is larger than usual where a row is.
            let max_bytes = self.sink.settings.memory.blocks_bytes;
            let max_blocks = (max_bytes / block.size().max(1)).min(MAX_BLOCKS);
            let permit = self.sink.settings.compression.permit().await?;
            self.blocks.push_back(tokio::task::spawn_blocking(move || {
                let member = block.compress();
                drop(permit);
                member
                    .map_err(|error| Error::internal("cannot compress a block").with_source(error))
            }));
            self.append_blocks(max_blocks).await?;
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

    /// Returns true if the file has reached its target size, or has to end earlier.
    pub(super) fn is_full(&self) -> bool {
        let size = self.sink.bytes + (self.encoder.ready() + self.encoder.pending()) as u64;
        let session = &self.sink.settings.session;
        self.ends_early || size >= session.target_file_size(self.sink.format())
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
        let permit = self.settings.parts.acquire(bytes.len()).await;
        let part = UploadedPart {
            bytes,
            _permit: permit,
        };
        upload.part(Bytes::from_owner(part)).await
    }
}

/// A part, which is in memory until the store has it.
struct UploadedPart {
    bytes: Vec<u8>,
    _permit: MemoryPermit,
}

impl AsRef<[u8]> for UploadedPart {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
