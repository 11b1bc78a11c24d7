//! One reading of files for all who want their rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit};
use datafusion::execution::object_store::ObjectStoreUrl;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::jsonl::compression::Compression;
use crate::jsonl::decode::{BadLine, LineDecoder};
use crate::jsonl::inflate::Buffer;
use crate::jsonl::lines::{CHUNK_BYTES, Chunk, LONGEST_LINE, Piece};
use crate::listing::snapshot::SourceFile;
use crate::scan::batch_channel::{BatchSender, fail_all};
use crate::scan::json::chunker::{Cutter, FilePiece, PieceSource};
use crate::scan::json::columns::{Columns, Share};
use crate::scan::json::fetch::fetch;
use crate::scan::record::Scan;
use crate::store::CONCURRENCY;

/// Pieces of files that wait for the decoder.
const PIECES_AHEAD: usize = 2;
/// The share of the memory pool that whole files may be inflated into, over all tasks.
const INFLATING_SHARE: usize = 8;
/// The share of the memory pool that one chunk may be.
const CHUNK_SHARE: usize = 256;
const LEAST_CHUNK: usize = 256 << 10;

/// A file, and who wants its rows.
#[derive(Debug, Clone)]
pub(crate) struct SharedFile {
    pub(crate) file: SourceFile,
    /// By their places among the readers, at least one.
    pub(crate) readers: Vec<usize>,
}

/// Somebody who wants rows.
pub(crate) struct Reader {
    pub(crate) columns: Columns,
    pub(crate) scan: Arc<Scan>,
    pub(crate) sender: BatchSender,
}

/// How files are read.
#[derive(Debug, Clone)]
pub(crate) struct ReadSettings {
    pub(crate) store: ObjectStoreUrl,
    pub(crate) compression: Compression,
    pub(crate) schema: TableSchema,
    /// Readings that run beside this one, itself counted: they share the memory.
    pub(crate) tasks: usize,
}

/// Starts the three tasks that read `files` in their order. They end when all is read, or nobody
/// wants more; each reader's sender tells it how it ended.
///
/// # Errors
/// Where the store is not registered, or a type cannot be read from JSON.
pub(crate) fn read(
    settings: &ReadSettings,
    files: Vec<SharedFile>,
    readers: Vec<Reader>,
    context: &TaskContext,
) -> Result<()> {
    let store = context.runtime_env().object_store(&settings.store)?;
    let pool = context.memory_pool();
    let limit = match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => bytes,
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    };
    let batch_size = context.session_config().batch_size();
    let columns: Vec<&Columns> = readers.iter().map(|reader| &reader.columns).collect();
    let union = Columns::union(&settings.schema, &columns);
    let decoding = Decoding {
        decoder: union.decoded.decoder(batch_size)?,
        readers: readers
            .into_iter()
            .zip(union.shares)
            .map(|(reader, share)| DecodingReader {
                reader,
                share,
                gone: false,
            })
            .collect(),
    };

    let (opened, to_inflate) = mpsc::channel(CONCURRENCY.source_files_ahead);
    let (pieces, to_decode) = mpsc::channel(PIECES_AHEAD);
    let scans = decoding.readers.iter();
    let scans = scans
        .map(|reader| Arc::clone(&reader.reader.scan))
        .collect();
    let memory = MemoryConsumer::new("inflated source file").register(pool);
    let buffer = Buffer::new(limit / INFLATING_SHARE / settings.tasks.max(1), memory);
    let chunk_bytes = (limit / CHUNK_SHARE).clamp(LEAST_CHUNK, CHUNK_BYTES);
    let cutter = Cutter::new(settings.compression, chunk_bytes, scans, buffer, pieces)?;
    tokio::spawn(fetch(store, settings.store.clone(), files, opened));
    tokio::task::spawn_blocking(move || cutter.cut(to_inflate));
    tokio::spawn(decoding.run(to_decode));
    Ok(())
}

/// The decoding task.
struct Decoding {
    /// Of what any reader needs.
    decoder: LineDecoder,
    readers: Vec<DecodingReader>,
}

struct DecodingReader {
    reader: Reader,
    share: Share,
    /// It takes no more, because it ended or failed.
    gone: bool,
}

impl Decoding {
    /// Decodes pieces until there are none, one fails, or nobody takes the batches any more.
    async fn run(mut self, mut pieces: mpsc::Receiver<crate::error::Result<FilePiece>>) {
        while let Some(piece) = pieces.recv().await {
            let outcome = match piece {
                Ok(piece) => self.piece(&piece).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = outcome {
                let readers = self.readers.iter().filter(|reader| !reader.gone);
                let senders: Vec<&BatchSender> =
                    readers.map(|reader| &reader.reader.sender).collect();
                fail_all(&senders, error).await;
                return;
            }
            if self.readers.iter().all(|reader| reader.gone) {
                return;
            }
        }
        for reader in self.readers.iter().filter(|reader| !reader.gone) {
            reader.reader.sender.end().await;
        }
    }

    async fn piece(&mut self, piece: &FilePiece) -> Result<()> {
        let source = &piece.source;
        let chunk = match &piece.piece {
            Piece::Lines(chunk) => chunk,
            Piece::TooLong { line, offset } => {
                self.too_long(source, *line, *offset).await;
                return Ok(());
            }
        };
        let decoded = self.decoder.decode_and_set_aside(chunk)?;
        let rows: usize = decoded.batches.iter().map(RecordBatch::num_rows).sum();
        let lines = decoded.lines;
        if rows + decoded.bad.len() != lines {
            let (key, bad) = (&source.key, decoded.bad.len());
            return Err(Error::internal(format!(
                "`{key}`: {lines} lines gave {rows} rows and {bad} rejects"
            ))
            .into());
        }
        for place in &source.readers {
            if let Some(reader) = self.readers.get_mut(*place)
                && !reader.gone
            {
                let rows = reader.rows(source, chunk, &decoded.batches, &decoded.bad);
                reader.send(rows).await;
            }
        }
        Ok(())
    }

    async fn too_long(&mut self, source: &PieceSource, line: u64, offset: u64) {
        for place in &source.readers {
            if let Some(reader) = self.readers.get_mut(*place)
                && !reader.gone
            {
                let bad = BadLine {
                    line,
                    offset,
                    reason: format!("the line is longer than {} MiB", LONGEST_LINE >> 20),
                };
                let set_aside = reader.reader.scan.reject_line(&source.key, bad);
                let rows = set_aside.map(|()| Vec::new());
                reader.send(rows.map_err(DataFusionError::from)).await;
            }
        }
    }
}

impl DecodingReader {
    /// What this reader gets of a chunk. A line that is bad for what all readers need may be a row
    /// for this one.
    fn rows(
        &self,
        source: &PieceSource,
        chunk: &Chunk,
        batches: &[RecordBatch],
        bad: &[BadLine],
    ) -> Result<Vec<RecordBatch>> {
        let Reader { columns, scan, .. } = &self.reader;
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches {
            rows.push(batch.project(&self.share.places)?);
        }
        if self.share.is_all {
            // What is bad is bad for it.
            for bad in bad {
                scan.reject_line(&source.key, bad.clone())?;
            }
        } else if !bad.is_empty() {
            let mut own = columns.decoded().decoder(1)?;
            for bad in bad {
                let Some(line) = chunk.line(bad.line) else {
                    return Err(Error::internal("a bad line is not in its chunk").into());
                };
                match own.decode_line(line) {
                    Ok(row) => rows.push(row),
                    Err(bad) => scan.reject_line(&source.key, bad)?,
                }
            }
        }
        let complete = |batch| columns.complete(batch, &source.key, &source.partition);
        rows.iter().map(complete).collect()
    }

    async fn send(&mut self, rows: Result<Vec<RecordBatch>>) {
        let batches = match rows {
            Ok(batches) => batches,
            Err(error) => {
                self.reader.sender.fail(error).await;
                self.gone = true;
                return;
            }
        };
        for batch in batches {
            let rows = batch.num_rows() as u64;
            if !self.reader.sender.send(batch).await {
                self.gone = true;
                return;
            }
            let counts = &self.reader.scan.counts;
            counts.rows_read.fetch_add(rows, Ordering::Relaxed);
        }
    }
}
