//! Stored bytes, brought from the store as they were when the list was frozen.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes};
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{GetOptions, GetResultPayload, ObjectMeta, ObjectStore};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::listing::location::key_url;
use crate::scan::json::pipeline::SharedFile;
use crate::scan::record::Scan;

/// Pieces of a response that wait for the decompressor; stores send some 16 KiB at a time.
const PIECES_AHEAD: usize = 32;

/// A file whose bytes are on their way.
pub(crate) struct OpenFile {
    /// Its URL, for errors.
    pub(crate) key: String,
    pub(crate) file: SharedFile,
    pub(crate) bytes: StoredBytes,
}

/// Where the bytes come from.
pub(crate) enum StoredBytes {
    /// A file of this machine, to be read where it is needed.
    Local(File),
    /// The body of a response, pumped by the fetching task.
    Remote(mpsc::Receiver<Result<Bytes>>),
}

/// Opens `files` one after the other and sends them, with their bytes, until one fails or nobody
/// reads them any more. An error is the last thing that is sent.
pub(crate) async fn fetch(
    store: Arc<dyn ObjectStore>,
    store_url: ObjectStoreUrl,
    files: Vec<SharedFile>,
    opened: mpsc::Sender<Result<OpenFile>>,
) {
    for file in files {
        let meta = &file.file.meta;
        let key = key_url(&store_url, &meta.location);
        let (bytes, body) = match open(store.as_ref(), meta, &key).await {
            Ok(GetResultPayload::File(local, _)) => (StoredBytes::Local(local), None),
            Ok(GetResultPayload::Stream(stream)) => {
                let (pieces, received) = mpsc::channel(PIECES_AHEAD);
                (StoredBytes::Remote(received), Some((stream, pieces)))
            }
            Err(error) => {
                // Nobody to tell means that nobody needs it.
                let _ = opened.send(Err(error)).await;
                return;
            }
        };
        let open_file = OpenFile {
            key: key.clone(),
            file,
            bytes,
        };
        if opened.send(Ok(open_file)).await.is_err() {
            return;
        }
        if let Some((stream, pieces)) = body
            && !pump(stream, &key, pieces).await
        {
            return;
        }
    }
}

async fn open(store: &dyn ObjectStore, meta: &ObjectMeta, key: &str) -> Result<GetResultPayload> {
    let options = GetOptions {
        if_match: meta.e_tag.clone(),
        ..GetOptions::default()
    };
    match store.get_opts(&meta.location, options).await {
        Ok(result) => Ok(result.payload),
        Err(error) => Err(read_error(key, error)),
    }
}

/// Sends the body piece by piece. Whether there is a point in going on with the next file.
async fn pump(
    mut stream: BoxStream<'static, object_store::Result<Bytes>>,
    key: &str,
    pieces: mpsc::Sender<Result<Bytes>>,
) -> bool {
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| read_error(key, error));
        let failed = piece.is_err();
        if pieces.send(piece).await.is_err() || failed {
            return false;
        }
    }
    true
}

fn read_error(key: &str, error: object_store::Error) -> Error {
    match error {
        object_store::Error::Precondition { .. } => changed(key).with_source(error),
        object_store::Error::NotFound { .. } => Error::data(format!(
            "source file `{key}` was deleted before it was read"
        ))
        .with_source(error)
        .with_hint(CHANGED_HINT),
        other => Error::store("read", key, other),
    }
}

const CHANGED_HINT: &str = "run again once the source is at rest";

fn changed(key: &str) -> Error {
    Error::data(format!("source file `{key}` changed while it was read")).with_hint(CHANGED_HINT)
}

/// The stored bytes of one file as a blocking reader that counts them.
///
/// At the end it holds their number against the frozen list. Its own errors are an [`Error`]
/// inside the [`io::Error`]. Must not be read on an async task.
pub(crate) struct StoredReader {
    key: String,
    bytes: StoredBytes,
    piece: Bytes,
    read: u64,
    expected: u64,
    scans: Vec<Arc<Scan>>,
}

impl StoredReader {
    /// The bytes count for each of `scans`.
    pub(crate) fn new(
        key: String,
        bytes: StoredBytes,
        expected: u64,
        scans: Vec<Arc<Scan>>,
    ) -> Self {
        Self {
            key,
            bytes,
            piece: Bytes::new(),
            read: 0,
            expected,
            scans,
        }
    }

    /// As [`Read::read`], without count and check.
    fn read_piece(&mut self, into: &mut [u8]) -> Result<usize> {
        let received = match &mut self.bytes {
            StoredBytes::Local(file) => {
                return read_fully(file, into).map_err(|error| {
                    Error::unavailable(format!("cannot read `{}`", self.key)).with_source(error)
                });
            }
            StoredBytes::Remote(received) => received,
        };
        while !self.piece.has_remaining() {
            match received.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// One read that is not interrupted.
fn read_fully(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Read for StoredReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.read_piece(into).map_err(io::Error::other)?;
        self.read += length as u64;
        for scan in &self.scans {
            let counts = &scan.counts;
            counts
                .bytes_read
                .fetch_add(length as u64, Ordering::Relaxed);
        }
        let at_end = length == 0 && !into.is_empty();
        if self.read > self.expected || (at_end && self.read < self.expected) {
            return Err(io::Error::other(changed(&self.key)));
        }
        Ok(length)
    }
}
