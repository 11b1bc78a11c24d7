//! The read pipeline of JSON files: fetch, decompress, decode, for all scans that share the files.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::object_store::ObjectStoreUrl;
use tokio::sync::mpsc;

use crate::jsonl::{Compression, Framing, InflateBuffer};
use crate::listing::snapshot::SourceFile;
use crate::memory_budget::MemoryBudget;
use crate::memory_gate::MemoryGate;
use crate::scan::batch_channel::{BatchReceiver, batch_channel};
use crate::scan::json::chunker::{ChunkLimits, Chunker};
use crate::scan::json::column_union::ColumnUnion;
use crate::scan::json::columns::ScanColumns;
use crate::scan::json::decode_task::{DecodeTask, JsonConsumer};
use crate::scan::json::fetch::fetch;
use crate::scan::json::pool_reservation::PoolReservation;
use crate::scan::json::shared_file::SharedFile;
use crate::scan::record::Scan;
use crate::store::CONCURRENCY;

/// The capacity of the channel between the chunker and the decode task, in chunks.
const CHUNKS_AHEAD: usize = 2;

/// The settings that all scans of a pipeline share.
#[derive(Debug, Clone)]
pub(crate) struct ReadSettings {
    pub(crate) store: ObjectStoreUrl,
    pub(crate) compression: Compression,
    pub(crate) framing: Framing,
    pub(crate) schema: TableSchema,
    /// The number of pipelines that run concurrently, this one included: they share the memory.
    pub(crate) tasks: usize,
}

/// Starts the pipeline of `files` for a single scan.
///
/// # Errors
/// As [`start_pipeline`].
pub(crate) fn scan_files(
    settings: &ReadSettings,
    columns: &ScanColumns,
    scan: Arc<Scan>,
    files: impl IntoIterator<Item = SourceFile>,
    context: &TaskContext,
) -> Result<BatchReceiver> {
    let (senders, receiver) = batch_channel(1);
    let shared_files = files.into_iter().map(|file| SharedFile {
        file,
        consumers: vec![0],
    });
    let consumers = senders.into_iter().map(|sender| JsonConsumer {
        columns: columns.clone(),
        scan: Arc::clone(&scan),
        sender,
    });
    start_pipeline(
        settings,
        shared_files.collect(),
        consumers.collect(),
        context,
    )?;
    Ok(receiver)
}

/// Starts the three tasks that read `files` in their order.
///
/// The tasks end after the last file, at an error, or when no consumer takes any more batches. The
/// end or the error is the last message to each consumer.
///
/// # Errors
/// Returns an error if the store is not registered, or if a type cannot be read from JSON.
pub(crate) fn start_pipeline(
    settings: &ReadSettings,
    files: Vec<SharedFile>,
    consumers: Vec<JsonConsumer>,
    context: &TaskContext,
) -> Result<()> {
    let store = context.runtime_env().object_store(&settings.store)?;
    let pool = context.memory_pool();
    let budget = MemoryBudget::of(&**pool);
    let batch_size = context.session_config().batch_size();
    let columns: Vec<&ScanColumns> = consumers.iter().map(|consumer| &consumer.columns).collect();
    let union = ColumnUnion::new(&settings.schema, &columns);
    let decoder = union.decoded.decoder(batch_size)?;
    let decode_task = DecodeTask::new(
        decoder,
        Arc::clone(settings.schema.file_schema()),
        consumers.into_iter().zip(union.members),
    );

    let (opened, to_split) = mpsc::channel(CONCURRENCY.source_files_ahead);
    let (chunks, to_decode) = mpsc::channel(CHUNKS_AHEAD);
    let reservation = PoolReservation(MemoryConsumer::new("inflated source file").register(pool));
    let chunker = Chunker::new(
        (settings.compression, settings.framing.clone()),
        ChunkLimits {
            chunk_bytes: budget.chunk_bytes(),
            max_line_bytes: budget.line_bytes(),
            memory: budget,
        },
        decode_task.scans(),
        InflateBuffer::new(budget.inflate_bytes(settings.tasks), Box::new(reservation)),
        MemoryGate::new(
            pool,
            "rows of a source file",
            budget.waiting_chunks(settings.tasks),
        ),
        chunks,
    )?;
    tokio::spawn(fetch(store, settings.store.clone(), files, opened));
    tokio::task::spawn_blocking(move || chunker.run(to_split));
    tokio::spawn(decode_task.run(to_decode));
    Ok(())
}
