//! Arithmetic and sums that fail on overflow, where DataFusion's wrap around, and exact comparisons of
//! decimals.
//!
//! ```text
//! definition ─parser→ BinaryExpr ─CompareDecimals→ ─type coercion→ ─CheckArithmetic→ checked_add(…) …
//! sum(…) ─function registry→ CheckedSum over DataFusion's own sum of a wider type
//! ```
//! DataFusion's own switch, `BinaryExpr::with_fail_on_overflow`, exists for physical expressions only
//! and is lost when a plan is sent to another machine. Functions are part of both plans.

mod arithmetic;
mod decimal_comparison;
mod rule;
mod sum;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
#[cfg(feature = "cluster")]
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::optimizer::{Analyzer, AnalyzerRule};

/// Returns DataFusion's rules for new plans, with those that make comparisons exact and arithmetic
/// fail on overflow.
pub(super) fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(decimal_comparison::CompareDecimals));
    rules.push(Arc::new(rule::CheckArithmetic));
    rules
}

/// Replaces the aggregate functions of a session that wrap around.
pub(super) fn register_functions(state: &mut SessionState) -> Result<()> {
    state.register_udaf(sum::checked_sum())?;
    Ok(())
}

/// Returns the checked scalar function of a name, for a plan that came from another machine.
#[cfg(feature = "cluster")]
pub(crate) fn scalar_function(name: &str) -> Option<Arc<ScalarUDF>> {
    arithmetic::CheckedOperation::from_function_name(name).map(arithmetic::checked)
}

/// Returns the checked sum, for a plan that came from another machine.
#[cfg(feature = "cluster")]
pub(crate) fn aggregate_function() -> Arc<AggregateUDF> {
    sum::checked_sum()
}

/// Returns whether a function is the checked sum, which has the name of DataFusion's own.
#[cfg(feature = "cluster")]
pub(crate) fn is_checked_aggregate(function: &AggregateUDF) -> bool {
    function.inner().downcast_ref::<sum::CheckedSum>().is_some()
}
