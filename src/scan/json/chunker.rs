//! The chunker: decompresses opened files and splits them into chunks, on a thread of its own.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::ScalarValue;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::jsonl::{
    Chunk, Compression, InMemoryChunks, InflateBuffer, Inflater, LineSplitter, inflated_size,
};
use crate::scan::json::fetch::{OpenFile, StoredReader};
use crate::scan::record::Scan;

/// The file that a chunk comes from, with everything its rows have in common.
#[derive(Debug)]
pub(crate) struct ChunkOrigin {
    /// The URL of the file.
    pub(crate) key: String,
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
}

/// Decompresses files and splits them into chunks. Blocks: it must run on a blocking thread.
pub(crate) struct Chunker {
    compression: Compression,
    chunk_bytes: usize,
    /// The scan of each consumer, which counts the bytes that are read for it.
    scans: Vec<Arc<Scan>>,
    buffer: InflateBuffer,
    /// The compressed bytes of a file that is decompressed as a whole.
    compressed: Vec<u8>,
    inflater: Inflater,
    chunks: mpsc::Sender<Result<FileChunk>>,
}

/// The state of the channel that the chunks are sent to.
enum Receiver {
    Open,
    Closed,
}

impl Chunker {
    pub(crate) fn new(
        compression: Compression,
        chunk_bytes: usize,
        scans: Vec<Arc<Scan>>,
        buffer: InflateBuffer,
        chunks: mpsc::Sender<Result<FileChunk>>,
    ) -> Result<Self> {
        let inflater = Inflater::new().map_err(|error| {
            Error::unavailable("cannot allocate memory for decompression").with_source(error)
        })?;
        Ok(Self {
            compression,
            chunk_bytes,
            scans,
            buffer,
            compressed: Vec::new(),
            inflater,
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
            partition: file.file.partition,
            consumers: file.consumers,
        });
        let fits = usize::try_from(size).is_ok_and(|size| size <= self.buffer.max_bytes());
        if !fits || !self.compression.is_gzip(&origin.key) {
            return self.stream(&origin, reader);
        }
        self.compressed.clear();
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.reserve(usize::try_from(size).unwrap_or(0));
        reader
            .read_to_end(&mut compressed)
            .map_err(|error| read_error(&origin.key, error))?;
        let receiver = match self.inflate_whole(&compressed) {
            Some(text) => self.send_all(&origin, InMemoryChunks::new(text, self.chunk_bytes)),
            None => self.stream(&origin, compressed.as_slice())?,
        };
        self.compressed = compressed;
        Ok(receiver)
    }

    /// Decompresses a whole gzip file. Returns `None` if there is not enough memory, or if the file
    /// is not intact: it is streamed then.
    fn inflate_whole(&mut self, compressed: &[u8]) -> Option<Bytes> {
        let size = inflated_size(compressed)?;
        let mut text = self.buffer.take(size, compressed.len())?;
        if self.inflater.gzip(compressed, &mut text, size) {
            return Some(self.buffer.lend(text));
        }
        self.buffer.give_back(text);
        None
    }

    fn send_all(&self, origin: &Arc<ChunkOrigin>, mut chunks: InMemoryChunks) -> Receiver {
        while let Some(chunk) = chunks.next_chunk() {
            if let Receiver::Closed = self.send(origin, chunk) {
                return Receiver::Closed;
            }
        }
        Receiver::Open
    }

    fn stream(&self, origin: &Arc<ChunkOrigin>, compressed: impl Read) -> Result<Receiver> {
        let failed = |error| read_error(&origin.key, error);
        let text = self
            .compression
            .reader(&origin.key, compressed)
            .map_err(failed)?;
        let mut splitter = LineSplitter::new(text, self.chunk_bytes);
        while let Some(chunk) = splitter.next_chunk().map_err(failed)? {
            if let Receiver::Closed = self.send(origin, chunk) {
                return Ok(Receiver::Closed);
            }
        }
        Ok(Receiver::Open)
    }

    fn send(&self, origin: &Arc<ChunkOrigin>, chunk: Chunk) -> Receiver {
        let file_chunk = FileChunk {
            origin: Arc::clone(origin),
            chunk,
        };
        match self.chunks.blocking_send(Ok(file_chunk)) {
            Ok(()) => Receiver::Open,
            Err(_) => Receiver::Closed,
        }
    }
}

/// Converts an error of a reader: into our own, if the reader of stored bytes failed with one, else
/// into one of the decompression.
fn read_error(key: &str, error: io::Error) -> Error {
    let inflate_error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(other) => other,
    };
    if inflate_error.kind() == io::ErrorKind::UnexpectedEof {
        let message = format!("`{key}` is cut off: its compressed data does not end");
        return Error::data(message).with_source(inflate_error);
    }
    Error::data(format!("`{key}` cannot be inflated"))
        .with_source(inflate_error)
        .with_hint("if it is not compressed as its name says, set the source's `compression`")
}
