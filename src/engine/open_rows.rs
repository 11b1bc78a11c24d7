//! The rows of a definition that nothing writes: for tests, and for comparisons with other rows.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};

use crate::engine::binding::BoundDefinition;
use crate::engine::local::bounded;
use crate::engine::state::extend_config;
use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::scan::MissingFiles;
use crate::scan::parquet::misplaced::count_misplaced;
use crate::scan::scan_log::{ScanLog, SourceScan};

/// The running query of a bound definition.
pub(crate) struct OpenRows {
    pub stream: SendableRecordBatchStream,
    pub scanned: ScannedRows,
}

/// The scans of the query. They are complete when the rows have been read to their end.
pub(crate) struct ScannedRows {
    state: SessionState,
    plan: Arc<dyn ExecutionPlan>,
    scans: Arc<ScanLog>,
    /// The files of the cycle that do not exist, if `scans` is of a cycle.
    pub missing: MissingFiles,
}

impl OpenRows {
    pub(super) async fn new(
        state: &SessionState,
        bound: &BoundDefinition,
        scans: Arc<ScanLog>,
    ) -> Result<Self> {
        let state = extend_config(state, bound, |config| {
            config.with_extension(Arc::clone(&scans))
        });
        let optimized = state.optimize(bound.query()?).map_err(from_datafusion)?;
        let planner = Arc::clone(state.query_planner());
        let planned = planner
            .create_physical_plan(&optimized, &state)
            .await
            .map_err(from_datafusion)?;
        let missing = scans.missing_files(&optimized)?;
        let plan = bounded(planned).map_err(from_datafusion)?;
        let stream =
            execute_stream(Arc::clone(&plan), state.task_ctx()).map_err(from_datafusion)?;
        Ok(Self {
            stream,
            scanned: ScannedRows {
                state,
                plan,
                scans,
                missing,
            },
        })
    }
}

impl ScannedRows {
    /// Checks the scans of rows that have been read to their end, and returns what was read.
    pub(crate) async fn finish(self) -> Result<Vec<SourceScan>> {
        let runtime = self.state.runtime_env();
        self.scans.check_unchanged(runtime).await?;
        self.scans.check_keys()?;
        count_misplaced(&self.scans, runtime).await?;
        Ok(self.scans.report(&self.plan))
    }
}
