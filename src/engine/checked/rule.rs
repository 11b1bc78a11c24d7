//! The rule that replaces arithmetic by functions that fail on overflow.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::engine::checked::arithmetic::{CheckedOperation, can_wrap, checked};
use crate::engine::checked::decimal_comparison::written_decimal;
use crate::refusal::input_schema;

/// Replaces `+`, `-` and `*` of integers and decimals, after type coercion. The names of columns stay
/// as they are, and arithmetic of all other types too.
#[derive(Debug)]
pub(super) struct CheckArithmetic;

impl AnalyzerRule for CheckArithmetic {
    fn name(&self) -> &str {
        "check_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let checked = plan.transform_up_with_subqueries(check_node)?;
        Ok(checked.data)
    }
}

fn check_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&node)?;
    let names = NamePreserver::new(&node);
    let checked = node.map_expressions(|expression| {
        let name = names.save(&expression);
        let checked =
            expression.transform_up(|expression| check_expression(expression, &schema))?;
        Ok(checked.update_data(|expression| name.restore(expression)))
    })?;
    checked.map_data(LogicalPlan::recompute_schema)
}

fn check_expression(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_checked = |operand: &Expr| -> Result<bool> { Ok(can_wrap(&operand.get_type(schema)?)) };
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            match CheckedOperation::from_operator(op) {
                Some(operation) if is_checked(&left)? && is_checked(&right)? => Ok(
                    Transformed::yes(checked(operation).call(vec![*left, *right])),
                ),
                _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr {
                    left,
                    op,
                    right,
                }))),
            }
        }
        Expr::Negative(operand) if is_checked(&operand)? => Ok(Transformed::yes(
            checked(CheckedOperation::Negate).call(vec![*operand]),
        )),
        Expr::Cast(cast) => Ok(match written_as(&cast) {
            Some(value) => Transformed::yes(Expr::Literal(value, None)),
            None => Transformed::no(Expr::Cast(cast)),
        }),
        other => Ok(Transformed::no(other)),
    }
}

/// Returns the value of a literal that becomes a decimal, which is the one that is written: the double
/// between the two is another number.
fn written_as(cast: &Cast) -> Option<ScalarValue> {
    let data_type = cast.field.data_type();
    let written = written_decimal(&cast.expr).filter(|_| data_type.is_decimal())?;
    written.cast_to(data_type).ok()
}
