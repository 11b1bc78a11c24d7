//! The decode task: decodes the chunks of files once and sends each consumer its rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::jsonl::{
    BadLine, Chunk, DecodedChunk, LineChunk, LineDecoder, MAX_LINE_BYTES, TextShape,
};
use crate::memory_gate::MemoryPermit;
use crate::scan::batch_channel::{BatchSender, fail_all};
use crate::scan::file_rejects::FileTally;
use crate::scan::json::chunker::{ChunkOrigin, FileChunk};
use crate::scan::json::column_union::UnionMember;
use crate::scan::json::columns::ScanColumns;
use crate::scan::misplaced::FolderTimes;
use crate::scan::record::Scan;

/// A scan that takes rows from a pipeline.
pub(crate) struct JsonConsumer {
    pub(crate) columns: ScanColumns,
    pub(crate) scan: Arc<Scan>,
    pub(crate) sender: BatchSender,
}

/// The last task of a pipeline.
pub(crate) struct DecodeTask {
    /// Decodes the union of the columns of all consumers.
    decoder: LineDecoder,
    /// The declared columns of the files.
    declared: SchemaRef,
    consumers: Vec<ConsumerState>,
}

struct ConsumerState {
    consumer: JsonConsumer,
    member: UnionMember,
    /// The file whose chunks are being decoded.
    file: Option<OpenTally>,
    /// True once the consumer takes no more batches, because it ended or failed.
    is_closed: bool,
}

impl DecodeTask {
    pub(crate) fn new(
        decoder: LineDecoder,
        declared: SchemaRef,
        consumers: impl IntoIterator<Item = (JsonConsumer, UnionMember)>,
    ) -> Self {
        let states = consumers
            .into_iter()
            .map(|(consumer, member)| ConsumerState {
                consumer,
                member,
                file: None,
                is_closed: false,
            });
        Self {
            decoder,
            declared,
            consumers: states.collect(),
        }
    }

    /// Returns the scan of each consumer.
    pub(crate) fn scans(&self) -> Vec<Arc<Scan>> {
        let scans = self
            .consumers
            .iter()
            .map(|state| Arc::clone(&state.consumer.scan));
        scans.collect()
    }

    /// Decodes chunks until the last one, the first error, or until no consumer is left.
    pub(crate) async fn run(mut self, mut chunks: mpsc::Receiver<crate::error::Result<FileChunk>>) {
        while let Some(received) = chunks.recv().await {
            let outcome = match received {
                Ok(file_chunk) => self.decode(file_chunk).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = outcome {
                let open = self.consumers.iter().filter(|state| !state.is_closed);
                let senders: Vec<&BatchSender> = open.map(|state| &state.consumer.sender).collect();
                fail_all(&senders, error).await;
                return;
            }
            if self.consumers.iter().all(|state| state.is_closed) {
                return;
            }
        }
        for state in self.consumers.iter_mut().filter(|state| !state.is_closed) {
            match state.close_file() {
                Ok(()) => state.consumer.sender.end().await,
                Err(error) => state.consumer.sender.fail(error.into()).await,
            }
        }
    }

    async fn decode(&mut self, file_chunk: FileChunk) -> Result<()> {
        let FileChunk {
            origin,
            chunk,
            permit,
        } = file_chunk;
        let (origin, permit) = (&origin, Arc::new(permit));
        let chunk = match &chunk {
            Chunk::Lines(chunk) => chunk,
            Chunk::OversizedLine {
                line,
                offset,
                length,
                head,
            } => {
                let bad = BadLine {
                    line: *line,
                    offset: *offset,
                    length: *length,
                    reason: format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20),
                    field: None,
                    value_at: None,
                };
                self.reject_oversized(origin, &bad, head, &permit).await;
                return Ok(());
            }
        };
        let decoded = self.decoder.decode(chunk)?;
        let row_count: usize = decoded.batches.iter().map(RecordBatch::num_rows).sum();
        let lines = decoded.lines;
        if row_count + decoded.bad.len() != lines {
            let (key, bad) = (&origin.key, decoded.bad.len());
            return Err(Error::internal(format!(
                "`{key}`: {lines} lines gave {row_count} rows and {bad} rejects"
            ))
            .into());
        }
        for index in &origin.consumers {
            if let Some(state) = self.consumers.get_mut(*index)
                && !state.is_closed
            {
                let rows = state.rows(origin, chunk, &self.declared, &decoded);
                state.send(rows, &permit).await;
            }
        }
        Ok(())
    }

    async fn reject_oversized(
        &mut self,
        origin: &Arc<ChunkOrigin>,
        bad: &BadLine,
        head: &[u8],
        permit: &Arc<MemoryPermit>,
    ) {
        for index in &origin.consumers {
            if let Some(state) = self.consumers.get_mut(*index)
                && !state.is_closed
            {
                let text = ChunkText {
                    bytes: head,
                    offset: bad.offset,
                };
                let bad = vec![bad.clone()];
                let rejected = state.note(origin, text, &self.declared, &[], bad);
                let no_rows = rejected.map(|()| Vec::new());
                state.send(no_rows, permit).await;
            }
        }
    }
}

/// The text of a chunk; of an oversized line, its beginning.
#[derive(Clone, Copy)]
struct ChunkText<'a> {
    bytes: &'a [u8],
    /// The offset of the text in the decompressed file, in bytes.
    offset: u64,
}

impl<'a> ChunkText<'a> {
    /// Returns the text of a malformed line of the chunk, or the beginning of an oversized one.
    fn line(self, bad: &BadLine) -> &'a [u8] {
        let position = |offset: u64| {
            let position = usize::try_from(offset.saturating_sub(self.offset));
            position.map_or(self.bytes.len(), |position| position.min(self.bytes.len()))
        };
        let (start, end) = (position(bad.offset), position(bad.offset + bad.length));
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// The lines of a file that one consumer has seen.
struct OpenTally {
    origin: Arc<ChunkOrigin>,
    tally: FileTally,
    /// The times of the rows that are in cycles, if that is checked.
    times: Option<FolderTimes>,
    /// The form of the file, if its lines are rows without any value because the objects are inside.
    frame: Option<TextShape>,
}

impl OpenTally {
    /// Notes what the file looks like, if most lines of its first chunk are malformed, or if all are rows
    /// without a value.
    fn note_start(
        &mut self,
        scan: &Scan,
        text: &[u8],
        declared: &Schema,
        rows: &[RecordBatch],
        bad: &[BadLine],
    ) -> Result<()> {
        let shape = || TextShape::of(text, |key| declared.column_with_name(key).is_some());
        let row_count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        if bad.len() > row_count
            && let (Some(first), Some(shape)) = (bad.first(), shape())
        {
            scan.note_shape(&self.origin.key, shape, first)?;
        }
        if row_count > 0 && !has_value(rows) {
            self.frame = shape().filter(|shape| matches!(shape, TextShape::ObjectsInList(_)));
        }
        Ok(())
    }
}

/// Returns true if a column has a value, or if there is no column.
fn has_value(rows: &[RecordBatch]) -> bool {
    let columns = || rows.iter().flat_map(RecordBatch::columns);
    columns().next().is_none() || columns().any(|column| column.null_count() < column.len())
}

impl ConsumerState {
    /// Returns this consumer's rows of a chunk.
    ///
    /// A line that is malformed for the union of all columns may be a row for the columns of this
    /// consumer: such lines are decoded again.
    fn rows(
        &mut self,
        origin: &Arc<ChunkOrigin>,
        chunk: &LineChunk,
        declared: &Schema,
        decoded: &DecodedChunk,
    ) -> Result<Vec<RecordBatch>> {
        let DecodedChunk { batches, bad, .. } = decoded;
        let JsonConsumer { columns, scan, .. } = &self.consumer;
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches {
            rows.push(batch.project(&self.member.column_indexes)?);
        }
        let mut own_bad = Vec::new();
        if self.member.is_whole {
            // What is malformed for the union is malformed for this consumer.
            own_bad.clone_from(bad);
        } else if !bad.is_empty() {
            let mut own_decoder = columns.decoded().decoder(1)?;
            for bad_line in bad {
                let Some(line) = chunk.line(bad_line.line) else {
                    return Err(Error::internal("a bad line is not in its chunk").into());
                };
                match own_decoder.decode_line(line) {
                    Ok(row) => rows.push(row),
                    Err(own_bad_line) => own_bad.push(own_bad_line),
                }
            }
        }
        let used = columns.decoded().leaves();
        let keys = &scan.counts.keys;
        keys.note(declared, used, &rows, chunk, &origin.key);
        let text = ChunkText {
            bytes: chunk.text(),
            offset: chunk.offset(),
        };
        self.note(origin, text, declared, &rows, own_bad)?;
        let columns = &self.consumer.columns;
        let complete = |batch| columns.complete(batch, &origin.key, &origin.partition);
        rows.iter().map(complete).collect()
    }

    /// Notes what was found in a chunk of `text`: the malformed lines, what the file looks like, and the
    /// rows that are in no cycle.
    fn note(
        &mut self,
        origin: &Arc<ChunkOrigin>,
        text: ChunkText<'_>,
        declared: &Schema,
        rows: &[RecordBatch],
        bad: Vec<BadLine>,
    ) -> Result<()> {
        let is_start = self.enter(origin)?;
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let scan = &self.consumer.scan;
        if is_start {
            file.note_start(scan, text.bytes, declared, rows, &bad)?;
        }
        let is_framed = file.frame.is_some() && !has_value(rows);
        let row_count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        let empty_rows = if is_framed { row_count } else { 0 };
        // The text of an oversized line is only its beginning.
        let text_bytes = (text.bytes.len() as u64).max(bad.iter().map(|line| line.length).sum());
        let has_row = row_count > empty_rows;
        file.tally.add(text_bytes, has_row, empty_rows as u64, &bad);
        let bytes = &scan.counts.text_bytes;
        bytes.fetch_add(text_bytes, Ordering::Relaxed);
        for bad_line in bad {
            let line = text.line(&bad_line);
            scan.reject_line(&origin.key, bad_line, line)?;
        }
        if let (Some(check), Some(times)) = (&scan.time_check, &file.times) {
            let misplaced = times.count(rows, check.column());
            scan.counts.misplaced.add(&origin.key, misplaced);
        }
        Ok(())
    }

    /// Enters the file of a chunk, and leaves the one before. Returns true at the start of a file.
    fn enter(&mut self, origin: &Arc<ChunkOrigin>) -> Result<bool> {
        let is_open = |file: &OpenTally| Arc::ptr_eq(&file.origin, origin);
        if self.file.as_ref().is_some_and(is_open) {
            return Ok(false);
        }
        self.close_file()?;
        let check = self.consumer.scan.time_check.as_ref();
        self.file = Some(OpenTally {
            origin: Arc::clone(origin),
            times: check.and_then(|check| check.times(&origin.partition)),
            tally: FileTally::default(),
            frame: None,
        });
        Ok(true)
    }

    /// Notes that the file was read to its end.
    fn close_file(&mut self) -> crate::error::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let (scan, key) = (&self.consumer.scan, &file.origin.key);
        match file.tally.finish() {
            Some(reason) => scan.note_without_row(key, reason, file.frame),
            None => Ok(()),
        }
    }

    async fn send(&mut self, rows: Result<Vec<RecordBatch>>, permit: &Arc<MemoryPermit>) {
        let batches = match rows {
            Ok(batches) => batches,
            Err(error) => {
                self.consumer.sender.fail(error).await;
                self.is_closed = true;
                return;
            }
        };
        for batch in batches {
            let row_count = batch.num_rows() as u64;
            let permit = Some(Arc::clone(permit));
            if !self.consumer.sender.send(batch, permit).await {
                self.is_closed = true;
                return;
            }
            let counts = &self.consumer.scan.counts;
            counts.rows_read.fetch_add(row_count, Ordering::Relaxed);
        }
    }
}
