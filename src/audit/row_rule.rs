//! Audits about single rows: a condition that is evaluated over each batch.

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{and, filter_record_batch, prep_null_mask_filter};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_expr::PhysicalExpr;

use crate::audit::failing_rows::FailingRows;
use crate::engine_error::from_datafusion;
use crate::error::Result;

/// A query of the form `SELECT … FROM this WHERE …`, as expressions over the columns of a batch.
#[derive(Debug)]
pub(super) struct RowRule {
    /// The columns of `this` that the expressions are over.
    columns: Vec<usize>,
    /// The conditions that a row which is returned meets, all of them.
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// The values of a row that is returned.
    values: Vec<Arc<dyn PhysicalExpr>>,
    /// The columns of these values.
    schema: SchemaRef,
}

impl RowRule {
    /// Returns the rule of an optimized query over `this`, if it gives each row by itself.
    pub(super) fn of(state: &SessionState, plan: &LogicalPlan) -> DataFusionResult<Option<Self>> {
        let (projection, input) = match plan {
            LogicalPlan::Projection(projection) => {
                (Some(projection), without_alias(&projection.input))
            }
            other => (None, without_alias(other)),
        };
        let (predicate, input) = match input {
            LogicalPlan::Filter(filter) => (Some(&filter.predicate), without_alias(&filter.input)),
            other => (None, other),
        };
        let LogicalPlan::TableScan(scan) = input else {
            return Ok(None);
        };
        if scan.fetch.is_some() || is_volatile(plan)? {
            return Ok(None);
        }
        let below_filter = filter_input(projection.map_or(plan, |projection| &projection.input));
        let input_schema = below_filter.schema();
        let physical =
            |expression: &Expr| state.create_physical_expr(expression.clone(), input_schema);
        let conditions = predicate.into_iter().chain(&scan.filters);
        let values: Vec<Arc<dyn PhysicalExpr>> = match projection {
            Some(projection) => {
                // The alias above the filter gives columns another qualifier.
                let above = projection.input.schema();
                let over_projection =
                    |expression: &Expr| state.create_physical_expr(expression.clone(), above);
                projection
                    .expr
                    .iter()
                    .map(over_projection)
                    .collect::<DataFusionResult<_>>()?
            }
            None => {
                let columns = input_schema.columns();
                let columns = columns.into_iter().map(Expr::Column);
                columns
                    .map(|column| physical(&column))
                    .collect::<DataFusionResult<_>>()?
            }
        };
        Ok(Some(Self {
            columns: scanned_columns(scan),
            conditions: conditions.map(physical).collect::<DataFusionResult<_>>()?,
            values,
            schema: Arc::new(plan.schema().as_arrow().clone()),
        }))
    }

    /// Returns the columns that are returned.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the columns of `this` that are read, of a batch.
    pub(super) fn read(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let read = rows.project(&self.columns);
        read.map_err(|error| from_datafusion(error.into()))
    }

    /// Returns the values that are returned for the rows of a batch of [`Self::read`].
    pub(super) fn values(&self, read: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.values.iter().map(|value| {
            value
                .evaluate(read)
                .and_then(|value| value.into_array(read.num_rows()))
        });
        columns
            .collect::<DataFusionResult<Vec<_>>>()
            .and_then(|columns| {
                let options = datafusion::arrow::array::RecordBatchOptions::new()
                    .with_row_count(Some(read.num_rows()));
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
                    .map_err(DataFusionError::from)
            })
            .map_err(from_datafusion)
    }

    /// Counts the rows of a batch that the query returns, and keeps the first ones. `key` has the columns of
    /// these that are reported.
    pub(super) fn add(
        &self,
        rows: &RecordBatch,
        key: Option<&[usize]>,
        failing: &mut FailingRows,
    ) -> Result<()> {
        let read = self.read(rows)?;
        let Some(mask) = self.mask(&read).map_err(from_datafusion)? else {
            failing.count += read.num_rows() as u64;
            return self.keep(
                &read.slice(0, read.num_rows().min(failing.wanted())),
                key,
                failing,
            );
        };
        let count = mask.true_count();
        failing.count += count as u64;
        if count == 0 || failing.wanted() == 0 {
            return Ok(());
        }
        let returned =
            filter_record_batch(&read, &mask).map_err(|error| from_datafusion(error.into()))?;
        let wanted = returned.num_rows().min(failing.wanted());
        self.keep(&returned.slice(0, wanted), key, failing)
    }

    fn keep(
        &self,
        returned: &RecordBatch,
        key: Option<&[usize]>,
        failing: &mut FailingRows,
    ) -> Result<()> {
        if returned.num_rows() == 0 {
            return Ok(());
        }
        let values = self.values(returned)?;
        let keys = key
            .map(|key| values.project(key))
            .transpose()
            .map_err(|error| from_datafusion(error.into()))?;
        failing.keep(&values, keys.as_ref())
    }

    /// Returns which rows meet the conditions; `None` if there are no conditions.
    fn mask(&self, read: &RecordBatch) -> DataFusionResult<Option<BooleanArray>> {
        let mut mask: Option<BooleanArray> = None;
        for condition in &self.conditions {
            let value = condition.evaluate(read)?.into_array(read.num_rows())?;
            let met = as_boolean_array(&value)?;
            let met = match met.null_count() {
                0 => met.clone(),
                _ => prep_null_mask_filter(met),
            };
            mask = Some(match mask {
                None => met,
                Some(mask) => and(&mask, &met)?,
            });
        }
        Ok(mask)
    }
}

/// Returns the columns of a table that a scan gives.
pub(super) fn scanned_columns(scan: &TableScan) -> Vec<usize> {
    match &scan.projection {
        Some(projection) => projection.clone(),
        None => (0..scan.source.schema().fields().len()).collect(),
    }
}

fn without_alias(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => without_alias(&alias.input),
        other => other,
    }
}

/// Returns what a filter reads, or the plan itself if there is none.
fn filter_input(plan: &LogicalPlan) -> &LogicalPlan {
    match without_alias(plan) {
        LogicalPlan::Filter(filter) => &filter.input,
        other => other,
    }
}

/// Returns true if an expression has another value for each row, or is a subquery.
fn is_volatile(plan: &LogicalPlan) -> DataFusionResult<bool> {
    let mut found = false;
    plan.apply(|node| {
        for expression in node.expressions() {
            found |= expression.is_volatile()
                || expression.exists(|part| {
                    Ok(matches!(
                        part,
                        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
                    ))
                })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
