//! Sorts over strings that lie one after the other.
//!
//! A sort that spills and merges views has each of its batches keep those of all runs that it came
//! from, in memory and in the pool's accounts: it needs several times as much as with plain strings.

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

use crate::compact::joined;
use crate::stage::exec::StageExec;

/// The same plan, in which views become plain strings below the sort of the rows of a file, and views
/// again above it. Sorts for window functions and joins stay: these ask for an order, which they
/// would not see through a cast.
pub fn sort_joined_strings(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let sorted = plan.transform_down(|node| {
        let Some(stage) = node.downcast_ref::<StageExec>() else {
            return Ok(Transformed::no(node));
        };
        match below(stage.input())? {
            Some(input) => Ok(Transformed::yes(with_input(&node, input)?)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(sorted.data)
}

fn below(input: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (schema, plain) = (input.schema(), joined(&input.schema()));
    if schema != plain
        && let Some(sorted) = over(input, &plain)?
    {
        return Ok(Some(cast(sorted, &schema)?));
    }
    let passes_on = input.is::<ProjectionExec>() || input.is::<CoalescePartitionsExec>();
    match input.children().as_slice() {
        [child] if passes_on => {
            let child = below(child)?;
            child.map(|child| with_input(input, child)).transpose()
        }
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

/// The sort, or the merge of sorts, of rows of the `plain` schema; `None` where it is no such thing.
fn over(
    node: &Arc<dyn ExecutionPlan>,
    plain: &SchemaRef,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let input = if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>()
        && is_by_columns(merge.expr())
    {
        over(merge.input(), plain)?
    } else if let Some(sort) = node.downcast_ref::<SortExec>()
        && is_by_columns(sort.expr())
    {
        Some(cast(Arc::clone(sort.input()), plain)?)
    } else {
        None
    };
    input.map(|input| with_input(node, input)).transpose()
}

/// Other expressions may be made for views.
fn is_by_columns(order: &LexOrdering) -> bool {
    order.iter().all(|by| by.expr.is::<Column>())
}

/// The same rows in the types of `schema`.
fn cast(input: Arc<dyn ExecutionPlan>, schema: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let from = input.schema();
    let fields = from.fields().iter().zip(schema.fields()).enumerate();
    let columns = fields.map(|(index, (from, to))| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(from.name(), index));
        let expr = match from.data_type() == to.data_type() {
            true => column,
            false => Arc::new(CastExpr::new(column, to.data_type().clone(), None)),
        };
        ProjectionExpr::new(expr, to.name().clone())
    });
    let columns: Vec<ProjectionExpr> = columns.collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, input)?))
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// The operators of a query over strings, from the top, what it gives, and whether it was changed.
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
        let plan = context.sql(query).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let expected = plan.schema();
        let changed = below(&plan).unwrap();
        let is_changed = changed.is_some();
        let plan = changed.unwrap_or(plan);
        assert_eq!(plan.schema(), expected);
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        let operators = shown.lines().map(|line| {
            let name = line.trim().split(':').next().unwrap_or_default();
            name.to_owned()
        });
        let rows = collect(Arc::clone(&plan), context.task_ctx())
            .await
            .unwrap();
        let rows = datafusion::arrow::util::pretty::pretty_format_batches(&rows).unwrap();
        let rows = rows.to_string();
        let rows = rows.lines().skip(3).map(str::to_owned).collect();
        (operators.collect(), rows, is_changed)
    }

    #[tokio::test]
    async fn a_sort_by_columns_gets_plain_strings() {
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
