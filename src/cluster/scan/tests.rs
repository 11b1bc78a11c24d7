//! Scans that tasks on other machines run.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use url::Url;

use crate::catalog::Sources;
use crate::cluster::scan::{RemoteJsonExec, RemoteJsonTask, distribute_scans};
use crate::cluster::wire::error::decode_from_wire;
use crate::scan::scan_log::ScanLog;

/// Returns the plan as another process decodes it.
fn sent(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let sent = plan.transform_up(|node| {
        let Some(exec) = node.downcast_ref::<RemoteJsonExec>() else {
            return Ok(Transformed::no(node));
        };
        let text = serde_json::to_string(exec.task()).unwrap();
        let task: RemoteJsonTask = serde_json::from_str(&text).unwrap();
        assert_eq!(&task, exec.task());
        let lists = Arc::clone(exec.children()[0]);
        let schema = exec.table_schema().clone();
        let exec = RemoteJsonExec::new(task, schema, exec.conditions().to_vec(), lists)?;
        Ok(Transformed::yes(Arc::new(exec) as _))
    });
    let sent = sent.unwrap();
    assert!(sent.transformed);
    sent.data
}

#[tokio::test]
async fn a_task_omits_what_the_query_does_not_use() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "sources/events.sql",
        "CREATE EXTERNAL TABLE events (id INT, p STRUCT<url VARCHAR, type VARCHAR>)
         STORED AS JSON LOCATION 'events/'",
    );
    write(
        "events/a.json",
        "{\"id\":1,\"p\":{\"url\":\"u\",\"type\":7}}\n{\"id\":2,\"p\":{\"url\":\"v\"}}\n",
    );
    let base = Url::from_directory_path(folder.path()).unwrap();
    let sources = Sources::load(&folder.path().join("sources")).unwrap();
    let run = async |sql| -> Result<Vec<RecordBatch>> {
        let log = ScanLog::new();
        let config = SessionConfig::new().with_extension(Arc::clone(&log));
        let context = SessionContext::new_with_config(config);
        sources.register(&context, Some(&base)).await.unwrap();
        let state = context.state();
        let logical = state.create_logical_plan(sql).await?;
        let physical = state.create_physical_plan(&logical).await?;
        let distributed = sent(distribute_scans(physical, &log)?);
        collect(distributed, context.task_ctx()).await
    };
    let batches = run("SELECT p['url'] AS url FROM events WHERE id < 9").await;
    let rows: usize = batches.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 2);
    let failed = run("SELECT p FROM events").await.unwrap_err();
    let error = decode_from_wire(&failed.to_string()).unwrap();
    assert!(error.to_string().contains("field `p.type`"), "{error}");
}
