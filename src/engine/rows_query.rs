//! Queries over the rows of a table that is being exported, and over nothing else.

use std::sync::Arc;

use datafusion::catalog::{MemoryCatalogProviderList, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Query;

use crate::cycle::Cycle;
use crate::engine::Engine;
use crate::engine::binding::{check_plan, plan_unbound};
use crate::engine::local::bounded;
use crate::engine::parameters::bind_window;
use crate::engine::state;
use crate::engine_error::from_datafusion;
use crate::env;
use crate::error::{Error, Result};
use crate::refusal::refuse_misused_window;
use crate::spill_folder::SpillFolder;
use crate::sql_file::SqlFile;

/// The name of the table whose rows a query is about.
pub(crate) const THIS: &str = "this";

/// The advice about tables that a query over rows does not know.
const ONLY_THIS: &str = "the query reads the rows of its table alone, which are called `this`";

/// Gives an error without advice the one about tables, if it is about a table.
fn hinted(error: Error) -> Error {
    match error.hint() {
        None if error.to_string().contains("table") => error.with_hint(ONLY_THIS),
        _ => error,
    }
}

/// Refuses a statement that does more than to read, and a query that does not read the rows.
fn refuse_other_statements(sql: &SqlFile, plan: &LogicalPlan) -> Result<()> {
    let (mut reads_rows, mut writes) = (false, false);
    let walked = plan.apply_with_subqueries(|node| {
        reads_rows |= matches!(node, LogicalPlan::TableScan(_));
        writes |= matches!(
            node,
            LogicalPlan::Ddl(_)
                | LogicalPlan::Dml(_)
                | LogicalPlan::Copy(_)
                | LogicalPlan::Statement(_)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error| sql.rejected(&error))?;
    let what = match (writes, reads_rows) {
        (true, _) => "an audit only reads",
        (false, false) => "the audit does not read the rows of its table",
        (false, true) => return Ok(()),
    };
    Err(sql.complaint(sql.first_line(), what).with_hint(ONLY_THIS))
}

impl Engine {
    /// Binds a query over the rows of `this` to a cycle, checks it as definitions are checked, and optimizes it.
    ///
    /// # Errors
    /// [`Error::invalid`](crate::error::Error::invalid) with file and line.
    pub(crate) async fn bind_over_rows(
        &self,
        sql: &SqlFile,
        query: &Query,
        this: Arc<dyn TableProvider>,
        cycle: Cycle,
    ) -> Result<LogicalPlan> {
        let state = self.state_over_rows(this)?;
        let rejected = |error| hinted(sql.rejected(&error));
        let unbound = plan_unbound(&state, query).await.map_err(rejected)?;
        refuse_other_statements(sql, &unbound)?;
        refuse_misused_window(sql, &unbound)?;
        let bound = bind_window(unbound, cycle).map_err(rejected)?;
        let parameters = bound.get_parameter_names().map_err(rejected)?;
        if let Some(name) = parameters.into_iter().min() {
            let line = sql.first_line_of(name.trim_start_matches('$'));
            return Err(sql
                .complaint(line, format!("the parameter `{name}` has no value here"))
                .with_hint("an audit knows `$window_start` and `$window_end`"));
        }
        check_plan(&state, sql, &bound, cycle.end().max(env::wall_clock()))?;
        state.optimize(&bound).map_err(rejected)
    }

    /// Makes the physical plan of an optimized query, whose operators hold what the memory limit allows.
    pub(crate) async fn plan_over_rows(
        &self,
        optimized: &LogicalPlan,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
        // One task: joins in several, of which some failed for want of memory, waited for each other for ever.
        let state = state::extended(&self.state, |config| config.with_target_partitions(1));
        let planner = Arc::clone(state.query_planner());
        let plan = planner
            .create_physical_plan(optimized, &state)
            .await
            .and_then(bounded)
            .map_err(from_datafusion)?;
        Ok((plan, state.task_ctx()))
    }

    /// Returns the folder of the files that are spilled; `None` for the system's temporary folder.
    pub(crate) fn spill_folder(&self) -> Option<Arc<SpillFolder>> {
        self.state.config().get_extension::<SpillFolder>()
    }

    /// Returns true if the rows of a definition pass through this process.
    pub(crate) fn sees_rows(&self) -> bool {
        self.runner.sees_rows()
    }

    fn state_over_rows(&self, this: Arc<dyn TableProvider>) -> Result<SessionState> {
        // A catalog of its own: the sources are not in it.
        let state = SessionStateBuilder::new_from_existing(self.state.clone())
            .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
            .with_config(
                self.state
                    .config()
                    .clone()
                    .with_create_default_catalog_and_schema(true)
                    .with_information_schema(false),
            )
            .build();
        let context = SessionContext::new_with_state(state);
        context
            .register_table(THIS, this)
            .map_err(from_datafusion)?;
        Ok(context.state())
    }
}
