//! Batches of wide rows: fewer rows where each has many bytes.

use std::sync::Arc;

use datafusion::execution::TaskContext;

use crate::memory_budget::MemoryBudget;

/// Returns the context of a task whose rows have about `row_bytes` each: its batches have fewer rows, if
/// they would be too large for the memory limit.
pub(super) fn context_for_rows(context: &Arc<TaskContext>, row_bytes: usize) -> Arc<TaskContext> {
    let config = context.session_config();
    let rows = config.batch_size();
    let fitting = MemoryBudget::of(&**context.memory_pool()).rows_of(row_bytes, rows);
    if fitting == rows {
        return Arc::clone(context);
    }
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config.clone().with_batch_size(fitting),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    #[test]
    fn batches_of_wide_rows_have_fewer() {
        let pool = Arc::new(GreedyMemoryPool::new(64 << 20));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc();
        let context = TaskContext::default().with_runtime(runtime.unwrap());
        let context = Arc::new(context);
        let rows = |bytes| {
            context_for_rows(&context, bytes)
                .session_config()
                .batch_size()
        };
        assert_eq!(rows(100), context.session_config().batch_size());
        assert_eq!(rows(100 << 10), 10);
        assert_eq!(rows(1 << 30), 1);
    }
}
