//! Binds a definition to a cycle, before any source is read.

use std::collections::BTreeMap;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::engine::parameters::{parameter_values, window_column};
use crate::error::{Error, Result};
use crate::layout::FileFormat;
use crate::stage::{CopyContext, StageSpec, spec_of};

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
    let unbound = state
        .statement_to_plan(Statement::CopyTo(statement))
        .await
        .map_err(rejected)?;
    let context = CopyContext {
        window_column: window_column(&unbound).map_err(rejected)?,
        empty_file: definition.sync_mode == SyncMode::Snapshot,
    };
    let values = parameter_values(definition, &unbound, cycle, parameters)?;
    let bound = unbound.with_param_values(values).map_err(rejected)?;
    let LogicalPlan::Copy(copy) = bound else {
        return Err(Error::internal(format!(
            "{}: not a COPY",
            definition.sql.name()
        )));
    };
    let spec = spec_of(&copy, &context, state).map_err(rejected)?;
    let plan = LogicalPlan::Copy(copy);
    // Finds the errors that only type coercion finds.
    state.optimize(&plan).map_err(rejected)?;
    Ok(BoundDefinition {
        plan,
        spec,
        context,
    })
}

/// Binds the query of a definition to a cycle.
pub(super) async fn bind_query(
    state: &SessionState,
    definition: &Definition,
    cycle: Cycle,
    parameters: &BTreeMap<String, String>,
) -> Result<LogicalPlan> {
    let rejected = |error| definition.sql.rejected(&error);
    let query = SqlStatement::Query(Box::new(definition.query()?.clone()));
    let unbound = state
        .statement_to_plan(Statement::Statement(Box::new(query)))
        .await
        .map_err(rejected)?;
    let values = parameter_values(definition, &unbound, cycle, parameters)?;
    unbound.with_param_values(values).map_err(rejected)
}
