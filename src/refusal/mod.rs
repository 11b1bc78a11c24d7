//! Queries that DataFusion answers wrongly without an error, or that are not bound to the cycle, refused
//! before anything is read.
//!
//! ```text
//! LogicalPlan ─subqueries, expressions→ ┐
//! tokens of the SQL file ─literals────→ ├ complaint with file and line, and what to write instead
//! types of the plan ─zones────────────→ ┤
//! exported columns ─names, window─────→ ┘
//! ```
//! A rule about a wrong answer goes when DataFusion has corrected what it refuses. `docs/refused.md` lists them with
//! DataFusion's issues.

mod expressions;
mod joins;
mod lineage;
mod literals;
mod mixed_types;
mod names;
mod position;
mod schema;
mod set_operations;
mod subqueries;
mod volatile;
mod window;
mod zones;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;

use crate::error::{Error, Result};
use crate::refusal::position::Refusal;
use crate::sql_file::SqlFile;

pub(crate) use mixed_types::refuse_mixed_types;
pub(crate) use names::refuse_unnamed;
pub(crate) use schema::input_schema;
pub(crate) use volatile::volatile_functions;
pub(crate) use window::{exported_window, is_comparison, refuse_misused_window};
pub(crate) use zones::refuse_outdated_zones;

/// Refuses the statement of `sql`, whose plan is not optimized yet, if its result would be wrong.
///
/// # Errors
/// [`Error::invalid`] with file and line, and what to write instead.
pub(crate) fn refuse_wrong_results(sql: &SqlFile, plan: &LogicalPlan) -> Result<()> {
    literals::refuse_rounded(sql)?;
    set_operations::refuse_counting(sql)?;
    let mut refusals = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        let schema = input_schema(node)?;
        subqueries::visit(node, &mut refusals);
        refusals.extend(joins::refusal(node));
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                refusals.extend(expressions::refusal(expression, &schema));
                refusals.extend(subqueries::exists_of_aggregate(expression));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| sql.rejected(&error))?;
    complain_of(&refusals, sql)
}

/// Refuses an optimized plan that cannot run, or that rounds what it should not.
///
/// # Errors
/// [`Error::invalid`] with file and line, and what to write instead.
pub(crate) fn refuse_unplannable(sql: &SqlFile, optimized: &LogicalPlan) -> Result<()> {
    let mut refusals = Vec::new();
    let walked = optimized.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                refusals.extend(subqueries::unplannable(expression));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| sql.rejected(&error))?;
    complain_of(&refusals, sql)
}

fn complain_of(refusals: &[Refusal], sql: &SqlFile) -> Result<()> {
    let complaints = refusals.iter().map(|refusal| refusal.complaint(sql));
    Error::all(complaints.collect())
}
