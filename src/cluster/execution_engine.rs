//! Ballista's execution engine, with tasks whose operators learn of a cancellation.
//!
//! Ballista aborts only the future that waits for a task: the writer of its results was spawned and
//! continues to its end (`ShuffleWriterExec::execute` of Ballista 55). The uploads that our operators
//! have started would be left behind, so the operators get a [`TaskCancellation`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{
    DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor,
};
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use tokio_util::sync::CancellationToken;

use crate::cluster::cancellation::TaskCancellation;
use crate::cluster::wire::error::encode_for_wire;
use crate::engine_error::own;

/// Ballista's own engine, whose tasks can be cancelled.
#[derive(Default)]
pub(super) struct CancellableEngine {
    ballista: DefaultExecutionEngine,
}

impl ExecutionEngine for CancellableEngine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let ballista = self.ballista.create_query_stage_exec(
            job_id, stage_id, task_id, partitions, plan, work_dir, config,
        );
        Ok(Arc::new(CancellableTask {
            ballista: ballista?,
        }))
    }
}

/// A task of Ballista's that can be cancelled.
#[derive(Debug)]
struct CancellableTask {
    ballista: Arc<dyn QueryStageExecutor>,
}

impl fmt::Display for CancellableTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ballista)
    }
}

#[async_trait]
impl QueryStageExecutor for CancellableTask {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let token = CancellationToken::new();
        // Ballista cancels a task by dropping this future, and the guard with it.
        let _guard = token.clone().drop_guard();
        let config = context.session_config().clone();
        let task_context = TaskContext::new(
            context.task_id(),
            context.session_id(),
            config.with_extension(Arc::new(TaskCancellation::new(token))),
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        );
        let executed = self
            .ballista
            .execute_query_stage(task_id, Arc::new(task_context))
            .await;
        // Only ours: Ballista recognizes its own by their types.
        executed.map_err(|error| match own(&error) {
            Some(_) => encode_for_wire(error),
            None => error,
        })
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.ballista.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.ballista.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.ballista.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.ballista.collect_column_stats()
    }
}
