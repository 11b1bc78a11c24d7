//! `IN (SELECT …)` where DataFusion takes NULL for false, or cannot plan it.

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use crate::refusal::position::Refusal;

/// Adds the subqueries of a condition that would give wrong rows.
pub(super) fn visit(node: &LogicalPlan, refusals: &mut Vec<Refusal>) {
    let condition = match node {
        LogicalPlan::Filter(filter) => Some(&filter.predicate),
        LogicalPlan::Join(join) => join.filter.as_ref(),
        _ => None,
    };
    if let Some(condition) = condition {
        conjunct(condition, refusals);
    }
}

/// Checks a condition whose rows count only where it is true.
fn conjunct(condition: &Expr, refusals: &mut Vec<Refusal>) {
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => {
            conjunct(left, refusals);
            conjunct(right, refusals);
        }
        Expr::InSubquery(in_subquery) if in_subquery.negated => negated(in_subquery, refusals),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::InSubquery(in_subquery) if !in_subquery.negated => {
                negated(in_subquery, refusals);
            }
            _ => nested(condition, refusals),
        },
        _ => nested(condition, refusals),
    }
}

/// Checks `x NOT IN (SELECT …)`. It is right if the subquery stands alone and `x` has a column.
fn negated(in_subquery: &InSubquery, refusals: &mut Vec<Refusal>) {
    let is_correlated = !in_subquery.subquery.outer_ref_columns.is_empty();
    let is_constant = in_subquery.expr.column_refs().is_empty();
    if is_correlated {
        refusals.push(refused_not_in(
            in_subquery,
            "`NOT IN` with a subquery that refers to the outer query gives wrong rows where there is a NULL",
        ));
    } else if is_constant {
        refusals.push(refused_not_in(
            in_subquery,
            "`NOT IN` of a constant and a subquery gives wrong rows where the subquery has a NULL",
        ));
    }
}

/// Checks a condition below OR. `IN` may be false where it should be NULL: that is the same as long as
/// nothing negates it or asks for NULL.
fn nested(condition: &Expr, refusals: &mut Vec<Refusal>) {
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And | Operator::Or,
            right,
        }) => {
            nested(left, refusals);
            nested(right, refusals);
        }
        Expr::InSubquery(in_subquery) if !in_subquery.negated => {}
        other => {
            // The closure never fails.
            let _ = other.apply(|expression| {
                if let Expr::InSubquery(in_subquery) = expression {
                    refusals.push(refused_not_in(
                        in_subquery,
                        "a subquery with `IN` that is negated or tested inside of a condition gives wrong rows where there is a NULL",
                    ));
                }
                Ok::<_, DataFusionError>(TreeNodeRecursion::Continue)
            });
        }
    }
}

fn refused_not_in(in_subquery: &InSubquery, what: &'static str) -> Refusal {
    let outer = in_subquery.subquery.outer_ref_columns.first();
    Refusal {
        what,
        hint: "write `NOT EXISTS (SELECT 1 FROM … WHERE … AND y = x)`, and say with IS NULL what a NULL \
               of `x` or `y` means"
            .to_owned(),
        near: outer.unwrap_or(&in_subquery.expr).clone(),
        words: &["in"],
    }
}

/// Refuses EXISTS of an aggregate without GROUP BY: the aggregate has a row where its input has none.
pub(super) fn exists_of_aggregate(expression: &Expr) -> Option<Refusal> {
    let Expr::Exists(exists) = expression else {
        return None;
    };
    let outer = exists.subquery.outer_ref_columns.first()?;
    aggregates_all(&exists.subquery.subquery).then(|| Refusal {
        what: "EXISTS of an aggregate without GROUP BY is taken for EXISTS of the aggregated rows",
        hint: "compare the aggregate: `(SELECT count(*) FROM … WHERE …) > 1`".to_owned(),
        near: outer.clone(),
        words: &["exists"],
    })
}

/// Returns whether a plan computes one row of all rows of its input.
fn aggregates_all(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().any(aggregates_all)
        }
        _ => false,
    }
}

/// Returns the refusal of a subquery that is left in an optimized plan.
pub(super) fn unplannable(expression: &Expr) -> Option<Refusal> {
    let near = match expression {
        Expr::InSubquery(in_subquery) => in_subquery.expr.as_ref().clone(),
        Expr::Exists(exists) => exists.subquery.outer_ref_columns.first()?.clone(),
        Expr::ScalarSubquery(subquery) => subquery.outer_ref_columns.first()?.clone(),
        _ => return None,
    };
    Some(Refusal {
        what: "DataFusion cannot plan this subquery",
        hint: "join the subquery instead: `LEFT JOIN (SELECT DISTINCT …) s ON …`, and test a column of `s`"
            .to_owned(),
        near,
        words: &["exists", "in"],
    })
}
