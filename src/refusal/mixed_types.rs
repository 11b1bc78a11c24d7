//! A double and a decimal in one column, for which DataFusion rounds the double to 15 digits after the
//! point.

use std::collections::BTreeMap;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::error::{Error, Result};
use crate::refusal::position::Refusal;
use crate::refusal::schema::input_schema;
use crate::sql_file::SqlFile;

/// The operands of the casts from floating point to each decimal type.
type Rounded = BTreeMap<String, Vec<Expr>>;

/// Refuses a plan if type coercion has added casts of doubles to decimals. `analyzed` is the plan
/// after it.
///
/// # Errors
/// [`Error::invalid`] with file and line, and what to write instead.
pub(crate) fn refuse_mixed_types(
    sql: &SqlFile,
    plan: &LogicalPlan,
    analyzed: &LogicalPlan,
) -> Result<()> {
    let rejected = |error| sql.rejected(&error);
    let written = rounded(plan).map_err(rejected)?;
    let refusals = rounded(analyzed).map_err(rejected)?.into_iter();
    let added = refusals.filter_map(|(data_type, mut operands)| {
        let count = written.get(&data_type).map_or(0, Vec::len);
        (operands.len() > count).then(|| operands.pop()).flatten()
    });
    let complaints = added.map(|operand| {
        Refusal {
            what: "a DOUBLE and a DECIMAL become one column, which rounds the DOUBLE to 15 digits after \
                   the point",
            hint: "write `CAST(… AS DOUBLE)` around one of them, or `CAST(… AS DECIMAL(p, s))` around the \
                   other"
                .to_owned(),
            near: operand,
            words: &["case", "coalesce", "union"],
        }
        .complaint(sql)
    });
    Error::all(complaints.collect())
}

fn rounded(plan: &LogicalPlan) -> Result<Rounded, DataFusionError> {
    let mut rounded = Rounded::new();
    plan.apply_with_subqueries(|node| {
        let schema = input_schema(node)?;
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::Cast(cast) = expression
                    && cast.field.data_type().is_decimal()
                    && !matches!(cast.expr.as_ref(), Expr::Literal(..))
                    && cast
                        .expr
                        .get_type(&schema)
                        .is_ok_and(|from| from.is_floating())
                {
                    let operands = rounded.entry(cast.field.data_type().to_string());
                    operands.or_default().push(cast.expr.as_ref().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(rounded)
}
