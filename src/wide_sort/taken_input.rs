//! Streams of rows that run already, as the input of a plan.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use parking_lot::Mutex;

use crate::planted_fault::strikes;

/// Returns an operator that yields the rows of `streams`, each in a partition of its own. It can be executed
/// once.
pub(super) fn taken_input(
    schema: &SchemaRef,
    streams: Vec<SendableRecordBatchStream>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = streams.into_iter().map(|rows| {
        Arc::new(TakenInput {
            schema: Arc::clone(schema),
            rows: Mutex::new(Some(rows)),
        }) as _
    });
    let input = StreamingTableExec::try_new(
        Arc::clone(schema),
        partitions.collect(),
        None,
        [],
        false,
        None,
    )?;
    Ok(Arc::new(input))
}

struct TakenInput {
    schema: SchemaRef,
    /// The rows, which the one execution takes.
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for TakenInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakenInput")
    }
}

impl PartitionStream for TakenInput {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().take();
        let rows = rows.filter(|_| !strikes("a run of a merge is lost"));
        rows.unwrap_or_else(|| {
            let none = futures::stream::empty();
            Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                none,
            ))
        })
    }
}
