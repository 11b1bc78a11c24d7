//! The decode task: decodes the chunks of files once and sends each consumer its rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use tokio::sync::mpsc;

use crate::error::Error;
use crate::jsonl::{BadLine, Chunk, LineChunk, LineDecoder, MAX_LINE_BYTES};
use crate::scan::batch_channel::{BatchSender, fail_all};
use crate::scan::json::chunker::{ChunkOrigin, FileChunk};
use crate::scan::json::column_union::UnionMember;
use crate::scan::json::columns::ScanColumns;
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
    consumers: Vec<ConsumerState>,
}

struct ConsumerState {
    consumer: JsonConsumer,
    member: UnionMember,
    /// True once the consumer takes no more batches, because it ended or failed.
    is_closed: bool,
}

impl DecodeTask {
    pub(crate) fn new(
        decoder: LineDecoder,
        consumers: impl IntoIterator<Item = (JsonConsumer, UnionMember)>,
    ) -> Self {
        let states = consumers
            .into_iter()
            .map(|(consumer, member)| ConsumerState {
                consumer,
                member,
                is_closed: false,
            });
        Self {
            decoder,
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
                Ok(file_chunk) => self.decode(&file_chunk).await,
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
        for state in self.consumers.iter().filter(|state| !state.is_closed) {
            state.consumer.sender.end().await;
        }
    }

    async fn decode(&mut self, file_chunk: &FileChunk) -> Result<()> {
        let origin = &file_chunk.origin;
        let chunk = match &file_chunk.chunk {
            Chunk::Lines(chunk) => chunk,
            Chunk::OversizedLine { line, offset } => {
                self.reject_oversized(origin, *line, *offset).await;
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
                let rows = state.rows(origin, chunk, &decoded.batches, &decoded.bad);
                state.send(rows).await;
            }
        }
        Ok(())
    }

    async fn reject_oversized(&mut self, origin: &ChunkOrigin, line: u64, offset: u64) {
        for index in &origin.consumers {
            if let Some(state) = self.consumers.get_mut(*index)
                && !state.is_closed
            {
                let bad = BadLine {
                    line,
                    offset,
                    reason: format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20),
                };
                let rejected = state.consumer.scan.reject_line(&origin.key, bad);
                let no_rows = rejected.map(|()| Vec::new());
                state.send(no_rows.map_err(DataFusionError::from)).await;
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
        &self,
        origin: &ChunkOrigin,
        chunk: &LineChunk,
        batches: &[RecordBatch],
        bad: &[BadLine],
    ) -> Result<Vec<RecordBatch>> {
        let JsonConsumer { columns, scan, .. } = &self.consumer;
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches {
            rows.push(batch.project(&self.member.column_indexes)?);
        }
        if self.member.is_whole {
            // What is malformed for the union is malformed for this consumer.
            for bad_line in bad {
                scan.reject_line(&origin.key, bad_line.clone())?;
            }
        } else if !bad.is_empty() {
            let mut own_decoder = columns.decoded().decoder(1)?;
            for bad_line in bad {
                let Some(line) = chunk.line(bad_line.line) else {
                    return Err(Error::internal("a bad line is not in its chunk").into());
                };
                match own_decoder.decode_line(line) {
                    Ok(row) => rows.push(row),
                    Err(own_bad_line) => scan.reject_line(&origin.key, own_bad_line)?,
                }
            }
        }
        let complete = |batch| columns.complete(batch, &origin.key, &origin.partition);
        rows.iter().map(complete).collect()
    }

    async fn send(&mut self, rows: Result<Vec<RecordBatch>>) {
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
            if !self.consumer.sender.send(batch).await {
                self.is_closed = true;
                return;
            }
            let counts = &self.consumer.scan.counts;
            counts.rows_read.fetch_add(row_count, Ordering::Relaxed);
        }
    }
}
