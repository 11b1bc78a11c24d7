//! Definition + cycle → a plan that ends in [`StagedWriteExec`](crate::stage::StagedWriteExec), and
//! its execution.
//!
//! DataFusion parses, binds, plans and runs the whole `COPY`; this module adds the sources, the
//! staging session and the window.
//!
//! ```text
//! Definition + Cycle ─binding, parameters→ BoundDefinition ─runner→ physical plan → staged files
//!    local runner: the plan is rewritten by split_pushdown, sort_strings, wide_exchange, wide_rows and
//!    window_memory, and runs in this process
//! ```

mod balance;
mod binding;
pub(crate) mod bounded;
pub(crate) mod checked;
mod counted_filter;
pub(crate) mod line_rows;
mod local;
mod open_rows;
mod parameters;
pub(crate) mod row_digest;
pub(crate) mod rows_query;
mod runner;
mod sort_strings;
mod source_names;
mod split_pushdown;
mod state;
mod wide_exchange;
mod wide_rows;
mod window_memory;
mod wrapped_node;

pub use binding::BoundDefinition;
pub use local::{LocalRunner, collect_staged_files, plan_scans};
pub(crate) use open_rows::{OpenRows, ScannedRows};
pub use row_digest::RowDigest;
pub use runner::{PlanRunner, Staged, Staging, StagingJob};
pub use state::{EngineSettings, extend_config};

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use crate::catalog::Sources;
use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::env;
use crate::error::Result;
use crate::layout::FileFormat;
use crate::listing::memo::ListingMemo;
use crate::listing::snapshot::SnapshotFile;
use crate::scan::planned::PlannedSource;
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::scan::windowed::windowed_files;
use crate::scan::{AwaitRule, KeepRejects, MissingFiles};
use crate::sql_file::SqlFile;
use crate::store::{self, Location, StoreClocks, StoreOptions};

/// A session with all sources registered, which stages definitions.
#[derive(Clone)]
pub struct Engine {
    state: SessionState,
    runner: Arc<dyn PlanRunner>,
}

impl Engine {
    /// Opens a session over `sources`, which are found below `from`. Nothing is listed or read.
    pub async fn open(
        sources: &Sources,
        from: Option<&Location>,
        s3: &StoreOptions,
        settings: EngineSettings,
    ) -> Result<Self> {
        let mut state = state::new_state(&settings)?;
        let base = from.map(Location::url);
        let mut clocks = StoreClocks::default();
        for root in sources.locations(base)? {
            let location = Location::parse(root.as_str())?;
            let opened = store::open_source(&location, s3).await?;
            state
                .runtime_env()
                .register_object_store(&root, opened.store);
            clocks.add(&root, opened.clock);
        }
        state.config_mut().set_extension(Arc::new(clocks));
        let context = SessionContext::new_with_state(state);
        sources.register(&context, base).await?;
        Ok(Self {
            state: context.state(),
            runner: Arc::new(LocalRunner),
        })
    }

    /// Returns the same engine, whose definitions are staged by `runner`.
    #[must_use]
    pub fn with_runner(self, runner: Arc<dyn PlanRunner>) -> Self {
        Self { runner, ..self }
    }

    /// Returns the session, for queries beyond the definitions.
    pub fn session(&self) -> SessionContext {
        SessionContext::new_with_state(self.state.clone())
    }

    /// Returns the session, for a query whose scans are recorded in `scans`, which is empty.
    pub(crate) fn recorded_session(&self, scans: &Arc<ScanLog>) -> SessionContext {
        SessionContext::new_with_state(state::extended(&self.state, |config| {
            config.with_extension(Arc::clone(scans))
        }))
    }

    /// Binds a definition to a cycle, and checks everything that can be checked without reading a
    /// source. Errors name the definition's file and, where it is known, the line.
    pub async fn bind(
        &self,
        definition: &Definition,
        cycle: Cycle,
        parameters: &BTreeMap<String, String>,
        default_format: FileFormat,
    ) -> Result<BoundDefinition> {
        binding::bind(&self.state, definition, cycle, parameters, default_format).await
    }

    /// Binds the query of a definition to a cycle.
    pub async fn bind_query(
        &self,
        definition: &Definition,
        cycle: Cycle,
        parameters: &BTreeMap<String, String>,
    ) -> Result<LogicalPlan> {
        binding::bind_query(&self.state, definition, cycle, parameters).await
    }

    /// Checks the plan of a query beyond the definitions, as [`Self::bind`] checks those. The zones of
    /// times are checked up to the end of `cycle`, and up to the present.
    pub(crate) fn check_query(
        &self,
        sql: &SqlFile,
        plan: &LogicalPlan,
        cycle: Cycle,
    ) -> Result<()> {
        let last = cycle.end().max(env::wall_clock());
        binding::check_plan(&self.state, sql, plan, last)
    }

    /// Plans and runs a bound definition. Its files are staged when this returns; if it fails or is
    /// dropped, the staging session knows what to abort.
    pub async fn stage(&self, job: StagingJob<'_>) -> Result<Staging> {
        self.runner.run(&self.state, job).await
    }

    /// Lists the files that a bound definition would read now of each source that it reads by the cycle. A
    /// source that it reads whole, by one of its scans, is left out. No file is read, and no folder is listed
    /// whose listing is in the memo.
    pub(crate) async fn list_sources(
        &self,
        bound: &BoundDefinition,
        memo: Arc<ListingMemo>,
    ) -> Result<BTreeMap<String, Vec<SnapshotFile>>> {
        let state = extend_config(&self.state, bound, |config| config.with_extension(memo));
        windowed_files(&state, &bound.plan).await
    }

    /// Computes the digest of the rows of a bound definition, as a run would read them, and returns it with
    /// what was read. `columns` are those of the published table: the rows are compared in their types.
    pub async fn digest_rows(
        &self,
        bound: &BoundDefinition,
        scans: Arc<ScanLog>,
        columns: &SchemaRef,
    ) -> Result<(RowDigest, Vec<SourceScan>)> {
        let OpenRows { stream, scanned } = self.open_rows(bound, scans).await?;
        let digest = row_digest::of(stream, columns).await?;
        Ok((digest, scanned.finish().await?))
    }

    /// Plans a bound definition and begins to run its query, whose rows nothing writes.
    pub(crate) async fn open_rows(
        &self,
        bound: &BoundDefinition,
        scans: Arc<ScanLog>,
    ) -> Result<OpenRows> {
        OpenRows::new(&self.state, bound, scans).await
    }

    /// Plans a bound definition and returns what it would read, and the files that are missing. Lists the
    /// sources and reads the footers of Parquet files, but no row.
    pub async fn plan_sources(
        &self,
        bound: &BoundDefinition,
        rule: AwaitRule,
    ) -> Result<(Vec<PlannedSource>, MissingFiles)> {
        let scans = ScanLog::for_cycle(rule, KeepRejects::Nothing);
        let state = extend_config(&self.state, bound, |config| {
            config.with_extension(Arc::clone(&scans))
        });
        let (_, missing) = plan_scans(&state, bound, &scans).await?;
        Ok((scans.planned(state.runtime_env()).await?, missing))
    }
}
