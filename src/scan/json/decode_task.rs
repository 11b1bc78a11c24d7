//! The decode task: decodes the chunks of files once and sends each consumer its rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use futures::future::select_all;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::jsonl::{
    BadLine, BadRecord, Chunk, DecodedChunk, LineChunk, LineDecoder, MAX_LINE_BYTES, RecordFault,
};
use crate::memory_gate::MemoryPermit;
use crate::planted_fault::{strikes, strikes_rows, without_last_row};
use crate::scan::batch_channel::{BatchSender, fail_all};
use crate::scan::file_rejects::FileTally;
use crate::scan::json::chunker::{ChunkOrigin, FileChunk};
use crate::scan::json::column_union::UnionMember;
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::open_tally::{ChunkText, OpenTally, has_value};
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
    columns: ScanColumns,
    scan: Arc<Scan>,
    delivery: Delivery,
    member: UnionMember,
    /// The file whose chunks are being decoded.
    file: Option<OpenTally>,
}

/// The delivery of rows to a consumer.
enum Delivery {
    Open(BatchSender),
    /// It was sent an error. Without a sender, another partition of its plan would fail by that.
    Failed(BatchSender),
    /// It takes no more batches. The sender is dropped: a batch that was sent just while the consumer ended
    /// is in the channel as long as there is a sender, with a permit that the chunker may wait for.
    Ended,
}

impl Delivery {
    /// Returns the sender, if the consumer takes batches.
    fn open(&self) -> Option<&BatchSender> {
        match self {
            Self::Open(sender) => Some(sender),
            Self::Failed(_) | Self::Ended => None,
        }
    }

    /// Waits until the consumer has ended, and then drops the sender.
    async fn end(&mut self) {
        if let Self::Open(sender) | Self::Failed(sender) = self {
            sender.closed().await;
        }
        *self = Self::Ended;
    }
}

impl DecodeTask {
    pub(crate) fn new(
        decoder: LineDecoder,
        declared: SchemaRef,
        consumers: impl IntoIterator<Item = (JsonConsumer, UnionMember)>,
    ) -> Self {
        let states = consumers.into_iter().map(|(consumer, member)| {
            let JsonConsumer {
                columns,
                scan,
                sender,
            } = consumer;
            ConsumerState {
                columns,
                scan,
                delivery: Delivery::Open(sender),
                member,
                file: None,
            }
        });
        Self {
            decoder,
            declared,
            consumers: states.collect(),
        }
    }

    /// Returns the scan of each consumer.
    pub(crate) fn scans(&self) -> Vec<Arc<Scan>> {
        let scans = self.consumers.iter().map(|state| Arc::clone(&state.scan));
        scans.collect()
    }

    /// Decodes chunks until the last one, the first error, or until no consumer is left.
    pub(crate) async fn run(mut self, mut chunks: mpsc::Receiver<crate::error::Result<FileChunk>>) {
        while let Some(received) = self.next(&mut chunks).await {
            let outcome = match received {
                Ok(file_chunk) => self.decode(file_chunk).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = outcome {
                let consumers = self.consumers.iter();
                let senders = consumers.filter_map(|state| state.delivery.open());
                fail_all(&senders.collect::<Vec<_>>(), error).await;
                return;
            }
        }
        for state in &mut self.consumers {
            state.finish().await;
        }
    }

    /// Returns the next chunk, or `None` after the last one or once no consumer is left. Of consumers that end
    /// meanwhile the senders are dropped at once: the chunker may wait for what their channels hold.
    async fn next(
        &mut self,
        chunks: &mut mpsc::Receiver<crate::error::Result<FileChunk>>,
    ) -> Option<crate::error::Result<FileChunk>> {
        loop {
            if self
                .consumers
                .iter()
                .all(|state| state.delivery.open().is_none())
            {
                return None;
            }
            let deliveries = self.consumers.iter_mut().map(|state| &mut state.delivery);
            let ends = deliveries
                .filter(|delivery| !matches!(delivery, Delivery::Ended))
                .map(|delivery| Box::pin(delivery.end()));
            tokio::select! {
                biased;
                received = chunks.recv() => return received,
                _ = select_all(ends) => {}
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
            Chunk::BadRecord(bad) => {
                self.count_decoded(origin, 1);
                self.reject_record(origin, bad, &permit).await;
                return Ok(());
            }
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
                    is_record: false,
                };
                self.count_decoded(origin, 1);
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
        self.count_decoded(origin, lines);
        for index in &origin.consumers {
            if let Some(state) = self.consumers.get_mut(*index)
                && state.delivery.open().is_some()
                && !strikes("a consumer of lines misses a chunk")
            {
                let rows = state.rows(origin, chunk, &self.declared, &decoded);
                state.send(rows, &permit).await;
            }
        }
        Ok(())
    }

    /// Counts decoded lines, for each consumer of the file.
    fn count_decoded(&self, origin: &ChunkOrigin, lines: usize) {
        for index in &origin.consumers {
            if let Some(state) = self.consumers.get(*index) {
                state.scan.counts.add_decoded(lines);
            }
        }
    }

    async fn reject_record(
        &mut self,
        origin: &Arc<ChunkOrigin>,
        record: &BadRecord,
        permit: &Arc<MemoryPermit>,
    ) {
        let bad = BadLine {
            line: record.record,
            offset: record.offset,
            length: record.length,
            reason: match &record.fault {
                RecordFault::Oversized => {
                    format!("the record is longer than {} MiB", MAX_LINE_BYTES >> 20)
                }
                RecordFault::WithoutList(reason) | RecordFault::Broken(reason) => reason.clone(),
            },
            field: None,
            value_at: None,
            is_record: true,
        };
        if matches!(record.fault, RecordFault::Broken(_)) {
            for index in &origin.consumers {
                if let Some(state) = self.consumers.get(*index) {
                    state.scan.note_broken(&origin.key, &bad);
                }
            }
        }
        self.reject_oversized(origin, &bad, &record.head, permit)
            .await;
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
                && state.delivery.open().is_some()
            {
                let text = ChunkText {
                    bytes: head,
                    offset: bad.offset,
                    records: None,
                };
                let bad = vec![bad.clone()];
                let rejected = state.note(origin, text, &self.declared, &[], bad);
                let no_rows = rejected.map(|()| Vec::new());
                state.send(no_rows, permit).await;
            }
        }
    }
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
        let scan = &self.scan;
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches {
            let own = batch.project(&self.member.column_indexes)?;
            rows.push(without_last_row(
                "the last row of decoded lines is lost",
                own,
            ));
        }
        let mut own_bad = Vec::new();
        if self.member.is_whole {
            // What is malformed for the union is malformed for this consumer.
            own_bad.clone_from(bad);
        } else if !bad.is_empty() {
            let mut own_decoder = self.columns.decoded().decoder(1)?;
            for bad_line in bad {
                let Some(line) = chunk.line(bad_line.line) else {
                    return Err(Error::internal("a bad line is not in its chunk").into());
                };
                match own_decoder.decode_line(line) {
                    Ok(_) if strikes("a line that is decoded again is lost") => {}
                    Ok(row) => rows.push(row),
                    Err(own_bad_line) => own_bad.push(own_bad_line),
                }
            }
        }
        if chunk.is_records() {
            own_bad = own_bad.into_iter().map(BadLine::into_record).collect();
        }
        let used = self.columns.decoded().leaves();
        let keys = &scan.counts.keys;
        keys.note(declared, used, &rows, chunk, &origin.key);
        let text = ChunkText {
            bytes: chunk.text(),
            offset: chunk.offset(),
            records: chunk.is_records().then_some(chunk),
        };
        self.note(origin, text, declared, &rows, own_bad)?;
        let columns = &self.columns;
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
        let scan = &self.scan;
        if is_start {
            file.note_start(scan, text, declared, rows, &bad)?;
        }
        let is_framed = file.is_frame && !has_value(rows);
        let row_count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        let empty_rows = if is_framed { row_count } else { 0 };
        // The text of an oversized line is only its beginning.
        let text_bytes = (text.bytes.len() as u64).max(bad.iter().map(|line| line.length).sum());
        let has_row = row_count > empty_rows;
        file.tally.add(text_bytes, has_row, empty_rows as u64, &bad);
        let bytes = &scan.counts.text_bytes;
        bytes.fetch_add(text_bytes, Ordering::Relaxed);
        for bad_line in bad {
            if strikes("a malformed line is not counted") {
                continue;
            }
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
        let check = self.scan.time_check.as_ref();
        self.file = Some(OpenTally {
            origin: Arc::clone(origin),
            times: check.and_then(|check| check.times(&origin.location, &origin.partition)),
            tally: FileTally::default(),
            is_frame: false,
            frame: None,
        });
        Ok(true)
    }

    /// Notes that the file was read to its end.
    fn close_file(&mut self) -> crate::error::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let (scan, key) = (&self.scan, &file.origin.key);
        match file.tally.finish() {
            Some(reason) => scan.note_without_row(key, reason, file.frame),
            None => Ok(()),
        }
    }

    /// Sends the end of the rows.
    async fn finish(&mut self) {
        let Delivery::Open(sender) = std::mem::replace(&mut self.delivery, Delivery::Ended) else {
            return;
        };
        match self.close_file() {
            Ok(()) => sender.end().await,
            Err(error) => sender.fail(error.into()).await,
        }
    }

    async fn send(&mut self, rows: Result<Vec<RecordBatch>>, permit: &Arc<MemoryPermit>) {
        let Delivery::Open(sender) = std::mem::replace(&mut self.delivery, Delivery::Ended) else {
            return;
        };
        match rows {
            Ok(batches) => {
                if send_all(&sender, &self.scan, batches, permit).await {
                    self.delivery = Delivery::Open(sender);
                }
            }
            Err(error) => {
                sender.fail(error).await;
                self.delivery = Delivery::Failed(sender);
            }
        }
    }
}

/// Sends rows to the consumer of `scan`, which counts them. Returns false if it takes no more.
async fn send_all(
    sender: &BatchSender,
    scan: &Scan,
    batches: Vec<RecordBatch>,
    permit: &Arc<MemoryPermit>,
) -> bool {
    for batch in batches {
        let row_count = batch.num_rows() as u64;
        if strikes_rows("a batch of lines is sent twice", &batch) {
            let again = Some(Arc::clone(permit));
            sender.send(batch.clone(), again).await;
        }
        if !sender.send(batch, Some(Arc::clone(permit))).await {
            return false;
        }
        let counts = &scan.counts;
        counts.rows_read.fetch_add(row_count, Ordering::Relaxed);
    }
    true
}

#[cfg(test)]
mod tests;
