//! Runs many tables and cycles: selects what is due, delivers each on its own, and reports.
//!
//! ```text
//! RunRequest ─prepare→ cycles of each table ─schedule→ deliver: recover → bind → stage → rejected_lines → guards → audits → commit_builder → commit → publish
//!                └─plan→ RunPlan (the same decisions, nothing written)        └→ TableReport → mark → RunReport
//! ```

mod audits;
mod commit_builder;
mod context;
mod deliver;
mod file_lists;
mod guards;
mod interruption;
mod late;
mod late_files;
mod mark;
mod names;
mod plan;
mod prepare;
mod ready_entry;
mod rejected_lines;
mod rejects;
mod report;
mod request;
mod same_rows;
mod schedule;
mod stage_cycle;

pub use crate::audit::AuditResult;
pub use crate::cycle_marker::{CycleOutcome, CycleReport, ExportTables, Mark, MarkerFailure};
pub use crate::delivery::ConditionProof;
pub use context::{NoProgress, ProgressListener, RunContext};
pub use file_lists::StoredLists;
pub use late::{LateFiles, Standing};
pub use plan::{ExpectedOutput, PlannedStep, PlannedTable, ReplacedPublication, RunPlan, plan};
pub use report::{
    FailingRows, FailingRowsFile, RejectedLines, RejectedLinesFile, RunReport, TableFailure,
    TableOutcome, TableReport,
};
pub use request::{CycleSelection, MAX_CATCH_UP, RunRequest, parameter, pick};

use std::sync::Arc;

use chrono::TimeDelta;
use tracing::debug;

use crate::error::Result;
use crate::run::mark::CycleMarks;
use crate::run::prepare::prepare;
use crate::run::schedule::deliver_all;

/// The age from which staging folders of dead runs are removed; unfinished uploads on S3 usually have
/// the same lifetime.
const MAX_STAGING_AGE: TimeDelta = TimeDelta::days(7);

/// Runs a request: checks everything that can be checked first, then delivers table by table.
/// Returns the report with the outcome of each table.
///
/// # Errors
/// Fails only before any table is attempted; also if more cycles of a table are due than a run catches
/// up with.
pub async fn run(context: Arc<RunContext>, request: RunRequest) -> Result<RunReport> {
    let (started, last_closed) = prepare(&context, &request).await?;

    let shared_request = Arc::new(request);
    let mut marks = CycleMarks::new(&context, &shared_request, last_closed);
    let (tables, scans) = deliver_all(&context, &shared_request, last_closed, &mut marks).await?;
    let marked = marks.mark(&tables).await;
    context
        .destination
        .sweep_staging((started - MAX_STAGING_AGE).into());
    if tables.iter().any(TableReport::is_published) {
        let sweep = file_lists::sweep(&context.destination, last_closed, context.clock.now());
        if let Some(Err(error)) = context.stop.run_until_cancelled(sweep).await {
            let run_id = &context.run_id;
            debug!(
                run_id,
                error = error.chain(),
                "unused lists of source files stay"
            );
        }
    }
    Ok(RunReport {
        run_id: context.run_id.clone(),
        destination: context.destination.to_string(),
        started_at: started,
        finished_at: context.clock.now(),
        tables,
        cycles: marked.cycles,
        cycles_failure: marked.failure,
        scans: scans.requested,
        passes: scans.performed,
    })
}
