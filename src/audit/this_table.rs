//! The table `this` of an audit's query: rows from a channel, or from a local spill.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::{EmptyRecordBatchStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::audit::row_spill::SpilledRows;
use crate::error::Error;
use crate::memory_gate::MemoryPermit;

/// Rows on their way to an audit, with the permit that counts them.
pub(super) type WaitingRows = (RecordBatch, MemoryPermit);

/// The rows of a table that is being exported.
#[derive(Debug)]
pub(super) struct ThisTable {
    schema: SchemaRef,
    input: Arc<RowsInput>,
}

impl ThisTable {
    /// Creates the table of rows with these columns, which will come from `input`.
    pub(super) fn new(schema: SchemaRef, input: Arc<RowsInput>) -> Self {
        Self { schema, input }
    }
}

/// The origin of the rows, which is set before they are read.
#[derive(Debug, Default)]
pub(super) struct RowsInput(Mutex<Option<RowsOrigin>>);

enum RowsOrigin {
    /// Rows of the columns that are read, once.
    Channel(mpsc::Receiver<WaitingRows>),
    Spilled(Arc<SpilledRows>),
}

impl std::fmt::Debug for RowsOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Channel(_) => "Channel",
            Self::Spilled(_) => "Spilled",
        })
    }
}

impl RowsInput {
    pub(super) fn set_channel(&self, receiver: mpsc::Receiver<WaitingRows>) {
        *self.0.lock() = Some(RowsOrigin::Channel(receiver));
    }

    pub(super) fn set_spilled(&self, rows: Arc<SpilledRows>) {
        *self.0.lock() = Some(RowsOrigin::Spilled(rows));
    }

    fn open(&self, columns: &[usize], schema: &SchemaRef) -> Result<SendableRecordBatchStream> {
        let mut origin = self.0.lock();
        let spilled = match origin.take() {
            None => return Err(Error::internal("an audit has no rows to read").into()),
            Some(RowsOrigin::Channel(mut receiver)) => {
                let rows = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
                let rows = rows.map(|(rows, _)| Ok(rows));
                return Ok(Box::pin(RecordBatchStreamAdapter::new(
                    Arc::clone(schema),
                    rows,
                )));
            }
            Some(RowsOrigin::Spilled(spilled)) => spilled,
        };
        *origin = Some(RowsOrigin::Spilled(Arc::clone(&spilled)));
        drop(origin);
        let Some(file) = &spilled.file else {
            return Ok(Box::pin(EmptyRecordBatchStream::new(Arc::clone(schema))));
        };
        let in_file = |column: &usize| {
            let mut columns = spilled.columns.iter();
            columns.position(|spilled| spilled == column)
        };
        let indexes: Option<Vec<usize>> = columns.iter().map(in_file).collect();
        let indexes = indexes.ok_or_else(|| Error::internal("a column was not spilled"))?;
        let rows = spilled.read(Arc::clone(file))?;
        let projected = rows.map(move |rows| {
            rows.and_then(|rows| rows.project(&indexes).map_err(DataFusionError::from))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(schema),
            projected,
        )))
    }
}

#[async_trait]
impl TableProvider for ThisTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&columns)?);
        let stream = Arc::new(ThisStream {
            schema: Arc::clone(&schema),
            columns,
            input: Arc::clone(&self.input),
        });
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            vec![stream],
            None,
            [],
            false,
            limit,
        )?))
    }
}

/// One scan of the table.
#[derive(Debug)]
struct ThisStream {
    schema: SchemaRef,
    columns: Vec<usize>,
    input: Arc<RowsInput>,
}

impl PartitionStream for ThisStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.input.open(&self.columns, &self.schema) {
            Ok(stream) => stream,
            Err(error) => Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                futures::stream::once(async move { Err(error) }),
            )),
        }
    }
}
