//! Evaluates a definition over one row, condition by condition.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, ScalarValue};
use datafusion::datasource::{MemTable, provider_as_source, source_as_provider};
use datafusion::logical_expr::TableScanBuilder;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::prelude::SessionContext;
use datafusion::sql::unparser::Unparser;

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::scan::search::{FoundRow, declared_name};
use crate::trace::report::{Condition, Operand, RowOutcome, Truth};
use crate::trace::search::Scanned;

type DataFusionResult<T> = std::result::Result<T, DataFusionError>;

/// The result of a definition for one occurrence.
pub(super) struct Explained {
    pub outcome: RowOutcome,
    pub conditions: Vec<Condition>,
    /// The rows that would be exported.
    rows: Vec<RecordBatch>,
}

impl Explained {
    fn rejected(reason: String) -> Self {
        Self {
            outcome: RowOutcome::Rejected {
                reason,
                recorded: None,
            },
            conditions: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Returns the row's values of the manifest's window column, by which its files record bounds.
    pub(super) fn window(&self, manifest: Option<&Manifest>) -> Vec<DateTime<Utc>> {
        let column = manifest.and_then(|manifest| manifest.window_column.as_deref());
        let columns = self
            .rows
            .iter()
            .filter_map(|rows| rows.column_by_name(column?));
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let mut instants = Vec::new();
        for values in columns {
            for row in 0..values.len() {
                let instant = ScalarValue::try_from_array(values, row)
                    .and_then(|value| value.cast_to(&utc))
                    .ok();
                if let Some(ScalarValue::TimestampMicrosecond(Some(instant), _)) = instant {
                    instants.extend(DateTime::from_timestamp_micros(instant));
                }
            }
        }
        instants
    }
}

/// Runs the definition's query over the row as if its source held nothing else. Also evaluates each
/// condition that filters rows of the source, before any join or aggregation.
pub(super) async fn explain(
    context: &SessionContext,
    scanned: &Scanned<'_>,
    found: &FoundRow,
) -> Result<Explained> {
    let row = match found.row(scanned.reads.get(&found.source)) {
        Ok(row) => row,
        Err(reason) => return Ok(Explained::rejected(reason)),
    };
    let single_row = SingleRow {
        source: &found.source,
        row,
    };
    let plan = single_row.replace(scanned.plan.clone(), Filters::Keep)?;
    let rows = run(context, plan).await?;
    let is_kept = rows.iter().any(|batch| batch.num_rows() > 0);
    let mut conditions = Vec::new();
    for (filtered, predicate) in single_row.filters(scanned)? {
        let input = single_row.replace(filtered, Filters::Drop)?;
        for condition in split_conjunction(&predicate) {
            let evaluated = evaluate(context, &input, condition).await?;
            if !conditions.contains(&evaluated) {
                conditions.push(evaluated);
            }
        }
    }
    Ok(Explained {
        outcome: if is_kept {
            RowOutcome::Kept
        } else {
            RowOutcome::Dropped
        },
        conditions,
        rows,
    })
}

/// A row that stands for all of its source.
struct SingleRow<'a> {
    source: &'a str,
    row: RecordBatch,
}

/// The treatment of a plan's filters when the row is put into it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filters {
    Keep,
    Drop,
}

impl SingleRow<'_> {
    /// Returns true if the scan reads the row's source.
    fn is_source(&self, scan: &TableScan) -> DataFusionResult<bool> {
        let table = source_as_provider(&scan.source)?;
        Ok(declared_name(table.as_ref()) == Some(self.source))
    }

    /// Replaces every scan of the source by the row.
    fn replace(&self, plan: LogicalPlan, filters: Filters) -> Result<LogicalPlan> {
        let replaced = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) if self.is_source(&scan)? => {
                let batches = vec![vec![self.row.clone()]];
                let table = MemTable::try_new(self.row.schema(), batches)?;
                let source = provider_as_source(Arc::new(table));
                let replacement = TableScanBuilder::new(scan.table_name, source).build()?;
                Ok(Transformed::yes(LogicalPlan::TableScan(replacement)))
            }
            LogicalPlan::Filter(filter) if filters == Filters::Drop => {
                Ok(Transformed::yes(Arc::unwrap_or_clone(filter.input)))
            }
            // Unlike in the source, any column of the row may be NULL.
            node => node.recompute_schema().map(Transformed::yes),
        });
        replaced
            .map(|replaced| replaced.data)
            .map_err(from_datafusion)
    }

    /// Returns the filters over rows of the source, each with its input: as written, and if there
    /// are filters above a join, also as the optimizer pushes them down.
    fn filters(&self, scanned: &Scanned<'_>) -> Result<Vec<(LogicalPlan, Expr)>> {
        let (mut filters, has_others) = self.filters_of(&scanned.plan)?;
        if has_others {
            filters.extend(self.filters_of(&scanned.optimized)?.0);
        }
        Ok(filters)
    }

    /// Returns the filters of a plan over rows of the source, and true if it has other filters.
    fn filters_of(&self, plan: &LogicalPlan) -> Result<(Vec<(LogicalPlan, Expr)>, bool)> {
        let (mut filters, mut has_others) = (Vec::new(), false);
        plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::Filter(filter) if self.is_row_by_row(&filter.input)? => {
                    let input = filter.input.as_ref().clone();
                    filters.push((input, filter.predicate.clone()));
                }
                LogicalPlan::Filter(_) => has_others = true,
                LogicalPlan::TableScan(scan) if self.is_source(scan)? => {
                    let pushed = scan.filters.iter().cloned();
                    filters.extend(pushed.map(|filter| (node.clone(), filter)));
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(from_datafusion)?;
        Ok((filters, has_others))
    }

    /// Returns true if each row of the plan comes from one row of the source.
    fn is_row_by_row(&self, plan: &LogicalPlan) -> DataFusionResult<bool> {
        match plan {
            LogicalPlan::TableScan(scan) => self.is_source(scan),
            LogicalPlan::Filter(filter) => self.is_row_by_row(&filter.input),
            LogicalPlan::Projection(projection) => self.is_row_by_row(&projection.input),
            LogicalPlan::SubqueryAlias(alias) => self.is_row_by_row(&alias.input),
            _ => Ok(false),
        }
    }
}

/// Evaluates a condition, and its operands, over the one row of `input`.
async fn evaluate(
    context: &SessionContext,
    input: &LogicalPlan,
    condition: &Expr,
) -> Result<Condition> {
    let text = sql(condition);
    let has_subquery = condition.exists(|inner| {
        Ok(matches!(
            inner,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
        ))
    });
    if has_subquery.map_err(from_datafusion)? {
        return Ok(Condition {
            condition: text,
            holds: Truth::Unknown,
            values: Vec::new(),
        });
    }
    let operands = operands(condition).map_err(from_datafusion)?;
    let expressions = [condition]
        .into_iter()
        .chain(&operands)
        .enumerate()
        .map(|(index, expression)| expression.clone().alias(index.to_string()));
    let plan = LogicalPlanBuilder::from(input.clone())
        .project(expressions)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    let rows = run(context, plan).await?;
    let Some(row) = rows.iter().find(|batch| batch.num_rows() > 0) else {
        return Err(Error::internal("a row was lost"));
    };
    let truth = ScalarValue::try_from_array(row.column(0), 0).map_err(from_datafusion)?;
    let values = operands
        .iter()
        .zip(row.columns().iter().skip(1))
        .map(|(operand, column)| Operand {
            expression: sql(operand),
            value: match column.is_null(0) {
                true => "NULL".to_owned(),
                false => array_value_to_string(column, 0).unwrap_or_default(),
            },
        })
        .collect();
    Ok(Condition {
        condition: text,
        holds: match truth {
            ScalarValue::Boolean(Some(true)) => Truth::True,
            ScalarValue::Boolean(Some(false)) => Truth::False,
            _ => Truth::Null,
        },
        values,
    })
}

/// Returns the operands of a condition: its immediate parts that depend on the row.
fn operands(condition: &Expr) -> DataFusionResult<Vec<Expr>> {
    let mut operands: Vec<Expr> = Vec::new();
    condition.apply_children(|child| {
        if !child.column_refs().is_empty() && !operands.contains(child) {
            operands.push(child.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(operands)
}

/// Formats an expression as SQL, with the bare names of its columns.
fn sql(expression: &Expr) -> String {
    let unqualified = |inner| match inner {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(
            column.name,
        )))),
        inner => Ok(Transformed::no(inner)),
    };
    let bare = match expression.clone().transform(unqualified) {
        Ok(transformed) => transformed.data,
        Err(_) => expression.clone(),
    };
    let unparser = Unparser::default().with_pretty(true);
    match unparser.expr_to_sql(&bare) {
        Ok(sql) => sql.to_string(),
        Err(_) => bare.human_display().to_string(),
    }
}

async fn run(context: &SessionContext, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
    let frame = context.execute_logical_plan(plan).await;
    let rows = frame.map_err(from_datafusion)?.collect().await;
    rows.map_err(from_datafusion)
}
