//! The runner of a cluster: a bound definition is planned here and run on other machines.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::books::Balance;
use crate::cluster::client::ClusterClient;
use crate::cluster::scan::{apply_counts, distribute_scans};
use crate::cluster::session::ballista_config;
use crate::cluster::write::{GatherExec, RemoteStagedWriteExec, RemoteStagingConfig, remote_files};
use crate::engine::{
    BoundDefinition, PlanRunner, Staged, Staging, StagingJob, collect_staged_files, extend_config,
    plan_scans,
};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::scan::parquet::misplaced::count_misplaced;
use crate::scan::scan_log::ScanLog;
use crate::stage::{DistributionMode, StageSpec, StagedWriteExec};
use crate::staged::StagedFile;
use crate::store::{Location, StoreOptions};

/// Runs the plans of an engine on a cluster.
#[derive(Debug, Clone)]
pub(crate) struct ClusterRunner {
    /// The connection to the scheduler.
    pub client: ClusterClient,
    /// The destination, as the executors open it.
    pub to: Location,
    /// The options with which the executors open the destination.
    pub s3: StoreOptions,
    /// The minimum compressed size of the sources that a task reads, in bytes: fewer bytes are not
    /// worth one more file in each partition.
    pub min_task_bytes: u64,
    /// The maximum number of tasks that a query is split into.
    pub max_tasks: usize,
}

#[async_trait]
impl PlanRunner for ClusterRunner {
    fn sees_rows(&self) -> bool {
        false
    }

    async fn run(&self, state: &SessionState, job: StagingJob<'_>) -> Result<Staging> {
        let StagingJob {
            bound,
            session,
            scans,
            participant,
            // The rows are on other machines: a run refuses what would have to see them.
            tap: _,
        } = job;
        // Tables whose plans run on other machines share no scan.
        drop(participant);
        let tasks = self.task_count(state, bound, &scans).await?;
        let mode = distribution_mode(tasks, &bound.plan, &bound.spec)?;
        let state = extend_config(state, bound, |config| {
            ballista_config(config)
                .with_target_partitions(tasks)
                .with_extension(Arc::clone(&session))
                .with_extension(Arc::clone(&scans))
                .with_extension(Arc::new(mode))
        });
        let (plan, missing) = plan_scans(&state, bound, &scans).await?;
        if missing.is_awaited {
            return Ok(Staging::Awaited(missing.sources));
        }
        let config = RemoteStagingConfig::of(&session, &self.to, &self.s3);
        let (remote_plan, writers) = remote_plan(&plan, &scans, config)?;
        let job = self
            .client
            .run(remote_plan, state.config(), session.name())
            .await?;
        let mut files: Vec<StagedFile> = Vec::new();
        for batch in &job.batches {
            files.extend(remote_files(batch)?);
        }
        session.register_files(&files).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        job.counts.check_written(writers, rows)?;
        apply_counts(&plan, &scans, &job.counts, &state.task_ctx()).await?;
        scans.check_unchanged(state.runtime_env()).await?;
        count_misplaced(&scans, state.runtime_env()).await?;
        if files.is_empty() && bound.spec.empty_file {
            files = collect_staged_files(&over_no_rows(&plan)?, &state).await?;
        }
        files.sort_by(|one, other| one.shard.cmp(&other.shard));
        let sources = scans.report(&plan);
        Ok(Staging::Staged(Staged {
            files,
            balance: Balance::not_countable("it ran on a cluster"),
            sources,
            missing: missing.sources,
            doubtful: missing.doubtful,
            unready: missing.unready,
        }))
    }
}

impl ClusterRunner {
    /// Returns how many tasks are worth their files, by the size of the sources.
    ///
    /// `job` is the log of the job, whose rule about missing files holds here, too.
    async fn task_count(
        &self,
        state: &SessionState,
        bound: &BoundDefinition,
        job: &ScanLog,
    ) -> Result<usize> {
        let scans = job.empty();
        let state = extend_config(state, bound, |config| {
            ballista_config(config)
                .with_target_partitions(1)
                .with_extension(Arc::clone(&scans))
        });
        state
            .create_physical_plan(&bound.plan)
            .await
            .map_err(from_datafusion)?;
        let bytes = scans.progress().bytes;
        Ok(task_count(bytes, self.min_task_bytes, self.max_tasks))
    }
}

/// Returns the plan that executors run, and the number of its writers. `scans` has recorded the scans
/// of `plan`.
fn remote_plan(
    plan: &Arc<dyn ExecutionPlan>,
    scans: &ScanLog,
    config: RemoteStagingConfig,
) -> Result<(Arc<dyn ExecutionPlan>, u64)> {
    let distributed = distribute_scans(Arc::clone(plan), scans).map_err(from_datafusion)?;
    let Some(write) = distributed.downcast_ref::<StagedWriteExec>() else {
        return Err(Error::internal(
            "a COPY that does not end in StagedWriteExec",
        ));
    };
    let remote = RemoteStagedWriteExec::over(write, config).map_err(from_datafusion)?;
    let task = remote.task().clone();
    let partitions = remote.properties().output_partitioning().partition_count();
    let mut top: Arc<dyn ExecutionPlan> = Arc::new(remote);
    if partitions > 1 {
        // Ballista retries a task whose rows are lost before a later task has read them; it does not
        // notice that the rows of a plan's last tasks are lost.
        top = Arc::new(CoalescePartitionsExec::new(top));
    }
    let writers = task.writers();
    if task.is_gathered() {
        top = Arc::new(GatherExec::new(top, task));
    }
    Ok((top, writers))
}

/// Returns the last operator of `plan` over no rows.
fn over_no_rows(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs = plan.children().into_iter().map(|input| {
        let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(input.schema()));
        empty
    });
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan)
        .replace_children(inputs.collect(), options)
        .map_err(from_datafusion)
}

/// Chooses the write distribution. Tasks that read much write much, unless the query aggregates their
/// rows.
fn distribution_mode(
    tasks: usize,
    plan: &LogicalPlan,
    spec: &StageSpec,
) -> Result<DistributionMode> {
    let is_aggregation = |node: &LogicalPlan| {
        Ok(matches!(
            node,
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_)
        ))
    };
    let aggregates = tasks > 1 && plan.exists(is_aggregation).map_err(from_datafusion)?;
    Ok(match (tasks, aggregates, spec.partition_by.is_empty()) {
        (1, _, _) | (_, true, true) => DistributionMode::Single,
        (_, true, false) => DistributionMode::Hash,
        (_, false, _) => DistributionMode::None,
    })
}

fn task_count(bytes: u64, min_task_bytes: u64, max_tasks: usize) -> usize {
    let worthwhile = bytes / min_task_bytes.max(1);
    usize::try_from(worthwhile)
        .unwrap_or(usize::MAX)
        .clamp(1, max_tasks.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_data_is_one_task_and_much_has_a_limit() {
        let counts = [0, 99, 100, 199, 200, 10_000].map(|bytes| task_count(bytes, 100, 8));
        assert_eq!(counts, [1, 1, 1, 1, 2, 8]);
    }
}
