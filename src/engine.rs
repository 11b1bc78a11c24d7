//! Definition + cycle → a plan that ends in [`StageExec`](crate::stage::StageExec), and its execution.
//!
//! DataFusion parses, binds, plans and runs the whole `COPY`; this file puts in the sources, the
//! stage and the window.

#[cfg(feature = "cluster")]
mod distributed;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Statement as SqlStatement, Value};
use futures::TryStreamExt;

use crate::catalog::Sources;
use crate::cycle::{Cycle, SyncMode};
use crate::definition::{Definition, WINDOW_END, WINDOW_START};
use crate::encode::GzipLevel;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::layout::FileFormat;
use crate::scan::planned::PlannedSource;
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::scan::shared::barrier::Seat;
use crate::scan::shared::request::Offers;
use crate::stage::{
    Compressing, EMPTY_FILE_OPTION, Stage, StageFormats, StageSpec, WINDOW_COLUMN_OPTION,
    keep_partitions_apart, sort_joined_strings, spec_of, staged_files,
};
use crate::staged::StagedFile;
use crate::store::{self, Location, StoreOptions};

#[cfg(feature = "cluster")]
pub use distributed::Distribution;

/// What a machine gives to the queries and their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// For queries, sorts and open files together, in bytes.
    pub memory_limit: usize,
    /// Tasks a query is split into.
    pub parallelism: usize,
    /// Of JSON files whose definition gives none.
    pub gzip_level: GzipLevel,
}

/// The share of the memory that one sort may keep back.
const SORT_SHARE: usize = 128;

/// A session with all sources registered.
#[derive(Clone)]
pub struct Engine {
    state: SessionState,
    #[cfg(feature = "cluster")]
    distribution: Option<Arc<Distribution>>,
}

/// A definition bound to a cycle and checked, but not yet planned: no source has been looked at.
#[derive(Debug, Clone)]
pub struct Bound {
    plan: LogicalPlan,
    pub spec: StageSpec,
}

/// What staging a table came to.
#[derive(Debug)]
pub struct Staged {
    pub files: Vec<StagedFile>,
    pub sources: Vec<SourceScan>,
}

impl Engine {
    /// Opens a session over `sources`, which are found below `from`. Nothing is listed or read.
    pub async fn open(
        sources: &Sources,
        from: Option<&Location>,
        s3: &StoreOptions,
        settings: EngineSettings,
    ) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(settings.memory_limit)))
            .build_arc()
            .map_err(from_datafusion)?;
        let mut state = SessionStateBuilder::new()
            .with_config(config(settings))
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        StageFormats::register(&mut state, settings.gzip_level).map_err(from_datafusion)?;
        let context = SessionContext::new_with_state(state);

        let base = from.map(Location::url);
        for root in sources.locations(base)? {
            let location = Location::parse(root.as_str())?;
            let store = store::open_source(&location, s3).await?;
            context.register_object_store(&root, store);
        }
        sources.register(&context, base).await?;
        Ok(Self {
            state: context.state(),
            #[cfg(feature = "cluster")]
            distribution: None,
        })
    }

    /// The same engine, whose definitions are staged by a cluster.
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn distributed(self, distribution: Distribution) -> Self {
        Self {
            distribution: Some(Arc::new(distribution)),
            ..self
        }
    }

    /// The session, for queries beyond the definitions.
    pub fn session(&self) -> SessionContext {
        SessionContext::new_with_state(self.state.clone())
    }

    /// Binds a definition to a cycle, and checks what can be checked without looking at a source.
    /// Complaints name the definition's file and, where it is known, the line.
    pub async fn bind(
        &self,
        definition: &Definition,
        cycle: Cycle,
        parameters: &BTreeMap<String, String>,
        default_format: FileFormat,
    ) -> Result<Bound> {
        let complaint = |error| definition.sql.rejected(&error);
        let mut copy = definition.statement().clone();
        // The target only names the plan: where the files go is in the `Stage`.
        copy.target = format!("dayport://export/{}/", definition.table);
        let format = definition.format.unwrap_or(default_format);
        copy.stored_as = Some(format.to_string().to_ascii_uppercase());
        let empty_file = definition.sync_mode == SyncMode::Snapshot;
        copy.options.push((
            EMPTY_FILE_OPTION.to_owned(),
            Value::SingleQuotedString(empty_file.to_string()),
        ));
        let plan = self
            .state
            .statement_to_plan(Statement::CopyTo(copy))
            .await
            .map_err(complaint)?;
        let window_column = window_column(&plan).map_err(complaint)?;
        let values = parameter_values(definition, &plan, cycle, parameters)?;
        let plan = plan.with_param_values(values).map_err(complaint)?;
        let LogicalPlan::Copy(mut copy) = plan else {
            return Err(Error::internal(format!(
                "{}: not a COPY",
                definition.sql.name()
            )));
        };
        if let Some(column) = window_column {
            copy.options.insert(WINDOW_COLUMN_OPTION.to_owned(), column);
        }
        let spec = spec_of(&copy, &self.state).map_err(complaint)?;
        let plan = LogicalPlan::Copy(copy);
        // Finds what only type coercion finds.
        self.state.optimize(&plan).map_err(complaint)?;
        Ok(Bound { plan, spec })
    }

    /// The query of a definition, bound to a cycle.
    pub async fn bind_query(
        &self,
        definition: &Definition,
        cycle: Cycle,
        parameters: &BTreeMap<String, String>,
    ) -> Result<LogicalPlan> {
        let complaint = |error| definition.sql.rejected(&error);
        let query = SqlStatement::Query(Box::new(definition.query()?.clone()));
        let plan = self
            .state
            .statement_to_plan(Statement::Statement(Box::new(query)))
            .await
            .map_err(complaint)?;
        let values = parameter_values(definition, &plan, cycle, parameters)?;
        plan.with_param_values(values).map_err(complaint)
    }

    /// Plans and runs a bound definition. Its files are staged in `stage` when it returns; if it
    /// fails or is dropped, `stage` knows what to abort.
    ///
    /// With a seat, it waits for the other tables of the gathering before it runs, and shares with
    /// them the reading of a source.
    pub async fn stage(
        &self,
        bound: &Bound,
        stage: Arc<Stage>,
        scans: Arc<ScanLog>,
        seat: Option<Seat>,
    ) -> Result<Staged> {
        #[cfg(feature = "cluster")]
        if let Some(distribution) = &self.distribution {
            // Its tables are on their way to machines that share no reading.
            drop(seat);
            return distribution.stage(self, bound, &stage, &scans).await;
        }
        let offers = seat.as_ref().map(|_| Arc::new(Offers::default()));
        let state = self.state_with(|config| {
            let config = config
                .with_extension(stage)
                .with_extension(Arc::clone(&scans));
            match &offers {
                Some(offers) => config.with_extension(Arc::clone(offers)),
                None => config,
            }
        });
        let plan = state
            .create_physical_plan(&bound.plan)
            .await
            .and_then(keep_partitions_apart)
            .and_then(sort_joined_strings)
            .map_err(from_datafusion)?;
        if let (Some(seat), Some(offers)) = (seat, offers) {
            seat.come(&offers).await;
        }
        let files = run(&plan, &state).await?;
        scans.check_frozen(state.runtime_env()).await?;
        let sources = scans.report(&plan);
        Ok(Staged { files, sources })
    }
}

impl Engine {
    /// Plans a bound definition and tells what it would read. Sources are listed, footers of
    /// Parquet files read; no row is.
    pub async fn look(&self, bound: &Bound) -> Result<Vec<PlannedSource>> {
        let scans = ScanLog::new();
        let state = self.state_with(|config| config.with_extension(Arc::clone(&scans)));
        state
            .create_physical_plan(&bound.plan)
            .await
            .map_err(from_datafusion)?;
        scans.planned(state.runtime_env()).await
    }

    fn state_with(&self, extend: impl FnOnce(SessionConfig) -> SessionConfig) -> SessionState {
        // The catalog is shared: making the default one again would empty it.
        let config = self.state.config().clone();
        let config = config.with_create_default_catalog_and_schema(false);
        SessionStateBuilder::new_from_existing(self.state.clone())
            .with_config(extend(config))
            .build()
    }
}

async fn run(plan: &Arc<dyn ExecutionPlan>, state: &SessionState) -> Result<Vec<StagedFile>> {
    let batches = execute_stream(Arc::clone(plan), state.task_ctx()).map_err(from_datafusion)?;
    let batches: Vec<_> = batches.try_collect().await.map_err(from_datafusion)?;
    let mut files = Vec::new();
    for batch in &batches {
        files.extend(staged_files(batch)?);
    }
    Ok(files)
}

fn config(settings: EngineSettings) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.parallelism)
        .with_information_schema(true)
        .with_batch_size(batch_rows(settings.memory_limit))
        .with_extension(Arc::new(Compressing::new(settings.parallelism)));
    let options = config.options_mut();
    // `TIMESTAMP WITH TIME ZONE` is an instant; a day is a UTC day.
    options.execution.time_zone = Some("+00:00".to_owned());
    // Complaints name lines.
    options.sql_parser.collect_spans = true;
    // What a sort keeps back to merge in; many sorts share a small pool.
    options.execution.sort_spill_reservation_bytes =
        (settings.memory_limit / SORT_SHARE).min(10 << 20);
    config
}

/// A batch costs something for each column of each table, however few rows it has: where there is
/// memory, it has more than DataFusion's 8192.
fn batch_rows(memory_limit: usize) -> usize {
    const LIMIT_PER_ROW: usize = 128 << 10;
    (memory_limit / LIMIT_PER_ROW).clamp(8192, 32_768)
}

/// The column that the query compares with `$window_start`.
fn window_column(plan: &LogicalPlan) -> Result<Option<String>, DataFusionError> {
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

/// The window and the given parameters, in the types that the query compares them with.
fn parameter_values(
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
        let instant =
            ScalarValue::TimestampNanosecond(instant.timestamp_nanos_opt(), Some("+00:00".into()));
        let data_type = data_type.clone().unwrap_or(DataType::Timestamp(
            TimeUnit::Nanosecond,
            Some("+00:00".into()),
        ));
        let value = instant.cast_to(&data_type).map_err(|error| {
            Error::invalid(format!(
                "{}: `${name}` is compared with a {data_type}, and an instant is none",
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
