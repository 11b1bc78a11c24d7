//! The chunker: decompresses opened files and splits them into chunks, on a thread of its own.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::ScalarValue;
use object_store::path::Path;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::jsonl::{
    BadRecord, Chunk, Compression, Framing, InMemoryChunks, InMemoryRecords, InflateBuffer,
    Inflater, LineSplitter, MAX_LINE_BYTES, RecordFault, RecordSplitter, inflated_size, read_head,
};
use crate::memory_budget::MemoryBudget;
use crate::memory_gate::{MemoryGate, MemoryPermit};
use crate::resident::note_passed;
use crate::scan::json::error::read_error;
use crate::scan::json::fetch::{OpenFile, StoredReader};
use crate::scan::record::Scan;

/// The file that a chunk comes from, with everything its rows have in common.
#[derive(Debug)]
pub(crate) struct ChunkOrigin {
    /// The URL of the file.
    pub(crate) key: String,
    /// The path of the file in its store.
    pub(crate) location: Path,
    /// The values of the partition columns.
    pub(crate) partition: Vec<ScalarValue>,
    /// The indexes of the consumers of the file's rows.
    pub(crate) consumers: Vec<usize>,
}

/// A chunk of one file.
pub(crate) struct FileChunk {
    /// The origin. All chunks of a file share one `Arc`.
    pub(crate) origin: Arc<ChunkOrigin>,
    pub(crate) chunk: Chunk,
    /// The permission to hold the text and its rows, until the rows are dropped.
    pub(crate) permit: MemoryPermit,
}

/// Decompresses files and splits them into chunks. Blocks: it must run on a blocking thread.
pub(crate) struct Chunker {
    compression: Compression,
    framing: Framing,
    limits: ChunkLimits,
    /// The scan of each consumer, which counts the bytes that are read for it.
    scans: Vec<Arc<Scan>>,
    buffer: InflateBuffer,
    /// The compressed bytes of a file that is decompressed as a whole.
    compressed: Vec<u8>,
    inflater: Inflater,
    /// Counts the chunks, with their rows, that are not consumed yet.
    gate: MemoryGate,
    chunks: mpsc::Sender<Result<FileChunk>>,
}

/// The memory of a chunk with its rows, as a multiple of its text.
const ROWS_AND_TEXT: usize = 2;

/// The limits of chunks, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkLimits {
    /// The size of a chunk, unless a line is longer.
    pub(crate) chunk_bytes: usize,
    /// The maximum length of a line that there is memory for.
    pub(crate) max_line_bytes: usize,
    /// The memory of the process.
    pub(crate) memory: MemoryBudget,
}

impl ChunkLimits {
    /// Checks that a chunk is no line, or record, that could be a row, but is too long for the memory limit.
    ///
    /// # Errors
    /// [`Error::data`] with the limit that it needs.
    fn check(self, key: &str, chunk: &Chunk) -> Result<()> {
        let (unit, line, length) = match chunk {
            Chunk::OversizedLine { line, length, .. } => ("line", *line, *length),
            Chunk::BadRecord(BadRecord {
                record,
                length,
                fault: RecordFault::Oversized,
                ..
            }) => ("record", *record, *length),
            Chunk::Lines(_) | Chunk::BadRecord(_) => return Ok(()),
        };
        if length > MAX_LINE_BYTES as u64 {
            return Ok(());
        }
        let (size, max) = (length.div_ceil(1 << 20), self.max_line_bytes >> 20);
        let needed = size * MemoryBudget::LIMIT_OF_A_LINE as u64;
        Err(Error::data(format!(
            "{unit} {line} of `{key}` has {size} MiB, more than the {max} MiB that --memory-limit leaves for a {unit}"
        ))
        .with_hint(format!(
            "raise --memory-limit to at least {needed}MiB: a {unit} may have 1/{} of it",
            MemoryBudget::LIMIT_OF_A_LINE
        )))
    }
}

/// The state of the channel that the chunks are sent to.
enum Receiver {
    Open,
    Closed,
}

impl Chunker {
    pub(crate) fn new(
        (compression, framing): (Compression, Framing),
        limits: ChunkLimits,
        scans: Vec<Arc<Scan>>,
        buffer: InflateBuffer,
        gate: MemoryGate,
        chunks: mpsc::Sender<Result<FileChunk>>,
    ) -> Result<Self> {
        let inflater = Inflater::new().map_err(|error| {
            Error::unavailable("cannot allocate memory for decompression").with_source(error)
        })?;
        Ok(Self {
            compression,
            framing,
            limits,
            scans,
            buffer,
            compressed: Vec::new(),
            inflater,
            gate,
            chunks,
        })
    }

    /// Decompresses each opened file and sends its chunks, until a file fails or the receiver is
    /// closed. An error is the last message.
    pub(crate) fn run(mut self, mut opened: mpsc::Receiver<Result<OpenFile>>) {
        while let Some(open_file) = opened.blocking_recv() {
            match open_file.and_then(|open_file| self.split_file(open_file)) {
                Ok(Receiver::Open) => {}
                Ok(Receiver::Closed) => return,
                Err(error) => {
                    // A closed receiver has no use for the error.
                    let _ = self.chunks.blocking_send(Err(error));
                    return;
                }
            }
        }
    }

    fn split_file(&mut self, open_file: OpenFile) -> Result<Receiver> {
        let OpenFile { key, file, bytes } = open_file;
        let size = file.file.meta.size;
        let scans = file
            .consumers
            .iter()
            .filter_map(|consumer| self.scans.get(*consumer));
        let mut reader = StoredReader::new(key.clone(), bytes, size, scans.cloned().collect());
        let origin = Arc::new(ChunkOrigin {
            key,
            location: file.file.meta.location,
            partition: file.file.partition,
            consumers: file.consumers,
        });
        let failed = |error| read_error(&origin.key, error);
        let head = read_head(&mut reader).map_err(failed)?;
        let detected = self.compression.detect(&origin.key, &head);
        let compression = detected.map_err(|error| failed(error.into()))?;
        let fits = usize::try_from(size).is_ok_and(|size| size <= self.buffer.max_bytes());
        if !fits || compression != Compression::Gzip {
            return self.stream(&origin, compression, Cursor::new(head).chain(reader));
        }
        self.compressed.clear();
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.reserve(usize::try_from(size).unwrap_or(0));
        compressed.extend_from_slice(&head);
        reader.read_to_end(&mut compressed).map_err(failed)?;
        let receiver = match self.inflate_whole(&compressed) {
            Some(text) => {
                let is_text = compression.check_text(&text);
                is_text.map_err(|error| failed(error.into()))?;
                self.split_text(&origin, text)
            }
            None => self.stream(&origin, compression, compressed.as_slice())?,
        };
        self.compressed = compressed;
        Ok(receiver)
    }

    /// Decompresses a whole gzip file. Returns `None` if there is not enough memory, or if the file
    /// is not intact: it is streamed then.
    fn inflate_whole(&mut self, compressed: &[u8]) -> Option<Bytes> {
        let size = inflated_size(compressed)?;
        let is_unwanted = || self.chunks.is_closed();
        let mut text = self.buffer.take(size, compressed.len(), is_unwanted)?;
        if self.inflater.gzip(compressed, &mut text, size) {
            return Some(self.buffer.lend(text));
        }
        self.buffer.give_back(text);
        None
    }

    /// Splits a text that is in memory as a whole.
    fn split_text(&self, origin: &Arc<ChunkOrigin>, text: Bytes) -> Receiver {
        let chunk_bytes = self.limits.chunk_bytes;
        let Some(path) = self.framing.record_path(&text) else {
            let mut chunks = InMemoryChunks::new(text, chunk_bytes);
            return self.send_all(origin, || chunks.next_chunk());
        };
        let mut chunks = InMemoryRecords::new(text, path, chunk_bytes);
        self.send_all(origin, || chunks.next_chunk())
    }

    fn send_all(
        &self,
        origin: &Arc<ChunkOrigin>,
        mut next: impl FnMut() -> Option<Chunk>,
    ) -> Receiver {
        while let Some(chunk) = next() {
            if let Receiver::Closed = self.send(origin, chunk) {
                return Receiver::Closed;
            }
        }
        Receiver::Open
    }

    fn stream(
        &self,
        origin: &Arc<ChunkOrigin>,
        compression: Compression,
        stored: impl Read,
    ) -> Result<Receiver> {
        let failed = |error| read_error(&origin.key, error);
        let mut text = compression.detected_reader(stored).map_err(failed)?;
        let head = read_head(&mut text).map_err(failed)?;
        let path = self.framing.record_path(&head);
        let whole = Cursor::new(head).chain(text);
        let (chunk_bytes, max_bytes) = (self.limits.chunk_bytes, self.limits.max_line_bytes);
        if let Some(path) = path {
            let mut splitter = RecordSplitter::new(whole, path, chunk_bytes, max_bytes);
            self.send_checked(origin, || splitter.next_chunk())
        } else {
            let mut splitter = LineSplitter::with_max_line(whole, chunk_bytes, max_bytes);
            self.send_checked(origin, || splitter.next_chunk())
        }
    }

    fn send_checked(
        &self,
        origin: &Arc<ChunkOrigin>,
        mut next: impl FnMut() -> io::Result<Option<Chunk>>,
    ) -> Result<Receiver> {
        while let Some(chunk) = next().map_err(|error| read_error(&origin.key, error))? {
            self.limits.check(&origin.key, &chunk)?;
            if let Receiver::Closed = self.send(origin, chunk) {
                return Ok(Receiver::Closed);
            }
        }
        Ok(Receiver::Open)
    }

    fn send(&self, origin: &Arc<ChunkOrigin>, chunk: Chunk) -> Receiver {
        let bytes = match &chunk {
            Chunk::Lines(lines) => lines.text().len(),
            Chunk::OversizedLine { head, .. } | Chunk::BadRecord(BadRecord { head, .. }) => {
                head.len()
            }
        };
        note_passed(bytes, self.limits.memory.limit());
        let held = bytes.saturating_mul(ROWS_AND_TEXT);
        let unwanted = || self.chunks.is_closed();
        let Some(permit) = self.gate.acquire_blocking(held, unwanted) else {
            return Receiver::Closed;
        };
        let file_chunk = FileChunk {
            origin: Arc::clone(origin),
            chunk,
            permit,
        };
        match self.chunks.blocking_send(Ok(file_chunk)) {
            Ok(()) => Receiver::Open,
            Err(_) => Receiver::Closed,
        }
    }
}
