//! The fetch task: reads files from the store as they were when they were listed.

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
use crate::scan::json::shared_file::SharedFile;
use crate::scan::record::Scan;

/// The number of parts of a response that are buffered for the decompressor. Stores send some 16 KiB
/// at a time.
const PARTS_AHEAD: usize = 32;

/// A file that is being read.
pub(crate) struct OpenFile {
    /// The URL of the file, for errors.
    pub(crate) key: String,
    pub(crate) file: SharedFile,
    pub(crate) bytes: StoredBytes,
}

/// The source of a file's bytes, compressed as they are stored.
pub(crate) enum StoredBytes {
    /// A local file, which the blocking reader reads itself.
    Local(File),
    /// The body of a response, which the fetch task forwards.
    Remote(mpsc::Receiver<Result<Bytes>>),
}

/// Opens `files` in succession and sends them with their bytes, until one fails or the receiver is
/// closed. An error is the last message.
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
                let (parts, received) = mpsc::channel(PARTS_AHEAD);
                (StoredBytes::Remote(received), Some((stream, parts)))
            }
            Err(error) => {
                // A closed receiver has no use for the error.
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
        if let Some((stream, parts)) = body
            && !forward(stream, &key, parts).await
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

/// Forwards the parts of a response body. Returns false if the next file should not be opened.
async fn forward(
    mut stream: BoxStream<'static, object_store::Result<Bytes>>,
    key: &str,
    parts: mpsc::Sender<Result<Bytes>>,
) -> bool {
    while let Some(received) = stream.next().await {
        let part = received.map_err(|error| read_error(key, error));
        let failed = part.is_err();
        if parts.send(part).await.is_err() || failed {
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

const CHANGED_HINT: &str = "run again once the source no longer changes";

fn changed(key: &str) -> Error {
    Error::data(format!("source file `{key}` changed while it was read")).with_hint(CHANGED_HINT)
}

/// A blocking reader of the stored bytes of one file that counts them.
///
/// At the end it compares their number with the size in the list. Its own errors are an [`Error`]
/// inside the [`io::Error`]. It must not be read on an async task.
pub(crate) struct StoredReader {
    key: String,
    bytes: StoredBytes,
    part: Bytes,
    read: u64,
    expected: u64,
    scans: Vec<Arc<Scan>>,
}

impl StoredReader {
    /// Creates a reader of `expected` bytes, which are counted for each of `scans`.
    pub(crate) fn new(
        key: String,
        bytes: StoredBytes,
        expected: u64,
        scans: Vec<Arc<Scan>>,
    ) -> Self {
        Self {
            key,
            bytes,
            part: Bytes::new(),
            read: 0,
            expected,
            scans,
        }
    }

    /// Reads as [`Read::read`] does, without counting and checking.
    fn read_part(&mut self, into: &mut [u8]) -> Result<usize> {
        let received = match &mut self.bytes {
            StoredBytes::Local(file) => {
                return read_uninterrupted(file, into).map_err(|error| {
                    Error::unavailable(format!("cannot read `{}`", self.key)).with_source(error)
                });
            }
            StoredBytes::Remote(received) => received,
        };
        while !self.part.has_remaining() {
            match received.blocking_recv() {
                Some(part) => self.part = part?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.part.len());
        self.part.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// Reads once, and again if the read is interrupted.
fn read_uninterrupted(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Read for StoredReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.read_part(into).map_err(io::Error::other)?;
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
