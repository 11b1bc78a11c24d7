//! Tasks that end when they are cancelled.
//!
//! Ballista aborts only what waits for a task: the writer of its results runs on by itself, to its
//! end (`ShuffleWriterExec::execute` of Ballista 55 spawns it). What our operators have begun would
//! be left behind, so they are told.

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

use crate::task::TaskEnd;

/// Ballista's own engine, whose tasks know when they end.
#[derive(Default)]
pub struct EndingEngine {
    ballista: DefaultExecutionEngine,
}

impl ExecutionEngine for EndingEngine {
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
        Ok(Arc::new(EndingStage {
            ballista: ballista?,
        }))
    }
}

/// A task of Ballista's.
#[derive(Debug)]
struct EndingStage {
    ballista: Arc<dyn QueryStageExecutor>,
}

impl fmt::Display for EndingStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ballista)
    }
}

#[async_trait]
impl QueryStageExecutor for EndingStage {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let end = TaskEnd::default();
        // Dropped with this future, by whoever cancels it.
        let _ended = end.0.clone().drop_guard();
        let config = context.session_config().clone();
        let context = TaskContext::new(
            context.task_id(),
            context.session_id(),
            config.with_extension(Arc::new(end)),
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        );
        self.ballista
            .execute_query_stage(task_id, Arc::new(context))
            .await
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
