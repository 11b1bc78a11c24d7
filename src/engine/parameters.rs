//! The window and the parameters of a definition, as values that its query is bound to.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType as SqlType, Expr as SqlExpr, Query, TimezoneInfo, Value,
    ValueWithSpan, visit_expressions_mut,
};

use crate::cycle::Cycle;
use crate::definition::{Definition, WINDOW_END, WINDOW_START};
use crate::error::{Error, Result};

/// Casts the bounds of the window to timestamps where a query moves them, as in
/// `$window_start - INTERVAL '1 hour'`: the planner would take them for intervals.
pub(super) fn type_moved_bounds(query: &mut Query) {
    // The closure never breaks.
    let _ = visit_expressions_mut(query, |expression| {
        if let SqlExpr::BinaryOp {
            left,
            op: BinaryOperator::Plus | BinaryOperator::Minus,
            right,
        } = expression
        {
            for side in [left, right] {
                if is_bound(side) {
                    **side = as_timestamp(side.clone());
                }
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

fn as_timestamp(expr: Box<SqlExpr>) -> SqlExpr {
    SqlExpr::Cast {
        kind: CastKind::Cast,
        expr,
        data_type: SqlType::Timestamp(None, TimezoneInfo::None),
        array: false,
        format: None,
    }
}

fn is_bound(expression: &SqlExpr) -> bool {
    matches!(
        expression,
        SqlExpr::Value(ValueWithSpan { value: Value::Placeholder(name), .. })
            if is_window(name)
    )
}

fn is_window(placeholder: &str) -> bool {
    let name = placeholder.strip_prefix('$');
    name == Some(WINDOW_START) || name == Some(WINDOW_END)
}

/// Binds the bounds of the window, each use in the type that it is compared with.
///
/// # Errors
/// Fails if a bound is compared with something that it cannot be cast to.
pub(super) fn bind_window(plan: LogicalPlan, cycle: Cycle) -> Result<LogicalPlan, DataFusionError> {
    let bound = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let bound = node.map_expressions(|expression| {
            let name = names.save(&expression);
            let bound = expression.transform_up(|part| match part {
                Expr::Placeholder(placeholder) if is_window(&placeholder.id) => {
                    let value = window_value(&placeholder, cycle)?;
                    Ok(Transformed::yes(Expr::Literal(value, None)))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(match bound.transformed {
                true => bound.update_data(|expression| name.restore(expression)),
                false => bound,
            })
        })?;
        match bound.transformed {
            true => bound.map_data(LogicalPlan::recompute_schema),
            false => Ok(bound),
        }
    })?;
    Ok(bound.data)
}

fn window_value(placeholder: &Placeholder, cycle: Cycle) -> Result<ScalarValue, DataFusionError> {
    let is_start = placeholder.id.strip_prefix('$') == Some(WINDOW_START);
    let instant = match is_start {
        true => cycle.start(),
        false => cycle.end(),
    };
    let timestamp =
        ScalarValue::TimestampNanosecond(instant.timestamp_nanos_opt(), Some("+00:00".into()));
    match placeholder.field.as_ref().map(|field| field.data_type()) {
        None | Some(DataType::Null) => Ok(timestamp),
        Some(target) => timestamp.cast_to(target).map_err(|error| {
            let what = format!(
                "`{}` is a timestamp, and is compared with a {target}",
                placeholder.id
            );
            let error = Error::invalid(what).with_source(error);
            error.with_hint("compare it with a timestamp").into()
        }),
    }
}

/// Returns the given parameters, in the types that the query compares them with. The window is bound
/// already.
///
/// # Errors
/// [`Error::invalid`] if a parameter is missing or not of its type.
pub(super) fn parameter_values(
    definition: &Definition,
    plan: &LogicalPlan,
    given: &BTreeMap<String, String>,
) -> Result<HashMap<String, ScalarValue>> {
    let mut types = HashMap::new();
    let inferred = plan
        .get_parameter_types()
        .map_err(|error| definition.sql.rejected(&error))?;
    for (name, data_type) in inferred {
        types.insert(name.trim_start_matches('$').to_owned(), data_type);
    }
    let mut values = HashMap::new();
    for (name, line) in &definition.parameters {
        let file = definition.sql.name();
        let text = given.get(name).ok_or_else(|| {
            Error::invalid(format!(
                "{file}:{line}: the parameter `${name}` has no value"
            ))
            .with_hint(format!("give it with --param {name}=VALUE"))
        })?;
        let data_type = types.get(name).cloned().flatten();
        let value = match data_type {
            None => ScalarValue::from(text.as_str()),
            Some(data_type) => {
                ScalarValue::try_from_string(text.clone(), &data_type).map_err(|error| {
                    Error::invalid(format!(
                        "{file}:{line}: the parameter `{name}={text}` is not a {data_type}"
                    ))
                    .with_source(error)
                })?
            }
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}
