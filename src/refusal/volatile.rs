//! Functions whose value is another one when the same cycle is run again.

use std::collections::BTreeSet;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

/// Functions that depend on the files of the source alone.
const OF_THE_SOURCE: [&str; 2] = ["file_row_index", "input_file_name"];

/// Returns the names of the functions in a plan that depend on the time or on chance, such as `now`,
/// `random` and `uuid`.
pub(crate) fn volatile_functions(plan: &LogicalPlan) -> Result<BTreeSet<String>, DataFusionError> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::ScalarFunction(function) = expression
                    && function.func.signature().volatility != Volatility::Immutable
                    && !OF_THE_SOURCE.contains(&function.name())
                {
                    names.insert(function.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names)
}
