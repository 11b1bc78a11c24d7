//! The rows of window functions are the same whether they are counted or not, and hold what is counted.

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{collect, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;

const MIB: usize = 1 << 20;

/// Returns a session with a table of 2,000 rows, whose column `text` is of views of `bytes` each.
async fn session(limit: usize, bytes: usize) -> SessionContext {
    let pool = Arc::new(FairSpillPool::new(limit));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc();
    let config = SessionConfig::new()
        .with_target_partitions(2)
        .with_batch_size(100);
    let session = SessionContext::new_with_config_rt(config, runtime.unwrap());
    let view = format!(
        "CREATE VIEW t AS SELECT value AS n, value % 7 AS k, arrow_cast(concat('a rather long name ', value % \
         11), 'Utf8View') AS name, arrow_cast(repeat('x', {bytes}), 'Utf8View') AS text FROM range(2000)"
    );
    session.sql(&view).await.unwrap();
    session
}

async fn plan(session: &SessionContext, query: &str) -> Arc<dyn ExecutionPlan> {
    let query = session.sql(query).await.unwrap();
    query.create_physical_plan().await.unwrap()
}

#[tokio::test]
async fn counted_windows_give_the_same_rows() {
    let session = session(256 * MIB, 50).await;
    for functions in [
        "row_number() OVER (PARTITION BY name ORDER BY n)",
        "lag(name, 2) OVER (PARTITION BY k ORDER BY n), row_number() OVER (PARTITION BY k ORDER BY n)",
        "count(*) FILTER (WHERE name > 'a rather long name 5') OVER (PARTITION BY k ORDER BY n)",
        "sum(n) OVER (ORDER BY n ROWS BETWEEN 30 PRECEDING AND CURRENT ROW)",
        "first_value(text) OVER (PARTITION BY upper(name) ORDER BY n)",
        "count(*) OVER (PARTITION BY name)",
        "max(name) OVER ()",
    ] {
        let query = format!("SELECT n, name, text, {functions} FROM t ORDER BY n");
        let original = plan(&session, &query).await;
        // A plan runs once.
        let counted = count_window_rows(plan(&session, &query).await).unwrap();
        assert_eq!(counted.schema(), original.schema());
        let rows = async |plan| {
            let batches = collect(plan, session.task_ctx()).await.unwrap();
            pretty_format_batches(&batches).unwrap().to_string()
        };
        assert!(rows(counted).await == rows(original).await, "{functions}");
        assert_eq!(session.task_ctx().memory_pool().reserved(), 0);
    }
    let counts = "SELECT count(*) OVER () FROM (SELECT FROM t)";
    let counted = count_window_rows(plan(&session, counts).await).unwrap();
    let batches = collect(counted, session.task_ctx()).await.unwrap();
    assert_eq!(
        batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
        2000
    );
}

/// Returns the greatest memory that is reserved while a query runs, or its error.
async fn peak(session: &SessionContext, functions: &str) -> Result<usize> {
    let query = format!("SELECT n, text, {functions} AS w FROM t");
    let counted = count_window_rows(plan(session, &query).await)?;
    let context = session.task_ctx();
    let pool: Arc<dyn MemoryPool> = Arc::clone(context.memory_pool());
    let mut rows = execute_stream(counted, context)?;
    let mut peak = 0;
    while let Some(batch) = rows.try_next().await? {
        assert!(batch.num_rows() <= 100);
        peak = peak.max(pool.reserved());
    }
    Ok(peak)
}

#[tokio::test]
async fn rows_are_held_as_long_as_a_function_needs_them() {
    let all = "count(*) OVER ()";
    let frame = "sum(n) OVER (ROWS BETWEEN 999 PRECEDING AND CURRENT ROW)";
    let numbered = "row_number() OVER ()";
    let large = session(512 * MIB, 10_000).await;
    assert!(peak(&large, all).await.unwrap() > 20_000_000);
    let of_frame = peak(&large, frame).await.unwrap();
    assert!((10_000_000..35_000_000).contains(&of_frame), "{of_frame}");
    assert!(peak(&large, numbered).await.unwrap() < 6_000_000);
    let small = session(16 * MIB, 10_000).await;
    let error = peak(&small, all).await.unwrap_err().to_string();
    assert!(
        error.contains("they hold all rows of their input"),
        "{error}"
    );
    peak(&small, numbered).await.unwrap();
}
