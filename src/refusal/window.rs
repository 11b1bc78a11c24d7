//! The window of a cycle: what its bounds are compared with, and the exported column that it selects by.
//!
//! ```text
//! comparisons of the plan with $window_start, $window_end
//!    with text or numbers, or closed at the end ─→ refused
//!    a column with both ─origins─→ an exported column → its rows are checked when they are staged
//!                              └─→ none → both exact bounds are required
//! ```

use std::ops::Not;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Between, BinaryExpr, Expr, ExprSchemable, JoinType, LogicalPlan, Operator,
};

use crate::definition::{WINDOW_END, WINDOW_START};
use crate::error::Result;
use crate::refusal::complain_of;
use crate::refusal::lineage::Node;
use crate::refusal::position::Refusal;
use crate::refusal::schema::input_schema;
use crate::sql_file::SqlFile;

const HALF_OPEN: &str = "write `time >= $window_start AND time < $window_end`";

/// The exported column that the window selects by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExportedWindow {
    pub(crate) column: String,
    /// True if an outer join may make it NULL.
    pub(crate) is_nullable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Start,
    End,
}

/// A comparison of something with a bound of the window.
#[derive(Debug)]
struct Comparison {
    compared: Expr,
    /// The operator with the bound on its right.
    operator: Operator,
    bound: Bound,
    /// True if the bound is compared as it is, not moved by an interval.
    is_exact: bool,
}

impl Comparison {
    /// Returns true if what is compared lies on the window's side of the bound exactly.
    fn is_exact_bound(&self) -> bool {
        let operator = match self.bound {
            Bound::Start => Operator::GtEq,
            Bound::End => Operator::Lt,
        };
        self.is_exact && self.operator == operator
    }

    /// Returns true if the comparison is off by the instant of the bound itself.
    fn is_closed_wrongly(&self) -> bool {
        let operator = match self.bound {
            Bound::Start => Operator::Gt,
            Bound::End => Operator::LtEq,
        };
        self.is_exact && self.operator == operator
    }
}

/// Refuses comparisons of the window with what is no time, and `BETWEEN`, which is closed at its end.
///
/// # Errors
/// [`Error::invalid`](crate::error::Error::invalid) with file and line, and what to write instead.
pub(crate) fn refuse_misused_window(sql: &SqlFile, plan: &LogicalPlan) -> Result<()> {
    let mut refusals = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        let schema = input_schema(node)?;
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                refusals.extend(closed_between(expression));
                for comparison in comparisons(expression, bound) {
                    if let Ok(data_type) = comparison.compared.get_type(&schema)
                        && !is_time(&data_type)
                    {
                        refusals.push(no_time(comparison.compared, &data_type));
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| sql.rejected(&error))?;
    // Both bounds are compared with the same column as a rule.
    refusals.dedup_by_key(|refusal: &mut Refusal| refusal.what);
    complain_of(&refusals, sql)
}

fn closed_between(expression: &Expr) -> Option<Refusal> {
    let Expr::Between(between) = expression else {
        return None;
    };
    matches!(bound(&between.high), Some((Bound::End, true))).then(|| Refusal {
        what: "BETWEEN includes `$window_end`, the first instant of the next cycle, whose rows would be \
               exported twice",
        hint: HALF_OPEN.to_owned(),
        near: between.expr.as_ref().clone(),
        words: &["between"],
    })
}

/// The types that have an order of instants. Other types are compared as text or as numbers.
fn is_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null
    )
}

fn no_time(near: Expr, data_type: &DataType) -> Refusal {
    let (what, hint) = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (
            "the window is compared with text, whose order is not that of time",
            "declare the column as TIMESTAMP, or write `CAST(… AS TIMESTAMP) >= $window_start`",
        ),
        _ if data_type.is_numeric() => (
            "the window is compared with a number, which is no instant",
            "declare the column as TIMESTAMP with the source's option `time_unit`, or write \
             `to_timestamp_millis(…) >= $window_start`",
        ),
        _ => (
            "the window is compared with what is not a timestamp",
            "compare it with a TIMESTAMP",
        ),
    };
    Refusal {
        what,
        hint: hint.to_owned(),
        near,
        words: &[WINDOW_START, WINDOW_END],
    }
}

/// Returns the exported column that the window of an incremental table selects by, if there is one.
///
/// # Errors
/// [`Error::invalid`](crate::error::Error::invalid) with file and line if a bound is closed on the wrong
/// side, or if no such column is exported and no scan has both exact bounds.
pub(crate) fn exported_window(
    sql: &SqlFile,
    input: &LogicalPlan,
) -> Result<Option<ExportedWindow>> {
    let windowed = Windowed::find(input).map_err(|error| sql.rejected(&error))?;
    if let Some(closed) = windowed.closed_wrongly() {
        let (what, words): (_, &[&str]) = match closed.bound {
            Bound::Start => (
                "`> $window_start` leaves out the first instant of the cycle",
                &[WINDOW_START],
            ),
            Bound::End => (
                "`<= $window_end` includes the first instant of the next cycle, whose rows would be \
                 exported twice",
                &[WINDOW_END],
            ),
        };
        let refusal = Refusal {
            what,
            hint: HALF_OPEN.to_owned(),
            near: closed.compared.clone(),
            words,
        };
        return Err(refusal.complaint(sql));
    }
    let exact = windowed.exact();
    let root = Node::root("", input);
    let exported = |origins: &[Expr]| {
        let fields = input.schema().fields().iter().enumerate();
        let mut times =
            fields.filter(|(_, field)| matches!(field.data_type(), DataType::Timestamp(..)));
        times.find_map(|(index, field)| {
            let is_windowed = root
                .origins(index)
                .iter()
                .any(|origin| origins.contains(origin));
            is_windowed.then(|| field.name().clone())
        })
    };
    let column = match exact.is_empty() {
        true => exported(&windowed.selecting()),
        false => exported(&exact),
    };
    if column.is_none() && exact.is_empty() && !windowed.subqueries_are_exact {
        let line = sql.parameters().get(WINDOW_START).copied();
        let complaint = sql.complaint(
            line.unwrap_or_else(|| sql.first_line()),
            "the query is not bound to the cycle: it exports no timestamp that it compares with the window, \
             and no column has both exact bounds",
        );
        return Err(complaint.with_hint(format!(
            "{HALF_OPEN} for a column of the source, joined by AND with the other conditions"
        )));
    }
    let is_nullable = root.all().iter().any(|node| has_outer_join(node.plan));
    Ok(column.map(|column| ExportedWindow {
        column,
        is_nullable,
    }))
}

fn has_outer_join(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Join(join)
            if matches!(join.join_type, JoinType::Left | JoinType::Right | JoinType::Full)
    )
}

/// The comparisons with the window in a plan.
struct Windowed {
    compared: Vec<Windowing>,
    /// True if a subquery of an expression has both exact bounds.
    subqueries_are_exact: bool,
}

/// A comparison with the window.
struct Windowing {
    comparison: Comparison,
    origins: Vec<Expr>,
    /// True if every row has to fulfil it.
    is_required: bool,
}

impl Windowed {
    fn find(plan: &LogicalPlan) -> Result<Self, DataFusionError> {
        let mut found = Self {
            compared: Vec::new(),
            subqueries_are_exact: false,
        };
        for node in Node::root("", plan).all() {
            let required = required_conditions(node.plan);
            node.plan.apply_expressions(|expression| {
                expression.apply(|expression| {
                    for comparison in comparisons(expression, |side| bound_at(&node, side)) {
                        found.compared.push(Windowing {
                            origins: node.origins_of(&comparison.compared),
                            is_required: required.contains(&expression),
                            comparison,
                        });
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
            node.plan.apply_subqueries(|subquery| {
                let inner = Self::find(subquery)?;
                found.subqueries_are_exact |=
                    inner.subqueries_are_exact || !inner.exact().is_empty();
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(found)
    }

    /// Returns the origins, and the columns that they are computed from, that are compared with both
    /// bounds in any way.
    fn selecting(&self) -> Vec<Expr> {
        let parts = self.compared.iter().map(|windowing| {
            let origins = windowing.origins.iter();
            let columns = origins.clone().flat_map(Expr::column_refs);
            let columns = columns.map(|column| Expr::Column(column.clone()));
            let parts: Vec<Expr> = origins.cloned().chain(columns).collect();
            (windowing.comparison.bound, parts)
        });
        with_both_bounds(&parts.collect::<Vec<_>>())
    }

    /// Returns the origins that are compared with both bounds by required comparisons that `selected`
    /// accepts.
    fn required(&self, selected: impl Fn(&Comparison) -> bool) -> Vec<Expr> {
        let compared = self.compared.iter();
        let accepted = compared
            .filter(|windowing| windowing.is_required && selected(&windowing.comparison))
            .map(|windowing| (windowing.comparison.bound, windowing.origins.clone()));
        with_both_bounds(&accepted.collect::<Vec<_>>())
    }

    /// Returns the origins of which every row has to lie in the window.
    fn exact(&self) -> Vec<Expr> {
        self.required(Comparison::is_exact_bound)
    }

    /// Returns a required comparison that is closed on the wrong side, of what is compared with both
    /// bounds as they are and has no exact one.
    fn closed_wrongly(&self) -> Option<&Comparison> {
        let both = self
            .required(|comparison| comparison.is_exact_bound() || comparison.is_closed_wrongly());
        let exact = self.exact();
        let mut compared = self.compared.iter();
        let closed = compared.find(|windowing| {
            let is_bound = |origin: &Expr| both.contains(origin) && exact.contains(origin).not();
            windowing.is_required
                && windowing.comparison.is_closed_wrongly()
                && windowing.origins.iter().any(is_bound)
        });
        closed.map(|windowing| &windowing.comparison)
    }
}

/// Returns the expressions that are compared with both bounds.
fn with_both_bounds(compared: &[(Bound, Vec<Expr>)]) -> Vec<Expr> {
    let at = |bound| {
        let of_bound = compared.iter().filter(move |(found, _)| *found == bound);
        of_bound.flat_map(|(_, expressions)| expressions)
    };
    at(Bound::Start)
        .filter(|start| at(Bound::End).any(|end| end == *start))
        .cloned()
        .collect()
}

/// Returns the conditions that every row that a node returns has fulfilled.
fn required_conditions(plan: &LogicalPlan) -> Vec<&Expr> {
    match plan {
        LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let filter = join.filter.as_ref();
            filter.map_or_else(Vec::new, split_conjunction)
        }
        _ => Vec::new(),
    }
}

/// Returns true if an operator compares two values of one type.
pub(crate) fn is_comparison(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Returns the comparisons with the window that an expression makes itself. `bound_of` finds the bound in
/// one of its sides.
fn comparisons(
    expression: &Expr,
    bound_of: impl Fn(&Expr) -> Option<(Bound, bool)>,
) -> Vec<Comparison> {
    let comparison = |compared: &Expr, operator, value: &Expr| {
        let (bound, is_exact) = bound_of(value)?;
        Some(Comparison {
            compared: compared.clone(),
            operator,
            bound,
            is_exact,
        })
    };
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            let as_written = comparison(left, *op, right);
            let swapped = op.swap().and_then(|op| comparison(right, op, left));
            as_written.into_iter().chain(swapped).collect()
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) => [(Operator::GtEq, low), (Operator::LtEq, high)]
            .into_iter()
            .filter_map(|(operator, value)| comparison(expr, operator, value))
            .collect(),
        Expr::InList(list) => {
            let values = list.list.iter();
            values
                .filter_map(|value| comparison(&list.expr, Operator::Eq, value))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the bound that an expression over the inputs of a node is made of, also if a subquery gave it a
/// name, a function moved it, or it is the date of the bound, which is as exact: cycles are whole days.
fn bound_at(node: &Node<'_>, expression: &Expr) -> Option<(Bound, bool)> {
    if let Expr::Column(_) = expression {
        return match node.origins_of(expression).as_slice() {
            [origin] => bound(origin),
            _ => None,
        };
    }
    if let Expr::Cast(cast) = expression
        && let Some(dated) = bound(&cast.expr)
    {
        return Some(dated);
    }
    bound(expression).or_else(|| Some((bound_inside(expression)?, false)))
}

/// Returns the first bound inside of an expression.
fn bound_inside(expression: &Expr) -> Option<Bound> {
    let mut found = None;
    // The closure never fails.
    let _ = expression.apply(|part| {
        found = found.or(bound(part).map(|(inside, _)| inside));
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Returns the bound that an expression is made of, and whether it is the bound as it is.
fn bound(expression: &Expr) -> Option<(Bound, bool)> {
    match expression {
        Expr::Placeholder(placeholder) => match placeholder.id.strip_prefix('$')? {
            WINDOW_START => Some((Bound::Start, true)),
            WINDOW_END => Some((Bound::End, true)),
            _ => None,
        },
        // A date is compared with text as a date.
        Expr::Cast(cast) => {
            let (inner, is_exact) = bound(&cast.expr)?;
            let is_date = matches!(cast.field.data_type(), DataType::Date32 | DataType::Date64);
            (!is_date).then_some((inner, is_exact))
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Plus | Operator::Minus,
            right,
        }) => {
            let (inner, _) = bound(left).or_else(|| bound(right))?;
            Some((inner, false))
        }
        _ => None,
    }
}
