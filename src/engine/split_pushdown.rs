//! Pushes the split by partition down to the scans, so that most batches hold the rows of one partition.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::scan::filter::split_pushdown::split_scan_by;
use crate::stage::StagedWriteExec;

/// Rewrites a plan so that its scans emit the rows of a batch's majority partition separately from
/// the rest, if the query only filters and projects the rows of the scan.
pub(super) fn push_down_split(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let rewritten = plan.transform_down(|node| {
        let Some(write) = node.downcast_ref::<StagedWriteExec>() else {
            return Ok(Transformed::no(node));
        };
        match split_below(write.input(), &write.spec().partition_by)? {
            Some(input) => Ok(Transformed::yes(with_input(&node, input)?)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(rewritten.data)
}

fn split_below(
    input: &Arc<dyn ExecutionPlan>,
    partition_by: &[String],
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let split = if let Some(tasks) = input.downcast_ref::<CoalescePartitionsExec>() {
        split_below(tasks.input(), partition_by)?
    } else if let Some(projection) = input.downcast_ref::<ProjectionExec>() {
        let values: Option<Vec<Arc<dyn PhysicalExpr>>> = partition_by
            .iter()
            .map(|column| {
                let mut expressions = projection.expr().iter();
                let named = expressions.find(|expression| expression.alias == *column)?;
                Some(Arc::clone(&named.expr))
            })
            .collect();
        match values {
            Some(values) if !values.is_empty() => split_scan_by(projection.input(), values),
            _ => None,
        }
    } else {
        None
    };
    split.map(|split| with_input(input, split)).transpose()
}

fn with_input(
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
    use crate::codec::deflate::GzipLevel;
    use crate::stage::StageFormats;

    /// Returns the scan of the plan of `COPY (query) …`.
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
        let logical = state.create_logical_plan(&copy).await.unwrap();
        let physical = state.create_physical_plan(&logical).await.unwrap();
        let rewritten = push_down_split(physical).unwrap();
        let displayed = displayable(rewritten.as_ref()).indent(false).to_string();
        let scan = displayed.lines().last().unwrap_or_default();
        scan.trim().to_owned()
    }

    #[tokio::test]
    async fn scans_split_by_partition_if_only_a_projection_is_above_them() {
        let by_day = "PARTITIONED BY (day)";
        let query = "SELECT name, date_part('day', time) AS day FROM events WHERE n > 1";
        let split = scan(query, by_day).await;
        assert!(
            split.contains("predicate=n@1 > 1, split_by=date_part(day, time@2)"),
            "{split}"
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
                scan.starts_with("JsonLinesExec") && !scan.contains("split_by"),
                "{scan}"
            );
        }
    }
}
