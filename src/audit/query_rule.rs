//! Audits by queries that do not give each row by itself: beside the export, or over a spill of its rows.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use crate::audit::failing_rows::FailingRows;
use crate::audit::row_rule::scanned_columns;
use crate::audit::this_table::RowsInput;
use crate::engine_error::from_datafusion;
use crate::error::Result;

/// A query over `this` that returns the rows which break a rule.
#[derive(Debug)]
pub(super) struct QueryRule {
    /// The optimized plan.
    pub plan: LogicalPlan,
    pub input: Arc<RowsInput>,
    /// The columns of `this` that it reads, in the order of its scan if there is only one.
    pub columns: Vec<usize>,
    /// True if it reads the rows once, in whatever order they come.
    pub is_streamed: bool,
}

impl QueryRule {
    pub(super) fn of(plan: LogicalPlan, input: Arc<RowsInput>) -> DataFusionResult<Self> {
        let (mut scans, mut has_window, mut columns) = (0, false, Vec::new());
        plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::TableScan(scan) => {
                    scans += 1;
                    for column in scanned_columns(scan) {
                        if !columns.contains(&column) {
                            columns.push(column);
                        }
                    }
                }
                LogicalPlan::Window(_) | LogicalPlan::RecursiveQuery(_) => has_window = true,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self {
            plan,
            input,
            columns,
            is_streamed: scans == 1 && !has_window,
        })
    }

    /// Returns true if the query returns no row, whatever the rows are.
    pub(super) fn returns_nothing(&self) -> bool {
        matches!(&self.plan, LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row)
    }

    /// Returns the columns that the query returns.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::new(self.plan.schema().as_arrow().clone())
    }
}

/// Runs a plan to its end. All rows that it gives break the rule.
pub(super) async fn run(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    key: Option<Vec<usize>>,
    mut failing: FailingRows,
) -> Result<FailingRows> {
    let mut rows = execute_stream(plan, context).map_err(from_datafusion)?;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(from_datafusion)?;
        failing.count += batch.num_rows() as u64;
        let wanted = batch.num_rows().min(failing.wanted());
        if wanted == 0 {
            continue;
        }
        let first = batch.slice(0, wanted);
        let keys = key.as_ref().map(|key| first.project(key)).transpose();
        let keys = keys.map_err(|error| from_datafusion(error.into()))?;
        failing.keep(&first, keys.as_ref())?;
    }
    Ok(failing)
}
