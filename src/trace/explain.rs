//! What a definition makes of one row.

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

use super::report::{Condition, Operand, Outcome, Truth};
use super::search::Scanned;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::scan::search::{FoundRow, declared_name};

type DataFusionResult<T> = std::result::Result<T, DataFusionError>;

/// What a definition makes of one occurrence.
pub struct Explained {
    pub outcome: Outcome,
    pub conditions: Vec<Condition>,
    /// What would be exported.
    rows: Vec<RecordBatch>,
}

impl Explained {
    fn rejected(reason: String) -> Self {
        Self {
            outcome: Outcome::Rejected {
                reason,
                recorded: None,
            },
            conditions: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// The instants by which the manifest's files tell their bounds.
    pub fn window(&self, manifest: Option<&Manifest>) -> Vec<DateTime<Utc>> {
        let column = manifest.and_then(|manifest| manifest.window_column.as_deref());
        let columns = self
            .rows
            .iter()
            .filter_map(|rows| rows.column_by_name(column?));
        let mut instants = Vec::new();
        for values in columns {
            for row in 0..values.len() {
                let value = ScalarValue::try_from_array(values, row).ok();
                let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
                let value = value.and_then(|value| value.cast_to(&utc).ok());
                if let Some(ScalarValue::TimestampMicrosecond(Some(instant), _)) = value {
                    instants.extend(DateTime::from_timestamp_micros(instant));
                }
            }
        }
        instants
    }
}

/// Runs the definition's query over the row as if its source held nothing else, and evaluates each
/// condition between the source and whatever joins or aggregates its rows.
pub async fn explain(
    context: &SessionContext,
    scanned: &Scanned<'_>,
    found: &FoundRow,
) -> Result<Explained> {
    let row = match found.row(scanned.reads.get(&found.source)) {
        Ok(row) => row,
        Err(reason) => return Ok(Explained::rejected(reason)),
    };
    let alone = OnlyRow {
        source: &found.source,
        row,
    };
    let plan = alone.replace(scanned.plan.clone(), Filters::Keep);
    let rows = run(context, plan.map_err(from_datafusion)?).await?;
    let is_kept = rows.iter().any(|batch| batch.num_rows() > 0);
    let mut conditions = Vec::new();
    for (input, predicate) in alone.filters(scanned)? {
        let input = alone.replace(input, Filters::Drop);
        let input = input.map_err(from_datafusion)?;
        for condition in split_conjunction(&predicate) {
            let evaluated = evaluate(context, &input, condition).await?;
            if !conditions.contains(&evaluated) {
                conditions.push(evaluated);
            }
        }
    }
    Ok(Explained {
        outcome: if is_kept {
            Outcome::Kept
        } else {
            Outcome::Dropped
        },
        conditions,
        rows,
    })
}

/// One row in place of a source.
struct OnlyRow<'a> {
    source: &'a str,
    row: RecordBatch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Filters {
    Keep,
    Drop,
}

impl OnlyRow<'_> {
    fn is_source(&self, scan: &TableScan) -> DataFusionResult<bool> {
        let table = source_as_provider(&scan.source)?;
        Ok(declared_name(table.as_ref()) == Some(self.source))
    }

    fn replace(&self, plan: LogicalPlan, filters: Filters) -> DataFusionResult<LogicalPlan> {
        let replaced = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) if self.is_source(&scan)? => {
                let batches = vec![vec![self.row.clone()]];
                let table = MemTable::try_new(self.row.schema(), batches)?;
                let table = provider_as_source(Arc::new(table));
                let scan = TableScanBuilder::new(scan.table_name, table).build()?;
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            LogicalPlan::Filter(filter) if filters == Filters::Drop => {
                Ok(Transformed::yes(Arc::unwrap_or_clone(filter.input)))
            }
            // Any column of the row may be NULL.
            node => node.recompute_schema().map(Transformed::yes),
        });
        replaced.map(|replaced| replaced.data)
    }

    /// The filters over rows of the source alone, with what they filter: as written, or as the
    /// optimizer brings them there from above a join.
    fn filters(&self, scanned: &Scanned<'_>) -> Result<Vec<(LogicalPlan, Expr)>> {
        let (mut filters, has_others) = self.filters_of(&scanned.plan)?;
        if has_others {
            filters.extend(self.filters_of(&scanned.optimized)?.0);
        }
        Ok(filters)
    }

    /// And whether there are others.
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
    let evaluated = [condition].into_iter().chain(&operands).enumerate();
    let evaluated =
        evaluated.map(|(index, expression)| expression.clone().alias(index.to_string()));
    let plan = LogicalPlanBuilder::from(input.clone())
        .project(evaluated)
        .and_then(LogicalPlanBuilder::build);
    let rows = run(context, plan.map_err(from_datafusion)?).await?;
    let Some(row) = rows.iter().find(|batch| batch.num_rows() > 0) else {
        return Err(Error::internal("a row was lost"));
    };
    let truth = ScalarValue::try_from_array(row.column(0), 0).map_err(from_datafusion)?;
    let values = operands.iter().zip(row.columns().iter().skip(1));
    let values = values.map(|(operand, value)| {
        let value = match value.is_null(0) {
            true => "NULL".to_owned(),
            false => array_value_to_string(value, 0).unwrap_or_default(),
        };
        Operand {
            expression: sql(operand),
            value,
        }
    });
    Ok(Condition {
        condition: text,
        holds: match truth {
            ScalarValue::Boolean(Some(true)) => Truth::True,
            ScalarValue::Boolean(Some(false)) => Truth::False,
            _ => Truth::Null,
        },
        values: values.collect(),
    })
}

/// What a condition looks at: its immediate parts that hang on the row.
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

/// An expression as SQL, its columns by their bare names.
fn sql(expression: &Expr) -> String {
    let bare = expression.clone().transform(|inner| match inner {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(
            column.name,
        )))),
        inner => Ok(Transformed::no(inner)),
    });
    let bare = bare.map_or_else(|_| expression.clone(), |bare| bare.data);
    let unparser = Unparser::default().with_pretty(true);
    match unparser.expr_to_sql(&bare) {
        Ok(sql) => sql.to_string(),
        Err(_) => bare.human_display().to_string(),
    }
}

async fn run(context: &SessionContext, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
    let rows = context.execute_logical_plan(plan).await;
    let rows = rows.map_err(from_datafusion)?.collect().await;
    rows.map_err(from_datafusion)
}
