//! Scans that tasks on other machines do.

use datafusion::common::tree_node::{Transformed, TreeNode};

use crate::catalog::tests::*;
use crate::engine_error::from_elsewhere;

/// As another process gets it.
fn sent(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let sent = plan.transform_up(|node| {
        let Some(exec) = node.downcast_ref::<JsonTaskExec>() else {
            return Ok(Transformed::no(node));
        };
        let task = serde_json::to_string(exec.task()).unwrap();
        let task: JsonTask = serde_json::from_str(&task).unwrap();
        assert_eq!(&task, exec.task());
        let lists = Arc::clone(exec.children()[0]);
        let schema = exec.table_schema().clone();
        let exec = JsonTaskExec::new(task, schema, exec.conditions().to_vec(), lists)?;
        Ok(Transformed::yes(Arc::new(exec) as _))
    });
    let sent = sent.unwrap();
    assert!(sent.transformed);
    sent.data
}

#[tokio::test]
async fn a_task_leaves_out_what_the_query_does_not_use() {
    let world = World::new()
        .declare(
            "events",
            "CREATE EXTERNAL TABLE events (id INT, p STRUCT<url VARCHAR, type VARCHAR>)
             STORED AS JSON LOCATION 'events/'",
        )
        .raw(
            "events/a.json",
            "{\"id\":1,\"p\":{\"url\":\"u\",\"type\":7}}\n{\"id\":2,\"p\":{\"url\":\"v\"}}\n",
        );
    let run = async |sql| {
        let (ctx, log) = world.session().await.unwrap();
        let plan = physical_plan(&ctx, sql).await.unwrap();
        let plan = sent(distribute(plan, &log).unwrap());
        collect(plan, ctx.task_ctx()).await
    };
    let rows = run("SELECT p['url'] AS url FROM events WHERE id < 9").await;
    let rows: usize = rows.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 2);
    let error = run("SELECT p FROM events").await.unwrap_err();
    let error = from_elsewhere(&error.to_string()).unwrap();
    assert!(error.to_string().contains("field `p.type`"), "{error}");
}
