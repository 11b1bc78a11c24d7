//! One partition's rows into shards: encode, digest, upload, and roll at the target size.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::encode::{Encoder, Encoding, Member};
use crate::error::{Error, Result};
use crate::layout::{FileFormat, Partition, Shard};
use crate::stage::Stage;
use crate::staged::StagedFile;
use crate::store::Upload;

/// Blocks of one file that are compressed, or wait to be appended, at once.
const MOST_BLOCKS: usize = 8;

/// Rows that are encoded before the size of the file is looked at again.
const MOST_ROWS: usize = 8192;

/// Open files grow until this share of the memory pool is taken.
const PRESSURE_SHARE: usize = 2;

/// The memory that open files share with the query and its sorts.
#[derive(Debug)]
pub struct SharedPool {
    pub pool: Arc<dyn MemoryPool>,
}

impl SharedPool {
    /// Whether so much is taken that row groups have to end before they are full: else a sort that
    /// spills would find no room to merge in.
    fn is_pressed(&self) -> bool {
        match self.pool.memory_limit() {
            MemoryLimit::Finite(bytes) => self.pool.reserved() > bytes / PRESSURE_SHARE,
            MemoryLimit::Infinite | MemoryLimit::Unknown => false,
        }
    }
}

/// What all partitions of a table share.
#[derive(Debug)]
pub struct ShardSettings {
    pub stage: Arc<Stage>,
    pub encoding: Encoding,
    pub schema: SchemaRef,
    pub pool: SharedPool,
    /// The window column's place in `schema`.
    pub window_column: Option<usize>,
    pub compressing: Compressing,
}

/// Blocks that are compressed, of all tables of a session that carries it as an extension.
#[derive(Debug, Clone)]
pub struct Compressing(Arc<Semaphore>);

impl Compressing {
    /// For each processor one block at work and one that waits for it: a processor that had to wait
    /// for the next block would be idle for a tenth of the time.
    pub fn new(processors: usize) -> Self {
        Self(Arc::new(Semaphore::new(processors.max(1) * 2)))
    }
}

/// Writes all batches of one partition. Returns when their channel is closed and every byte is in
/// the store; an empty channel gives no file unless `even_if_empty`.
pub async fn write_partition(
    settings: Arc<ShardSettings>,
    partition: Partition,
    mut batches: mpsc::Receiver<RecordBatch>,
    memory: MemoryReservation,
    even_if_empty: bool,
) -> Result<Vec<StagedFile>> {
    let mut files = Vec::new();
    let mut open: Option<OpenShard> = None;
    while let Some(batch) = batches.recv().await {
        let mut rest = batch;
        while rest.num_rows() > 0 {
            let rows = rest.slice(0, rest.num_rows().min(MOST_ROWS));
            rest = rest.slice(rows.num_rows(), rest.num_rows() - rows.num_rows());
            let mut shard = match open.take() {
                Some(shard) => shard,
                None => OpenShard::new(Arc::clone(&settings), partition.clone())?,
            };
            shard.write(&rows, &memory).await?;
            if shard.is_full() {
                files.push(shard.finish().await?);
            } else {
                open = Some(shard);
            }
        }
    }
    if open.is_none() && files.is_empty() && even_if_empty {
        open = Some(OpenShard::new(Arc::clone(&settings), partition)?);
    }
    if let Some(shard) = open {
        files.push(shard.finish().await?);
    }
    Ok(files)
}

/// A shard that takes rows.
struct OpenShard {
    encoder: Encoder,
    /// Blocks of the encoder on their way back, in order.
    blocks: VecDeque<JoinHandle<Result<Member>>>,
    rows: u64,
    window: Option<(i64, i64)>,
    sink: Sink,
}

impl OpenShard {
    fn new(settings: Arc<ShardSettings>, partition: Partition) -> Result<Self> {
        Ok(Self {
            encoder: Encoder::new(&settings.encoding, &settings.schema)?,
            blocks: VecDeque::new(),
            rows: 0,
            window: None,
            sink: Sink {
                settings,
                partition,
                upload: None,
                digest: Sha256::new(),
                bytes: 0,
            },
        })
    }

    async fn write(&mut self, batch: &RecordBatch, memory: &MemoryReservation) -> Result<()> {
        self.encoder.write(batch)?;
        self.compress().await?;
        self.widen_window(batch);
        let rows = batch.num_rows() as u64;
        self.rows += rows;
        let stage = Arc::clone(&self.sink.settings.stage);
        stage.progress().rows.fetch_add(rows, Ordering::Relaxed);

        let pool = &self.sink.settings.pool;
        if memory.try_resize(self.encoder.memory()).is_err() || pool.is_pressed() {
            self.encoder.relieve()?;
            self.compress().await?;
            self.blocks_in(0).await?;
            // What is needed to go on at all is taken even above the limit.
            memory.resize(self.encoder.memory());
        }
        if self.encoder.ready() as u64 >= stage.part_size(self.sink.format()) {
            self.sink.send(self.encoder.take()).await?;
        }
        Ok(())
    }

    /// Has the blocks that are ready compressed by other threads. What is taken back depends on their
    /// number alone, not on how fast they are, so that equal rows make equal files.
    async fn compress(&mut self) -> Result<()> {
        while let Some(block) = self.encoder.take_block() {
            let permits = Arc::clone(&self.sink.settings.compressing.0);
            let permit = permits.acquire_owned().await.map_err(|error| {
                Error::internal("nothing is compressed any more").with_source(error)
            })?;
            self.blocks.push_back(tokio::task::spawn_blocking(move || {
                let member = block.compress();
                drop(permit);
                member
            }));
            self.blocks_in(MOST_BLOCKS).await?;
        }
        Ok(())
    }

    /// Takes compressed blocks back until only `left` are on their way.
    async fn blocks_in(&mut self, left: usize) -> Result<()> {
        while self.blocks.len() > left
            && let Some(block) = self.blocks.pop_front()
        {
            let member = block
                .await
                .map_err(|error| Error::internal("compressing broke off").with_source(error))??;
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

    fn is_full(&self) -> bool {
        let size = self.sink.bytes + (self.encoder.ready() + self.encoder.pending()) as u64;
        let stage = &self.sink.settings.stage;
        size >= stage.target_file_size(self.sink.format())
    }

    async fn finish(mut self) -> Result<StagedFile> {
        self.blocks_in(0).await?;
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
            Some(begun) => begun,
            None => {
                sink.settings
                    .stage
                    .begin(&sink.partition, sink.format())
                    .await?
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

/// Where the bytes of a shard go, counted and digested.
struct Sink {
    settings: Arc<ShardSettings>,
    partition: Partition,
    /// Begun with the first part, so that small files hold no connection while they wait for rows.
    upload: Option<(Shard, Upload)>,
    digest: Sha256,
    bytes: u64,
}

impl Sink {
    fn format(&self) -> FileFormat {
        self.settings.encoding.format()
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let stage = &self.settings.stage;
        let (_, upload) = match &mut self.upload {
            Some(begun) => begun,
            None => {
                let begun = stage.begin(&self.partition, self.format()).await?;
                self.upload.insert(begun)
            }
        };
        self.digest.update(&bytes);
        let length = bytes.len() as u64;
        self.bytes += length;
        stage.progress().bytes.fetch_add(length, Ordering::Relaxed);
        upload.part(Bytes::from(bytes)).await
    }
}
