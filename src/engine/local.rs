//! The default runner: plans run in this process.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;

use crate::engine::balance::CountedPlan;
use crate::engine::binding::BoundDefinition;
use crate::engine::runner::{PlanRunner, Staged, Staging, StagingJob};
use crate::engine::sort_strings::sort_offset_strings;
use crate::engine::split_pushdown::push_down_split;
use crate::engine::state::extend_config;
use crate::engine::wide_exchange::exchange_wide_rows;
use crate::engine::wide_rows::sort_wide_rows;
use crate::engine::window_memory::count_window_rows;
use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::planted_fault::strikes;
use crate::scan::MissingFiles;
use crate::scan::parquet::misplaced::count_misplaced;
use crate::scan::scan_log::ScanLog;
use crate::scan::shared::request::ScanRequests;
use crate::stage::{InstalledTap, staged_files};
use crate::staged::StagedFile;

/// Runs plans in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalRunner;

#[async_trait]
impl PlanRunner for LocalRunner {
    fn sees_rows(&self) -> bool {
        true
    }

    async fn run(&self, state: &SessionState, job: StagingJob<'_>) -> Result<Staging> {
        let requests = job
            .participant
            .as_ref()
            .map(|_| Arc::new(ScanRequests::default()));
        let state = extend_config(state, job.bound, |config| {
            let mut config = config
                .with_extension(job.session)
                .with_extension(Arc::clone(&job.scans));
            if let Some(requests) = &requests {
                config = config.with_extension(Arc::clone(requests));
            }
            match job.tap {
                Some(tap) => config.with_extension(Arc::new(InstalledTap(tap))),
                None => config,
            }
        });
        let (plan, missing) = plan_scans(&state, job.bound, &job.scans).await?;
        if missing.is_awaited {
            return Ok(Staging::Awaited(missing.sources));
        }
        let counted = push_down_split(plan)
            .and_then(sort_offset_strings)
            .and_then(|plan| CountedPlan::new(&job.bound.plan, plan))
            .and_then(|counted| counted.try_map(bounded))
            .map_err(from_datafusion)?;
        if let (Some(participant), Some(requests)) = (job.participant, requests) {
            participant.join(&requests).await;
        }
        let files = collect_staged_files(counted.plan(), &state).await?;
        job.scans.check_unchanged(state.runtime_env()).await?;
        job.scans.check_keys()?;
        count_misplaced(&job.scans, state.runtime_env()).await?;
        let sources = job.scans.report(counted.plan());
        Ok(Staging::Staged(Staged {
            balance: counted.balance(&files),
            files,
            sources,
            missing: missing.sources,
            doubtful: missing.doubtful,
            unready: missing.unready,
        }))
    }
}

/// Returns a plan whose operators hold what the memory limit allows, however wide the rows are.
pub(super) fn bounded(
    plan: Arc<dyn ExecutionPlan>,
) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    exchange_wide_rows(plan)
        .and_then(sort_wide_rows)
        .and_then(count_window_rows)
}

/// Makes the physical plan of a bound definition, which lists its sources and records their scans in
/// `scans`. Returns it with the files that are missing.
pub async fn plan_scans(
    state: &SessionState,
    bound: &BoundDefinition,
    scans: &ScanLog,
) -> Result<(Arc<dyn ExecutionPlan>, MissingFiles)> {
    let optimized = state.optimize(&bound.plan).map_err(from_datafusion)?;
    let planner = Arc::clone(state.query_planner());
    let plan = planner
        .create_physical_plan(&optimized, state)
        .await
        .map_err(from_datafusion)?;
    let missing = scans.missing_files(&optimized)?;
    Ok((plan, missing))
}

/// Runs a plan that ends in [`StagedWriteExec`](crate::stage::StagedWriteExec), and returns its files.
pub async fn collect_staged_files(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<Vec<StagedFile>> {
    let stream = execute_stream(Arc::clone(plan), state.task_ctx()).map_err(from_datafusion)?;
    let batches: Vec<_> = stream.try_collect().await.map_err(from_datafusion)?;
    let mut files = Vec::new();
    for batch in &batches {
        files.extend(staged_files(batch)?);
    }
    if strikes("a file of the plan's result is lost") {
        files.pop();
    }
    Ok(files)
}
