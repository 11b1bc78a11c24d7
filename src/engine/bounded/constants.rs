//! Refuses constants of a query that no batch could hold in each of its rows, before a source is read.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, ColumnarValue, Expr, LogicalPlan};

use crate::engine::bounded::function::BoundedFunction;
use crate::engine::bounded::sizes::{bytes, size};
use crate::error::Result;
use crate::refusal::is_comparison;
use crate::sql_file::SqlFile;

/// The size up to which a constant may always be in each row, in bytes.
const SMALL_BYTES: u64 = 1024;

/// The functions that put a constant into each row of their result.
const REPEATING: [&str; 6] = [
    "array",
    "coalesce",
    "make_array",
    "named_struct",
    "nvl",
    "struct",
];

/// Refuses an optimized plan with a call of constants whose result is larger than `max_bytes`, or with a
/// constant that would be larger than that in all of `batch_rows` rows. Constants in comparisons are not
/// repeated.
///
/// # Errors
/// An error with the file.
pub(in crate::engine) fn refuse_large_constants(
    sql: &SqlFile,
    optimized: &LogicalPlan,
    max_bytes: u64,
    batch_rows: usize,
) -> Result<()> {
    let max_constant = SMALL_BYTES.max(max_bytes / batch_rows.max(1) as u64);
    let mut largest = 0;
    let walked = optimized.apply_with_subqueries(|node| {
        let is_repeated = has_many_rows(node);
        node.apply_expressions(|expression| {
            expression.apply(check_call)?;
            match is_repeated {
                true => expression.apply(|expression| visit(expression, &mut largest)),
                false => Ok(TreeNodeRecursion::Continue),
            }
        })
    });
    walked.map_err(|error| sql.rejected(&error))?;
    if largest <= max_constant {
        return Ok(());
    }
    let (size, max) = (size(largest), size(max_constant));
    let what = format!("a constant of {size} would be in each row; the maximum is {max}");
    Err(sql.complaint(sql.first_line(), what).with_hint(
        "make the constant smaller, or raise --memory-limit: a batch of rows holds the constant in each of them",
    ))
}

/// Returns true unless the rows of a node are all written in the query.
fn has_many_rows(node: &LogicalPlan) -> bool {
    let inputs = node.inputs();
    let is_written = |input: &&LogicalPlan| {
        matches!(
            input,
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_)
        )
    };
    !matches!(node, LogicalPlan::Values(_)) && (inputs.is_empty() || !inputs.iter().all(is_written))
}

fn visit(expression: &Expr, largest: &mut u64) -> DataFusionResult<TreeNodeRecursion> {
    match expression {
        Expr::Literal(value, _) => {
            if let Some(bytes) = constant_bytes(value)? {
                *largest = bytes.max(*largest);
            }
        }
        // A comparison, and most functions, take a constant as it is.
        Expr::BinaryExpr(BinaryExpr { op, .. }) if is_comparison(*op) => {
            return Ok(TreeNodeRecursion::Jump);
        }
        Expr::ScalarFunction(function) if !REPEATING.contains(&function.name()) => {
            return Ok(TreeNodeRecursion::Jump);
        }
        Expr::Like(_) | Expr::SimilarTo(_) | Expr::InList(_) | Expr::Between(_) => {
            return Ok(TreeNodeRecursion::Jump);
        }
        _ => {}
    }
    Ok(TreeNodeRecursion::Continue)
}

/// Returns the size of a constant that is a text or a list.
fn constant_bytes(value: &ScalarValue) -> DataFusionResult<Option<u64>> {
    if value.data_type().is_primitive() || value.is_null() {
        return Ok(None);
    }
    let value = ColumnarValue::Scalar(value.clone());
    Ok(Some(bytes(&value)?.get(0)))
}

/// Checks a call of constants that was not computed while the query was planned: its result is too large.
fn check_call(expression: &Expr) -> DataFusionResult<TreeNodeRecursion> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expression else {
        return Ok(TreeNodeRecursion::Continue);
    };
    let constants = args.iter().map(|argument| match argument {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    });
    if let Some(bounded) = func.inner().downcast_ref::<BoundedFunction>()
        && let Some(constants) = constants.collect::<Option<Vec<ScalarValue>>>()
    {
        bounded.check_constants(&constants)?;
    }
    Ok(TreeNodeRecursion::Continue)
}
