//! Batches that hold the rows of one partition.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::scan::filter::majority_split::keep_apart;
use crate::stage::exec::StageExec;

/// The same plan, whose scans hand on the rows of a batch's main partition apart from the others,
/// where the query only filters and projects what they yield.
pub fn keep_partitions_apart(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let kept = plan.transform_down(|node| {
        let Some(stage) = node.downcast_ref::<StageExec>() else {
            return Ok(Transformed::no(node));
        };
        match below(stage.input(), &stage.spec().partition_by)? {
            Some(input) => Ok(Transformed::yes(over(&node, input)?)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(kept.data)
}

fn below(
    input: &Arc<dyn ExecutionPlan>,
    partition_by: &[String],
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let below = if let Some(tasks) = input.downcast_ref::<CoalescePartitionsExec>() {
        below(tasks.input(), partition_by)?
    } else if let Some(projection) = input.downcast_ref::<ProjectionExec>() {
        let values = partition_by.iter().map(|column| {
            let mut expressions = projection.expr().iter();
            let named = expressions.find(|expression| expression.alias == *column)?;
            Some(Arc::clone(&named.expr))
        });
        let values: Option<Vec<Arc<dyn PhysicalExpr>>> = values.collect();
        let values = values.filter(|values| !values.is_empty());
        values.and_then(|values| keep_apart(projection.input(), values))
    } else {
        None
    };
    below.map(|below| over(input, below)).transpose()
}

fn over(
    node: &Arc<dyn ExecutionPlan>,
    input: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(node).replace_children(vec![input], options)
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;
    use url::Url;

    use super::*;
    use crate::catalog::Sources;
    use crate::encode::GzipLevel;
    use crate::stage::StageFormats;

    /// The scan of the plan of `COPY (query) …`.
    async fn scan(query: &str, partitioned_by: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "sources/events.sql",
            "CREATE EXTERNAL TABLE events (name VARCHAR, n BIGINT, time TIMESTAMP WITH TIME ZONE) \
             STORED AS JSON LOCATION 'raw/'",
        );
        write("raw/1.json", "{}\n");
        write("raw/2.json", "{}\n");
        let mut state = SessionContext::new().state();
        StageFormats::register(&mut state, GzipLevel::default()).unwrap();
        let context = SessionContext::new_with_state(state);
        let base = Url::from_directory_path(dir.path()).unwrap();
        let sources = Sources::load(&dir.path().join("sources")).unwrap();
        sources.register(&context, Some(&base)).await.unwrap();
        let state = context.state();
        let copy =
            format!("COPY ({query}) TO 'dayport://export/t/' STORED AS JSON {partitioned_by}");
        let plan = state.create_logical_plan(&copy).await.unwrap();
        let plan = state.create_physical_plan(&plan).await.unwrap();
        let plan = keep_partitions_apart(plan).unwrap();
        let plan = displayable(plan.as_ref()).indent(false).to_string();
        let scan = plan.lines().last().unwrap_or_default();
        scan.trim().to_owned()
    }

    #[tokio::test]
    async fn rows_come_by_partition_where_nothing_is_between_scan_and_files() {
        let by_day = "PARTITIONED BY (day)";
        let query = "SELECT name, date_part('day', time) AS day FROM events WHERE n > 1";
        let apart = scan(query, by_day).await;
        assert!(
            apart.contains("predicate=n@1 > 1, apart_by=date_part(day, time@2)"),
            "{apart}"
        );
        for (query, partitioned_by) in [
            (
                "SELECT name, date_part('day', time) AS day FROM events ORDER BY name",
                by_day,
            ),
            (
                "SELECT name, count(*) AS day FROM events GROUP BY name",
                by_day,
            ),
            ("SELECT name, n + 1 AS m FROM events", ""),
        ] {
            let scan = scan(query, partitioned_by).await;
            assert!(
                scan.starts_with("JsonLinesExec") && !scan.contains("apart_by"),
                "{scan}"
            );
        }
    }
}
