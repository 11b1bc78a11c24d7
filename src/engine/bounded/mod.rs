//! Functions whose results may be much larger than their arguments, with a bound on these results.
//!
//! ```text
//! repeat(…), lpad(…), range(…) … ─registry→ BoundedFunction ─size of the result→ DataFusion's own, or an error
//! string_agg(…), array_agg(…)   ─registry→ BoundedAggregate ─size of the group→ DataFusion's own, or an error
//! optimized plan ─constants────→ complaint about a result that has no bound, or that would be in every row
//! ```
//! DataFusion computes `repeat('a', 1000000000)` while it plans, and 8,192 such values for a batch; neither
//! is accounted for in a memory pool.

mod aggregate;
mod constants;
mod function;
mod growth;
mod sizes;

#[cfg(feature = "cluster")]
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
#[cfg(feature = "cluster")]
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::SessionState;
#[cfg(feature = "cluster")]
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(super) use constants::refuse_large_constants;

/// Replaces the functions of a session that may grow without a bound: the result of a function for a
/// batch, and the result of an aggregate for a group, have at most `max_bytes` each.
pub(super) fn register_functions(state: &mut SessionState, max_bytes: u64) -> Result<()> {
    for name in growth::FUNCTIONS {
        let function = state.udf(name)?;
        state.register_udf(function::bounded(function, max_bytes))?;
    }
    for name in aggregate::FUNCTIONS {
        let function = state.udaf(name)?;
        state.register_udaf(aggregate::bounded(function, max_bytes))?;
    }
    Ok(())
}

/// Returns the bound of a function, if it has one.
#[cfg(feature = "cluster")]
pub(crate) fn max_bytes_of_function(function: &ScalarUDF) -> Option<u64> {
    let bounded = function
        .inner()
        .downcast_ref::<function::BoundedFunction>()?;
    Some(bounded.max_bytes())
}

/// Returns the bound of an aggregate function, if it has one.
#[cfg(feature = "cluster")]
pub(crate) fn max_bytes_of_aggregate(function: &AggregateUDF) -> Option<u64> {
    let bounded = function
        .inner()
        .downcast_ref::<aggregate::BoundedAggregate>()?;
    Some(bounded.max_bytes())
}

/// Returns the bounded function of a name, for a plan that came from another machine.
#[cfg(feature = "cluster")]
pub(crate) fn scalar_function(name: &str, max_bytes: u64) -> Option<Arc<ScalarUDF>> {
    let mut functions = SessionStateDefaults::default_scalar_functions().into_iter();
    let function = functions.find(|function| function.name() == name)?;
    Some(function::bounded(function, max_bytes))
}

/// Returns the bounded aggregate function of a name, for a plan that came from another machine.
#[cfg(feature = "cluster")]
pub(crate) fn aggregate_function(name: &str, max_bytes: u64) -> Option<Arc<AggregateUDF>> {
    let mut functions = SessionStateDefaults::default_aggregate_functions().into_iter();
    let function = functions.find(|function| function.name() == name)?;
    Some(aggregate::bounded(function, max_bytes))
}
