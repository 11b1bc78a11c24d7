//! Open files inflated and cut into chunks, on a thread of their own.

use std::io;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::physical_plan::metrics::Count;
use tokio::sync::mpsc;

use super::super::scan_log::Scan;
use super::compression::Compression;
use super::fetch::{OpenFile, StoredReader};
use super::lines::{Chunk, LONGEST_LINE, LineSplitter, SplitError};
use crate::error::{Error, Result};

/// What the rows of a chunk have in common.
#[derive(Debug)]
pub(super) struct ChunkSource {
    /// The file's URL.
    pub(super) key: String,
    /// The values of the partition columns.
    pub(super) partition: Vec<ScalarValue>,
}

/// Whole lines of one file.
pub(super) struct FileChunk {
    /// The same `Arc` for all chunks of a file.
    pub(super) source: Arc<ChunkSource>,
    pub(super) chunk: Chunk,
}

/// Inflates each opened file and sends its chunks, until one fails or nobody takes them any more.
/// An error is the last thing that is sent. Blocks: it needs a thread that may.
pub(super) fn send_chunks(
    mut opened: mpsc::Receiver<Result<OpenFile>>,
    compression: Compression,
    scan: &Arc<Scan>,
    bytes_scanned: &Count,
    chunks: &mpsc::Sender<Result<FileChunk>>,
) {
    while let Some(open_file) = opened.blocking_recv() {
        let outcome = open_file
            .and_then(|open_file| send_file(open_file, compression, scan, bytes_scanned, chunks));
        match outcome {
            Ok(Receiver::Listening) => {}
            Ok(Receiver::Gone) => return,
            Err(error) => {
                // Nobody to tell means that nobody needs it.
                let _ = chunks.blocking_send(Err(error));
                return;
            }
        }
    }
}

enum Receiver {
    Listening,
    Gone,
}

fn send_file(
    open_file: OpenFile,
    compression: Compression,
    scan: &Arc<Scan>,
    bytes_scanned: &Count,
    chunks: &mpsc::Sender<Result<FileChunk>>,
) -> Result<Receiver> {
    let OpenFile { key, file, bytes } = open_file;
    let expected = file.meta.size;
    let stored = StoredReader::new(
        key.clone(),
        bytes,
        expected,
        Arc::clone(scan),
        bytes_scanned.clone(),
    );
    let source = Arc::new(ChunkSource {
        key,
        partition: file.partition,
    });
    let text = compression
        .reader(&source.key, stored)
        .map_err(|error| read_error(&source.key, error))?;
    let mut splitter = LineSplitter::new(text);
    while let Some(chunk) = splitter
        .next_chunk()
        .map_err(|error| split_error(&source.key, error))?
    {
        let chunk = FileChunk {
            source: Arc::clone(&source),
            chunk,
        };
        if chunks.blocking_send(Ok(chunk)).is_err() {
            return Ok(Receiver::Gone);
        }
    }
    Ok(Receiver::Listening)
}

fn split_error(key: &str, error: SplitError) -> Error {
    match error {
        SplitError::Read(error) => read_error(key, error),
        SplitError::TooLong { line } => Error::data(format!(
            "`{key}` line {line}: the line is longer than {} MiB",
            LONGEST_LINE >> 20
        )),
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
