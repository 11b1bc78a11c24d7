//! Open files inflated and cut into chunks, on a thread of their own.

use std::io;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::physical_plan::metrics::Count;
use tokio::sync::mpsc;

use super::super::scan_log::Scan;
use super::compression::Compression;
use super::fetch::{OpenFile, StoredReader};
use super::lines::{LineSplitter, Piece};
use crate::error::{Error, Result};

/// What the rows of a piece have in common.
#[derive(Debug)]
pub(super) struct PieceSource {
    /// The file's URL.
    pub(super) key: String,
    /// The values of the partition columns.
    pub(super) partition: Vec<ScalarValue>,
}

/// A piece of one file.
pub(super) struct FilePiece {
    /// The same `Arc` for all pieces of a file.
    pub(super) source: Arc<PieceSource>,
    pub(super) piece: Piece,
}

/// Inflates each opened file and sends its pieces, until one fails or nobody takes them any more.
/// An error is the last thing that is sent. Blocks: it needs a thread that may.
pub(super) fn send_pieces(
    mut opened: mpsc::Receiver<Result<OpenFile>>,
    compression: Compression,
    scan: &Arc<Scan>,
    bytes_scanned: &Count,
    pieces: &mpsc::Sender<Result<FilePiece>>,
) {
    while let Some(open_file) = opened.blocking_recv() {
        let outcome = open_file
            .and_then(|open_file| send_file(open_file, compression, scan, bytes_scanned, pieces));
        match outcome {
            Ok(Receiver::Listening) => {}
            Ok(Receiver::Gone) => return,
            Err(error) => {
                // Nobody to tell means that nobody needs it.
                let _ = pieces.blocking_send(Err(error));
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
    pieces: &mpsc::Sender<Result<FilePiece>>,
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
    let source = Arc::new(PieceSource {
        key,
        partition: file.partition,
    });
    let text = compression
        .reader(&source.key, stored)
        .map_err(|error| read_error(&source.key, error))?;
    let mut splitter = LineSplitter::new(text);
    while let Some(piece) = splitter
        .next_piece()
        .map_err(|error| read_error(&source.key, error))?
    {
        let piece = FilePiece {
            source: Arc::clone(&source),
            piece,
        };
        if pieces.blocking_send(Ok(piece)).is_err() {
            return Ok(Receiver::Gone);
        }
    }
    Ok(Receiver::Listening)
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
