//! Consumers that end while the decode task waits.

use std::collections::BTreeSet;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};

use super::*;
use crate::jsonl::LeafRules;
use crate::listing::passed_over::PassedOver;
use crate::memory_gate::{GateLimits, MemoryGate};
use crate::scan::absent::AbsentRules;
use crate::scan::batch_channel::{BatchReceiver, batch_channel};
use crate::scan::json::column_union::ColumnUnion;
use crate::scan::missing::CycleFiles;
use crate::scan::record::ScanCounts;

fn scan() -> Arc<Scan> {
    Arc::new(Scan {
        source: "numbers".to_owned(),
        files: Vec::new(),
        newest: None,
        counts: ScanCounts::default(),
        absent_rules: AbsentRules::default(),
        rejects: None,
        unverified: None,
        filters: String::new(),
        filter_columns: BTreeSet::new(),
        cycle_files: CycleFiles::default(),
        time_check: None,
        checked_files: None,
        passed_over: PassedOver::default(),
    })
}

/// A task for two consumers, of which the first one has ended: a batch was sent to it just then, so that it
/// is in the channel. Returns the receiver of the other one, too.
async fn task_with_stuck_batch(permit: MemoryPermit) -> (DecodeTask, BatchReceiver) {
    let fields = vec![Field::new("n", DataType::Int64, true)];
    let schema = TableSchema::builder(Arc::new(Schema::new(fields))).build();
    let columns = ScanColumns::new(&schema, &[0], None, &LeafRules::default()).unwrap();
    let union = ColumnUnion::new(&schema, &[&columns, &columns]);
    let (mut ended_senders, ended) = batch_channel(1);
    let (mut open_senders, open) = batch_channel(1);
    let no_rows = RecordBatch::new_empty(Arc::clone(schema.file_schema()));
    let late = ended_senders.pop().unwrap();
    late.send_late(ended, no_rows, permit).await;
    let consumers = [late, open_senders.pop().unwrap()].map(|sender| JsonConsumer {
        columns: columns.clone(),
        scan: scan(),
        sender,
    });
    let decoder = union.decoded.decoder(8).unwrap();
    let declared = Arc::clone(schema.file_schema());
    let task = DecodeTask::new(decoder, declared, consumers.into_iter().zip(union.members));
    (task, open)
}

#[tokio::test]
async fn what_a_consumer_left_behind_holds_no_memory_that_the_next_chunk_needs() {
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    let gate = MemoryGate::new(&pool, "test", GateLimits { min: 0, max: 1 });
    let (mut task, open) = task_with_stuck_batch(gate.acquire(1).await).await;
    let (chunks, mut to_decode) = mpsc::channel(1);
    // As the chunker: the next chunk comes once there is room for it.
    let next_permit = tokio::time::timeout(Duration::from_secs(60), gate.acquire(1));
    tokio::select! {
        _ = task.next(&mut to_decode) => panic!("there is no chunk"),
        permit = next_permit => drop(permit.expect("room for the next chunk")),
    }
    // The other consumer goes on.
    assert!(task.consumers[0].delivery.open().is_none());
    assert!(task.consumers[1].delivery.open().is_some());
    drop(open);
    assert!(task.next(&mut to_decode).await.is_none());
    assert!(!chunks.is_closed(), "the end was that of the consumers");
}
