//! Open files inflated and cut into chunks, on a thread of their own.

use std::io::{self, Read};
use std::sync::Arc;

use datafusion::common::ScalarValue;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::jsonl::compression::Compression;
use crate::jsonl::inflate::{Buffer, Inflater, inflated_size};
use crate::jsonl::lines::{LineSplitter, Piece, WholeText};
use crate::scan::json::fetch::{OpenFile, StoredReader};
use crate::scan::record::Scan;

/// What the rows of a piece have in common.
#[derive(Debug)]
pub(crate) struct PieceSource {
    /// The file's URL.
    pub(crate) key: String,
    /// The values of the partition columns.
    pub(crate) partition: Vec<ScalarValue>,
    /// Who wants the file, by their places among the readers.
    pub(crate) readers: Vec<usize>,
}

/// A piece of one file.
pub(crate) struct FilePiece {
    /// The same `Arc` for all pieces of a file.
    pub(crate) source: Arc<PieceSource>,
    pub(crate) piece: Piece,
}

/// Inflates files and cuts them into pieces. Blocks: it needs a thread that may.
pub(crate) struct Cutter {
    compression: Compression,
    chunk_bytes: usize,
    /// One for each reader, whose bytes are counted there.
    scans: Vec<Arc<Scan>>,
    buffer: Buffer,
    /// The bytes of a file that is inflated in one go.
    stored: Vec<u8>,
    inflater: Inflater,
    pieces: mpsc::Sender<Result<FilePiece>>,
}

/// Whether anybody takes the pieces.
enum Receiver {
    Listening,
    Gone,
}

impl Cutter {
    pub(crate) fn new(
        compression: Compression,
        chunk_bytes: usize,
        scans: Vec<Arc<Scan>>,
        buffer: Buffer,
        pieces: mpsc::Sender<Result<FilePiece>>,
    ) -> Result<Self> {
        let inflater = Inflater::new()
            .map_err(|error| Error::unavailable("no memory to inflate with").with_source(error))?;
        Ok(Self {
            compression,
            chunk_bytes,
            scans,
            buffer,
            stored: Vec::new(),
            inflater,
            pieces,
        })
    }

    /// Inflates each opened file and sends its pieces, until one fails or nobody takes them any
    /// more. An error is the last thing that is sent.
    pub(crate) fn cut(mut self, mut opened: mpsc::Receiver<Result<OpenFile>>) {
        while let Some(open_file) = opened.blocking_recv() {
            match open_file.and_then(|open_file| self.cut_file(open_file)) {
                Ok(Receiver::Listening) => {}
                Ok(Receiver::Gone) => return,
                Err(error) => {
                    // Nobody to tell means that nobody needs it.
                    let _ = self.pieces.blocking_send(Err(error));
                    return;
                }
            }
        }
    }

    fn cut_file(&mut self, open_file: OpenFile) -> Result<Receiver> {
        let OpenFile { key, file, bytes } = open_file;
        let size = file.file.meta.size;
        let scans = file
            .readers
            .iter()
            .filter_map(|reader| self.scans.get(*reader));
        let mut stored = StoredReader::new(key.clone(), bytes, size, scans.cloned().collect());
        let source = Arc::new(PieceSource {
            key,
            partition: file.file.partition,
            readers: file.readers,
        });
        let fits = usize::try_from(size).is_ok_and(|size| size <= self.buffer.most());
        if !fits || !self.compression.is_gzip(&source.key) {
            return self.stream(&source, stored);
        }
        self.stored.clear();
        let mut in_memory = std::mem::take(&mut self.stored);
        in_memory.reserve(usize::try_from(size).unwrap_or(0));
        let read = stored.read_to_end(&mut in_memory);
        read.map_err(|error| read_error(&source.key, error))?;
        let sent = match self.inflate_whole(&in_memory) {
            Some(text) => self.send_all(&source, WholeText::new(text, self.chunk_bytes)),
            None => self.stream(&source, in_memory.as_slice())?,
        };
        self.stored = in_memory;
        Ok(sent)
    }

    /// The whole text of a gzip file, if there is room for it and nothing wrong with it.
    fn inflate_whole(&mut self, stored: &[u8]) -> Option<bytes::Bytes> {
        let size = inflated_size(stored)?;
        let mut text = self.buffer.take(size, stored.len())?;
        if self.inflater.gzip(stored, &mut text, size) {
            return Some(self.buffer.lend(text));
        }
        self.buffer.give_back(text);
        None
    }

    fn send_all(&self, source: &Arc<PieceSource>, mut text: WholeText) -> Receiver {
        while let Some(piece) = text.next_piece() {
            if let Receiver::Gone = self.send(source, piece) {
                return Receiver::Gone;
            }
        }
        Receiver::Listening
    }

    fn stream(&self, source: &Arc<PieceSource>, stored: impl Read) -> Result<Receiver> {
        let failed = |error| read_error(&source.key, error);
        let text = self.compression.reader(&source.key, stored);
        let mut splitter = LineSplitter::new(text.map_err(failed)?, self.chunk_bytes);
        while let Some(piece) = splitter.next_piece().map_err(failed)? {
            if let Receiver::Gone = self.send(source, piece) {
                return Ok(Receiver::Gone);
            }
        }
        Ok(Receiver::Listening)
    }

    fn send(&self, source: &Arc<PieceSource>, piece: Piece) -> Receiver {
        let piece = FilePiece {
            source: Arc::clone(source),
            piece,
        };
        match self.pieces.blocking_send(Ok(piece)) {
            Ok(()) => Receiver::Listening,
            Err(_) => Receiver::Gone,
        }
    }
}

/// Our own error if the reader below failed with one; else the decompressor's.
fn read_error(key: &str, error: io::Error) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let what = format!("`{key}` is cut off: its compressed data does not end");
        return Error::data(what).with_source(error);
    }
    Error::data(format!("`{key}` cannot be inflated"))
        .with_source(error)
        .with_hint("if it is not compressed as its name says, set the source's `compression`")
}
