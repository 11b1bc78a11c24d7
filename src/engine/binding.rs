//! Binds a definition to a cycle, before any source is read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::common::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::engine::bounded::refuse_large_constants;
use crate::engine::parameters::{bind_window, parameter_values, type_moved_bounds};
use crate::engine_error::from_datafusion;
use crate::env;
use crate::error::{Error, Result};
use crate::layout::FileFormat;
use crate::memory_budget::MemoryBudget;
use crate::refusal::{
    exported_window, refuse_misused_window, refuse_mixed_types, refuse_outdated_zones,
    refuse_unnamed, refuse_unplannable, refuse_wrong_results, volatile_functions,
};
use crate::sql_file::SqlFile;
use crate::stage::{CopyContext, StageSpec, WindowColumn, spec_of};

/// The time after a cycle in which its rows may still be, in the local time of a zone.
const DAY: TimeDelta = TimeDelta::days(1);

/// A definition that is bound to a cycle and checked, but not planned: no source has been read.
#[derive(Debug, Clone)]
pub struct BoundDefinition {
    /// The `COPY` with the values of its parameters.
    pub plan: LogicalPlan,
    /// The settings of the files that it writes.
    pub spec: StageSpec,
    /// The properties of the export that the plan does not hold, for the session that runs it.
    pub context: CopyContext,
}

impl BoundDefinition {
    /// Returns the query of the `COPY`.
    pub(crate) fn query(&self) -> Result<&LogicalPlan> {
        match &self.plan {
            LogicalPlan::Copy(copy) => Ok(&copy.input),
            _ => Err(Error::internal("a bound definition is no COPY")),
        }
    }

    /// Returns the functions of the query whose value is another one when the cycle is run again.
    pub(crate) fn volatile_functions(&self) -> Result<BTreeSet<String>> {
        volatile_functions(&self.plan).map_err(from_datafusion)
    }
}

/// Binds a definition to a cycle, and checks everything that can be checked without reading a source.
/// Errors name the definition's file and, where it is known, the line.
pub(super) async fn bind(
    state: &SessionState,
    definition: &Definition,
    cycle: Cycle,
    parameters: &BTreeMap<String, String>,
    default_format: FileFormat,
) -> Result<BoundDefinition> {
    let rejected = |error| definition.sql.rejected(&error);
    let mut statement = definition.statement().clone();
    // The target is a label only: the files go to the destination of the staging session.
    statement.target = format!("dayport://export/{}/", definition.table);
    let format = definition.format.unwrap_or(default_format);
    statement.stored_as = Some(format.to_string().to_ascii_uppercase());
    if let CopyToSource::Query(query) = &mut statement.source {
        type_moved_bounds(query);
    }
    let unbound = state
        .statement_to_plan(Statement::CopyTo(statement))
        .await
        .map_err(rejected)?;
    let context = copy_context(definition, &unbound, cycle)?;
    let bound = bind_values(definition, unbound, cycle, parameters)?;
    let LogicalPlan::Copy(copy) = bound else {
        return Err(no_copy(definition));
    };
    let spec = spec_of(&copy, &context, state).map_err(rejected)?;
    let plan = LogicalPlan::Copy(copy);
    check_plan(
        state,
        &definition.sql,
        &plan,
        last_instant(definition, cycle),
    )?;
    Ok(BoundDefinition {
        plan,
        spec,
        context,
    })
}

/// Checks the names and the window of an export, and returns what its `COPY` cannot express.
fn copy_context(
    definition: &Definition,
    unbound: &LogicalPlan,
    cycle: Cycle,
) -> Result<CopyContext> {
    let LogicalPlan::Copy(copy) = unbound else {
        return Err(no_copy(definition));
    };
    refuse_misused_window(&definition.sql, &copy.input)?;
    refuse_unnamed(&definition.sql, &copy.input)?;
    let is_incremental = definition.sync_mode == SyncMode::Incremental;
    let exported = match is_incremental {
        true => exported_window(&definition.sql, &copy.input)?,
        false => None,
    };
    Ok(CopyContext {
        window: exported.map(|exported| WindowColumn {
            name: exported.column,
            start: cycle.start(),
            end: cycle.end(),
            is_nullable: exported.is_nullable,
        }),
        empty_file: !is_incremental,
        null_partitions: definition.null_partitions.clone(),
    })
}

fn no_copy(definition: &Definition) -> Error {
    Error::internal(format!("{}: not a COPY", definition.sql.name()))
}

/// Puts the window and the parameters into a plan.
fn bind_values(
    definition: &Definition,
    unbound: LogicalPlan,
    cycle: Cycle,
    parameters: &BTreeMap<String, String>,
) -> Result<LogicalPlan> {
    let rejected = |error| definition.sql.rejected(&error);
    let windowed = bind_window(unbound, cycle).map_err(rejected)?;
    let values = parameter_values(definition, &windowed, parameters)?;
    windowed.with_param_values(values).map_err(rejected)
}

/// Plans a query whose window and parameters have no values yet.
pub(super) async fn plan_unbound(
    state: &SessionState,
    query: &Query,
) -> Result<LogicalPlan, DataFusionError> {
    let mut query = query.clone();
    type_moved_bounds(&mut query);
    let query = SqlStatement::Query(Box::new(query));
    let statement = Statement::Statement(Box::new(query));
    state.statement_to_plan(statement).await
}

/// Binds the query of a definition to a cycle.
pub(super) async fn bind_query(
    state: &SessionState,
    definition: &Definition,
    cycle: Cycle,
    parameters: &BTreeMap<String, String>,
) -> Result<LogicalPlan> {
    let rejected = |error| definition.sql.rejected(&error);
    let unbound = plan_unbound(state, definition.query()?)
        .await
        .map_err(rejected)?;
    refuse_misused_window(&definition.sql, &unbound)?;
    let bound = bind_values(definition, unbound, cycle, parameters)?;
    check_plan(
        state,
        &definition.sql,
        &bound,
        last_instant(definition, cycle),
    )?;
    Ok(bound)
}

/// Returns the instant up to which the rows of a definition lie: the window's end, or without a window
/// the present, since the rows of a snapshot may be newer than its cycle.
fn last_instant(definition: &Definition, cycle: Cycle) -> DateTime<Utc> {
    match definition.sync_mode {
        SyncMode::Incremental => cycle.end(),
        SyncMode::Snapshot => cycle.end().max(env::wall_clock()),
    }
}

/// Checks everything about a plan that can be checked without reading a source. Its rows are from times
/// up to `last`.
///
/// # Errors
/// [`Error::invalid`] with file and line.
pub(super) fn check_plan(
    state: &SessionState,
    sql: &SqlFile,
    plan: &LogicalPlan,
    last: DateTime<Utc>,
) -> Result<()> {
    refuse_wrong_results(sql, plan)?;
    refuse_outdated_zones(sql, plan, last + DAY)?;
    let rejected = |error| sql.rejected(&error);
    let options = state.config_options();
    let analyzed = state
        .analyzer()
        .execute_and_check(plan.clone(), options, |_, _| {})
        .map_err(rejected)?;
    refuse_mixed_types(sql, plan, &analyzed)?;
    // Finds the errors that only type coercion finds.
    let optimized = state.optimize(plan).map_err(|error| sql.rejected(&error))?;
    refuse_unplannable(sql, &optimized)?;
    let budget = MemoryBudget::of(&*state.runtime_env().memory_pool);
    refuse_large_constants(
        sql,
        &optimized,
        budget.function_bytes(),
        budget.batch_rows(),
    )
}
