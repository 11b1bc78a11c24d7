//! The window and the parameters of a definition, as values that its query is bound to.

use std::collections::{BTreeMap, HashMap};

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan};

use crate::cycle::Cycle;
use crate::definition::{Definition, WINDOW_END, WINDOW_START};
use crate::error::{Error, Result};

/// Finds the column that the query compares with `$window_start`.
pub(super) fn window_column(plan: &LogicalPlan) -> Result<Option<String>, DataFusionError> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::BinaryExpr(BinaryExpr { left, right, .. }) = expression {
                    let sides = [(left, right), (right, left)];
                    found = found.take().or_else(|| {
                        sides.into_iter().find_map(|(column, value)| {
                            is_window_start(value)
                                .then(|| column_name(column))
                                .flatten()
                        })
                    });
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn is_window_start(expression: &Expr) -> bool {
    match expression {
        Expr::Placeholder(placeholder) => placeholder.id.strip_prefix('$') == Some(WINDOW_START),
        Expr::Cast(cast) => is_window_start(&cast.expr),
        _ => false,
    }
}

fn column_name(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Column(column) => Some(column.name.clone()),
        Expr::Cast(cast) => column_name(&cast.expr),
        _ => None,
    }
}

/// Returns the window and the given parameters, in the types that the query compares them with.
///
/// # Errors
/// [`Error::invalid`] if a parameter is missing or not of its type, or if the window is compared with
/// something that is not a timestamp.
pub(super) fn parameter_values(
    definition: &Definition,
    plan: &LogicalPlan,
    cycle: Cycle,
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
    for (name, instant) in [(WINDOW_START, cycle.start()), (WINDOW_END, cycle.end())] {
        let Some(data_type) = types.get(name) else {
            continue;
        };
        let timestamp =
            ScalarValue::TimestampNanosecond(instant.timestamp_nanos_opt(), Some("+00:00".into()));
        let target_type = data_type.clone().unwrap_or(DataType::Timestamp(
            TimeUnit::Nanosecond,
            Some("+00:00".into()),
        ));
        let value = timestamp.cast_to(&target_type).map_err(|error| {
            Error::invalid(format!(
                "{}: `${name}` is a timestamp, and is compared with a {target_type}",
                definition.sql.name()
            ))
            .with_source(error)
            .with_hint("compare it with a timestamp")
        })?;
        values.insert(name.to_owned(), value);
    }
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
