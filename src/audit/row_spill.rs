//! Rows in a file of the spill folder, which audits read.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};

use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::view_gc::gc_views;

/// Rows in a file, which may be read any number of times.
pub(super) struct SpilledRows {
    /// The columns of the table that are in the file.
    pub columns: Vec<usize>,
    manager: SpillManager,
    /// The file; `None` if there was no row.
    pub file: Option<Arc<dyn SpillFile>>,
}

impl SpilledRows {
    /// Reads the rows of the file.
    pub(super) fn read(
        &self,
        file: Arc<dyn SpillFile>,
    ) -> datafusion::common::Result<SendableRecordBatchStream> {
        self.manager.read_spill_as_stream_unbuffered(file, None)
    }
}

/// Writes rows to a file of the spill folder.
pub(super) struct RowSpill {
    runtime: Arc<RuntimeEnv>,
    writing: Option<(SpillManager, Append)>,
}

/// Appends rows to a file, or ends it and returns it. The type of DataFusion's file cannot be named.
type Append = Box<dyn FnMut(Appended<'_>) -> datafusion::common::Result<Option<SharedFile>> + Send>;

type SharedFile = Arc<dyn SpillFile>;

enum Appended<'a> {
    Rows(&'a RecordBatch),
    End,
}

impl RowSpill {
    pub(super) fn new(runtime: Arc<RuntimeEnv>) -> Self {
        Self {
            runtime,
            writing: None,
        }
    }

    /// Appends rows, which all have the same columns.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = gc_views(rows).map_err(|error| from_datafusion(error.into()))?;
        let (_, append) = match &mut self.writing {
            Some(writing) => writing,
            none => none.insert(begin(&self.runtime, rows.schema()).map_err(from_datafusion)?),
        };
        append(Appended::Rows(&rows))
            .map(|_| ())
            .map_err(from_datafusion)
    }

    /// Ends writing. `columns` are those of the table that the rows have.
    pub(super) fn finish(self, columns: Vec<usize>) -> Result<SpilledRows> {
        let (manager, file) = match self.writing {
            None => (manager(self.runtime, Arc::new(Schema::empty())), None),
            Some((manager, mut append)) => {
                let file = append(Appended::End).map_err(from_datafusion)?;
                (manager, file)
            }
        };
        Ok(SpilledRows {
            columns,
            manager,
            file,
        })
    }
}

fn begin(
    runtime: &Arc<RuntimeEnv>,
    schema: SchemaRef,
) -> datafusion::common::Result<(SpillManager, Append)> {
    let manager = manager(Arc::clone(runtime), schema);
    let mut file = manager.create_in_progress_file("rows that audits read")?;
    let append: Append = Box::new(move |appended| match appended {
        Appended::Rows(rows) => file.append_batch(rows).map(|_| None),
        Appended::End => file.finish(),
    });
    Ok((manager, append))
}

fn manager(runtime: Arc<RuntimeEnv>, schema: SchemaRef) -> SpillManager {
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    SpillManager::new(runtime, metrics, schema)
}
