//! Comparisons of a decimal with a number that is written with a point, or with a double.
//!
//! DataFusion compares them as `DECIMAL(30, 15)`, in which `12345678.95` is another number than the
//! double that the parser made of it.

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Join, LogicalPlan, cast};
use datafusion::optimizer::AnalyzerRule;

use crate::refusal::{input_schema, is_comparison};

/// Gives a literal that is compared with a decimal the value that is written, and compares a decimal
/// with a column of doubles as doubles. Runs before type coercion.
#[derive(Debug)]
pub(super) struct CompareDecimals;

impl AnalyzerRule for CompareDecimals {
    fn name(&self) -> &str {
        "compare_decimals"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let compared = plan.transform_up_with_subqueries(compare_in_node)?;
        Ok(compared.data)
    }
}

fn compare_in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&node)?;
    let names = NamePreserver::new(&node);
    let compared = node.map_expressions(|expression| {
        let name = names.save(&expression);
        let compared = expression.transform_up(|expression| compare(expression, &schema))?;
        Ok(compared.update_data(|expression| name.restore(expression)))
    })?;
    compared.map_data(|node| match node {
        LogicalPlan::Join(join) => compare_join_keys(join, &schema).map(LogicalPlan::Join),
        other => Ok(other),
    })
}

fn compare_join_keys(join: Join, schema: &DFSchema) -> Result<Join> {
    let keys = join.on.into_iter().map(|(left, right)| {
        let [left, right] = comparable([left, right], schema)?;
        Ok((left, right))
    });
    Ok(Join {
        on: keys.collect::<Result<_>>()?,
        ..join
    })
}

fn compare(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let compared = match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let [left, right] = comparable([*left, *right], schema)?;
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
        }
        Expr::Between(between) => {
            let sides = [*between.expr, *between.low, *between.high];
            let [expr, low, high] = comparable(sides, schema)?;
            Expr::Between(Between::new(
                Box::new(expr),
                between.negated,
                Box::new(low),
                Box::new(high),
            ))
        }
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) => {
            let items = list.len();
            let mut sides = vec![*expr];
            sides.extend(list);
            make_comparable(&mut sides, schema)?;
            let list = sides.split_off(sides.len() - items);
            match sides.pop() {
                Some(expr) => Expr::InList(InList::new(Box::new(expr), list, negated)),
                None => return datafusion::common::internal_err!("IN without a value"),
            }
        }
        other => return Ok(Transformed::no(other)),
    };
    Ok(Transformed::yes(compared))
}

fn comparable<const N: usize>(mut sides: [Expr; N], schema: &DFSchema) -> Result<[Expr; N]> {
    make_comparable(&mut sides, schema)?;
    Ok(sides)
}

/// Replaces the sides of a comparison, if decimals are compared with doubles.
fn make_comparable(sides: &mut [Expr], schema: &DFSchema) -> Result<()> {
    let is_decimal = |side: &Expr| Ok(side.get_type(schema)?.is_decimal());
    let decimals = sides
        .iter()
        .map(is_decimal)
        .collect::<Result<Vec<bool>>>()?;
    if !decimals.contains(&true) {
        return Ok(());
    }
    for side in sides.iter_mut() {
        if let Some(decimal) = written_decimal(side) {
            *side = Expr::Literal(decimal, None);
        }
    }
    let is_double = |side: &Expr| Ok(side.get_type(schema)?.is_floating());
    let doubles = sides.iter().map(is_double).collect::<Result<Vec<bool>>>()?;
    if doubles.contains(&true) {
        for side in sides {
            if side.get_type(schema)?.is_decimal() {
                *side = cast(side.clone(), DataType::Float64);
            }
        }
    }
    Ok(())
}

/// Returns the decimal value of a literal that the parser made a double.
///
/// The shortest text of a double is the text that was written: definitions are refused whose literals
/// have more digits than a double.
pub(super) fn written_decimal(expression: &Expr) -> Option<ScalarValue> {
    match expression {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => decimal(*value),
        Expr::Negative(inner) => written_decimal(inner)?.arithmetic_negate().ok(),
        _ => None,
    }
}

/// Returns the decimal that the shortest text of a double stands for.
fn decimal(value: f64) -> Option<ScalarValue> {
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let precision =
        u8::try_from(digits.unsigned_abs().to_string().len().max(fraction.len())).ok()?;
    let scale = i8::try_from(fraction.len()).ok()?;
    (precision <= DECIMAL128_MAX_PRECISION).then_some(ScalarValue::Decimal128(
        Some(digits),
        precision,
        scale,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_has_the_value_that_is_written() {
        for (value, digits, precision, scale) in [
            (12_345_678.95, 1_234_567_895, 10, 2),
            (-0.05, -5, 2, 2),
            (0.1, 1, 1, 1),
            (1e20, 100_000_000_000_000_000_000, 21, 0),
            (-0.0, 0, 1, 0),
        ] {
            let expected = ScalarValue::Decimal128(Some(digits), precision, scale);
            assert_eq!(decimal(value), Some(expected), "{value}");
        }
        for value in [1e40, 1e-40, f64::NAN, f64::INFINITY] {
            assert_eq!(decimal(value), None, "{value}");
        }
    }
}
