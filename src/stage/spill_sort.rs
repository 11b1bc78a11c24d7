//! Sorts the rows of partitions that have no open file, with DataFusion's external sort, which spills.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::stream::{
    RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter,
};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::planted_fault::{strikes_rows, without_last_row};
use crate::view_gc::{cast_to, offset_strings};
use crate::wide_sort::{WideRowsSeen, sort_rows};

/// The column that keeps the rows of a partition in the order of the query.
const SEQUENCE: &str = "__dayport_sequence";

/// An external sort by partition that accepts rows while the query runs.
pub(super) struct SpillSort {
    rows: mpsc::Sender<RecordBatch>,
    sorted: SendableRecordBatchStream,
    /// The given schema, and the sequence column.
    schema: SchemaRef,
    /// The same with offset strings, as it is sorted.
    offset_schema: SchemaRef,
    next_row: u64,
}

impl SpillSort {
    /// Starts a sort of rows of the schema `combined`, whose partition columns start at column
    /// `first_key`.
    pub(super) fn new(
        combined: &SchemaRef,
        first_key: usize,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
        let sequence = Arc::new(Field::new(SEQUENCE, DataType::UInt64, false));
        let fields: Fields = combined
            .fields()
            .iter()
            .cloned()
            .chain([sequence])
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let (rows, receiver) = mpsc::channel(1);
        let offset_schema = offset_strings(&schema);
        let sorted = sort(&offset_schema, first_key, receiver, context).map_err(from_datafusion)?;
        Ok(Self {
            rows,
            sorted,
            schema,
            offset_schema,
            next_row: 0,
        })
    }

    /// Adds rows of the given schema.
    pub(super) async fn write(&mut self, combined: &RecordBatch) -> Result<()> {
        let rows = combined.num_rows() as u64;
        let sequence: ArrayRef = Arc::new(UInt64Array::from_iter_values(
            self.next_row..self.next_row + rows,
        ));
        self.next_row += rows;
        let mut columns = combined.columns().to_vec();
        columns.push(sequence);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .and_then(|batch| cast_to(&batch, &self.offset_schema))
            .map_err(|error| Error::internal("cannot number rows").with_source(error))?;
        if self.rows.send(batch).await.is_ok() {
            return Ok(());
        }
        // The sort has dropped the receiver, so it has failed: its stream has the cause.
        match self.sorted.next().await {
            Some(Err(error)) => Err(from_datafusion(error)),
            _ => Err(Error::internal(
                "the sort by partition ended before all its rows were read",
            )),
        }
    }

    /// Ends the input and returns all rows, clustered by partition and in the order of the query.
    /// Batches have the given schema and one more column.
    pub(super) fn sorted(self) -> SendableRecordBatchStream {
        drop(self.rows);
        let schema = Arc::clone(&self.schema);
        let sorted = self.sorted.map(move |batch| {
            let rows = without_last_row("a row of the sort by partition is lost", batch?);
            Ok(cast_to(&rows, &schema)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema, sorted))
    }
}

fn sort(
    schema: &SchemaRef,
    first_key: usize,
    rows: mpsc::Receiver<RecordBatch>,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let key_fields = schema.fields().iter().enumerate().skip(first_key);
    let keys = key_fields.map(|(index, field)| {
        PhysicalSortExpr::new_default(Arc::new(Column::new(field.name(), index)))
    });
    let Some(order) = LexOrdering::new(keys) else {
        return Err(Error::internal("a sort without keys").into());
    };
    let batches = futures::stream::unfold(rows, |mut rows| async {
        let mut batch = rows.recv().await?;
        if strikes_rows("a batch of the sort by partition is lost", &batch) {
            batch = rows.recv().await?;
        }
        Some((Ok(batch), rows))
    });
    let input = RecordBatchStreamAdapter::new(Arc::clone(schema), batches);
    let context = Arc::clone(context);
    let mut sorted = sort_rows(&order, Box::pin(input), context, WideRowsSeen::default());
    // Spawned: it reads rows while the query still yields them.
    let mut running = RecordBatchReceiverStreamBuilder::new(Arc::clone(schema), 1);
    let output = running.tx();
    running.spawn(async move {
        // The next batch is made once there is room for it: it may be large.
        while let Ok(place) = output.reserve().await
            && let Some(batch) = sorted.next().await
        {
            place.send(batch);
        }
        Ok(())
    });
    Ok(running.build())
}
