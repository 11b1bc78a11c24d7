//! The default runner: plans run in this process.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;

use crate::engine::runner::{PlanRunner, Staged, StagingJob};
use crate::engine::sort_strings::sort_offset_strings;
use crate::engine::split_pushdown::push_down_split;
use crate::engine::state::extend_config;
use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::scan::shared::request::ScanRequests;
use crate::stage::staged_files;
use crate::staged::StagedFile;

/// Runs plans in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalRunner;

#[async_trait]
impl PlanRunner for LocalRunner {
    async fn run(&self, state: &SessionState, job: StagingJob<'_>) -> Result<Staged> {
        let requests = job
            .participant
            .as_ref()
            .map(|_| Arc::new(ScanRequests::default()));
        let state = extend_config(state, job.bound, |config| {
            let config = config
                .with_extension(job.session)
                .with_extension(Arc::clone(&job.scans));
            match &requests {
                Some(requests) => config.with_extension(Arc::clone(requests)),
                None => config,
            }
        });
        let plan = state
            .create_physical_plan(&job.bound.plan)
            .await
            .and_then(push_down_split)
            .and_then(sort_offset_strings)
            .map_err(from_datafusion)?;
        if let (Some(participant), Some(requests)) = (job.participant, requests) {
            participant.join(&requests).await;
        }
        let files = collect_staged_files(&plan, &state).await?;
        job.scans.check_unchanged(state.runtime_env()).await?;
        let sources = job.scans.report(&plan);
        Ok(Staged { files, sources })
    }
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
    Ok(files)
}
