//! A bound definition, planned here and run by a cluster.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::cluster::{Cluster, session_config};
use crate::engine::{Bound, Engine, Staged, run};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::scan::remote::distribute;
use crate::scan::scan_log::ScanLog;
use crate::stage::{GatherExec, Stage, StageExec, StageSpec, Writers, staged_files};
use crate::staged::StagedFile;
use crate::store::{Location, StoreOptions};

/// Where the plans of an engine run, if not here.
#[derive(Debug, Clone)]
pub struct Distribution {
    pub cluster: Cluster,
    /// The destination, as its executors open it.
    pub to: Location,
    pub s3: StoreOptions,
    /// A task reads at least so many bytes of its sources, as stored: fewer are not worth a file of
    /// their own in each partition.
    pub task_size: u64,
    /// Tasks that a query is split into at most.
    pub most_tasks: usize,
}

impl Distribution {
    /// As [`Engine::stage`], on the cluster: the rows of staged files come back, and what was read
    /// of the sources.
    pub(super) async fn stage(
        &self,
        engine: &Engine,
        bound: &Bound,
        stage: &Arc<Stage>,
        scans: &Arc<ScanLog>,
    ) -> Result<Staged> {
        let tasks = self.tasks(engine, bound).await?;
        let writers = writers(tasks, &bound.plan, &bound.spec)?;
        let state = engine.state_with(|config| {
            session_config(config)
                .with_target_partitions(tasks)
                .with_extension(Arc::clone(stage))
                .with_extension(Arc::clone(scans))
                .with_extension(Arc::new(writers))
        });
        let plan = state
            .create_physical_plan(&bound.plan)
            .await
            .map_err(from_datafusion)?;
        let distributed = distribute(Arc::clone(&plan), scans).map_err(from_datafusion)?;
        let Some(exec) = distributed.downcast_ref::<StageExec>() else {
            return Err(Error::internal("a COPY that does not end in StageExec"));
        };
        let mut writers = exec.properties().output_partitioning().partition_count() as u64;
        let order = stage.order(&self.to, &self.s3);
        let exec = exec.for_elsewhere(order).map_err(from_datafusion)?;
        let task = exec.task().filter(|task| task.is_gathered());
        let mut tasks: Arc<dyn ExecutionPlan> = Arc::new(exec);
        if writers > 1 {
            // Ballista does a task again whose rows are lost before a later task has them; the rows
            // of a plan's last tasks it does not miss.
            tasks = Arc::new(CoalescePartitionsExec::new(tasks));
        }
        if let Some(task) = task {
            tasks = Arc::new(GatherExec::new(tasks, task));
            writers += 1;
        }
        let outcome = self
            .cluster
            .run(tasks, state.config(), stage.name())
            .await?;
        let mut files: Vec<StagedFile> = Vec::new();
        for batch in &outcome.batches {
            files.extend(staged_files(batch)?);
        }
        stage.adopt(&files).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        outcome.tally.check_written(writers, rows)?;
        scans
            .settle(&plan, &outcome.tally, &state.task_ctx())
            .await?;
        scans.check_frozen(state.runtime_env()).await?;
        if files.is_empty() && bound.spec.empty_file {
            files = run(&nothing(&plan)?, &state).await?;
        }
        files.sort_by(|one, other| one.shard.cmp(&other.shard));
        let sources = scans.report(&plan);
        Ok(Staged { files, sources })
    }

    /// How many tasks are worth their files, by what is there to read.
    async fn tasks(&self, engine: &Engine, bound: &Bound) -> Result<usize> {
        let scans = ScanLog::new();
        let state = engine.state_with(|config| {
            session_config(config)
                .with_target_partitions(1)
                .with_extension(Arc::clone(&scans))
        });
        state
            .create_physical_plan(&bound.plan)
            .await
            .map_err(from_datafusion)?;
        Ok(tasks(
            scans.progress().bytes,
            self.task_size,
            self.most_tasks,
        ))
    }
}

/// The end of `plan` over no rows.
fn nothing(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let empty = plan.children().into_iter().map(|input| {
        let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(input.schema()));
        empty
    });
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan)
        .replace_children(empty.collect(), options)
        .map_err(from_datafusion)
}

/// Who writes. Tasks that read much write much, unless their rows are put together on the way.
fn writers(tasks: usize, plan: &LogicalPlan, spec: &StageSpec) -> Result<Writers> {
    let reduces = |node: &LogicalPlan| {
        Ok(matches!(
            node,
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_)
        ))
    };
    let reduced = tasks > 1 && plan.exists(reduces).map_err(from_datafusion)?;
    Ok(match (tasks, reduced, spec.partition_by.is_empty()) {
        (1, _, _) | (_, true, true) => Writers::One,
        (_, true, false) => Writers::ByPartition,
        (_, false, _) => Writers::EachTask,
    })
}

fn tasks(bytes: u64, task_size: u64, most: usize) -> usize {
    let worth = bytes / task_size.max(1);
    usize::try_from(worth)
        .unwrap_or(usize::MAX)
        .clamp(1, most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_data_is_one_task_and_much_has_a_limit() {
        let counts = [0, 99, 100, 199, 200, 10_000].map(|bytes| tasks(bytes, 100, 8));
        assert_eq!(counts, [1, 1, 1, 1, 2, 8]);
    }
}
