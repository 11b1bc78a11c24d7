//! Sorts with offset strings (contiguous, `Utf8`) in place of string views.
//!
//! If a sort that spills merges views, each of its batches keeps the buffers of all runs that its
//! rows came from, in memory and in the pool's accounts: it needs several times as much as with offset
//! strings.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::stage::StagedWriteExec;
use crate::view_gc::offset_strings;

/// Rewrites a plan so that views become offset strings below the sort of the rows of a file, and views
/// again above it. Sorts for window functions and joins stay: these require an order, which they would
/// not recognize through a cast.
pub(super) fn sort_offset_strings(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let rewritten = plan.transform_down(|node| {
        let Some(write) = node.downcast_ref::<StagedWriteExec>() else {
            return Ok(Transformed::no(node));
        };
        match rewrite_sort(write.input())? {
            Some(input) => Ok(Transformed::yes(with_input(&node, input)?)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(rewritten.data)
}

fn rewrite_sort(input: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (schema, offset_schema) = (input.schema(), offset_strings(&input.schema()));
    if schema != offset_schema
        && let Some(sorted) = sort_in(input, &offset_schema)?
    {
        return Ok(Some(cast(sorted, &schema)?));
    }
    let is_transparent = input.is::<ProjectionExec>() || input.is::<CoalescePartitionsExec>();
    match input.children().as_slice() {
        [child] if is_transparent => rewrite_sort(child)?
            .map(|child| with_input(input, child))
            .transpose(),
        _ => Ok(None),
    }
}

fn with_input(
    node: &Arc<dyn ExecutionPlan>,
    input: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(node).replace_children(vec![input], options)
}

/// Returns the sort, or the merge of sorts, over rows of `offset_schema`; `None` if `node` is neither.
fn sort_in(
    node: &Arc<dyn ExecutionPlan>,
    offset_schema: &SchemaRef,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let input = if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>()
        && is_by_columns(merge.expr())
    {
        sort_in(merge.input(), offset_schema)?
    } else if let Some(sort) = node.downcast_ref::<SortExec>()
        && is_by_columns(sort.expr())
    {
        Some(cast(Arc::clone(sort.input()), offset_schema)?)
    } else {
        None
    };
    input.map(|input| with_input(node, input)).transpose()
}

/// Returns true if the order is by columns alone: other expressions may have been built for views.
fn is_by_columns(order: &LexOrdering) -> bool {
    order.iter().all(|by| by.expr.is::<Column>())
}

/// Casts rows to the types of `schema`.
fn cast(input: Arc<dyn ExecutionPlan>, schema: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let from = input.schema();
    let fields = from.fields().iter().zip(schema.fields()).enumerate();
    let columns: Vec<ProjectionExpr> = fields
        .map(|(index, (from, to))| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(from.name(), index));
            let expr = match from.data_type() == to.data_type() {
                true => column,
                false => Arc::new(CastExpr::new(column, to.data_type().clone(), None)),
            };
            ProjectionExpr::new(expr, to.name().clone())
        })
        .collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, input)?))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// Returns the operators of a query over strings, from the top, its rows, and whether the plan
    /// was rewritten.
    async fn planned(query: &str) -> (Vec<String>, Vec<String>, bool) {
        let context =
            SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        let names =
            "VALUES ('b', 'a rather long string'), ('a', NULL), ('c', 'another long string')";
        let view = format!(
            "CREATE VIEW v AS SELECT arrow_cast(column1, 'Utf8View') AS name, named_struct('text', \
             arrow_cast(column2, 'Utf8View')) AS object FROM ({names})"
        );
        context.sql(&view).await.unwrap();
        let query = context.sql(query).await.unwrap();
        let original = query.create_physical_plan().await.unwrap();
        let rewritten = rewrite_sort(&original).unwrap();
        let is_rewritten = rewritten.is_some();
        let plan = rewritten.unwrap_or_else(|| Arc::clone(&original));
        assert_eq!(plan.schema(), original.schema());
        let displayed = displayable(plan.as_ref()).indent(false).to_string();
        let operators = displayed.lines().map(|line| {
            let name = line.trim().split(':').next().unwrap_or_default();
            name.to_owned()
        });
        let batches = collect(plan, context.task_ctx()).await.unwrap();
        let table = pretty_format_batches(&batches).unwrap().to_string();
        let rows = table.lines().skip(3).map(str::to_owned);
        (operators.collect(), rows.collect(), is_rewritten)
    }

    #[tokio::test]
    async fn a_sort_by_columns_gets_offset_strings() {
        let (operators, rows, _) = planned("SELECT name, object FROM v ORDER BY name").await;
        let sort = operators
            .iter()
            .position(|name| name == "SortExec")
            .unwrap();
        assert_eq!(operators[sort - 1], "ProjectionExec");
        assert_eq!(operators[sort + 1], "ProjectionExec");
        assert!(rows[0].contains("| a "), "{rows:?}");
        assert!(rows[1].contains("a rather long string"), "{rows:?}");
    }

    #[tokio::test]
    async fn other_plans_stay_as_they_are() {
        for query in [
            "SELECT name FROM v WHERE name <> 'b'",
            "SELECT length(name) AS n FROM v ORDER BY n",
            "SELECT name, object, row_number() OVER (PARTITION BY name ORDER BY length(name)) AS n FROM v",
        ] {
            assert!(!planned(query).await.2, "{query}");
        }
    }
}
