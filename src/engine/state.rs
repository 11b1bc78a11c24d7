//! The session of an engine, before its sources are registered.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use tracing::warn;

use crate::codec::deflate::GzipLevel;
use crate::engine::binding::BoundDefinition;
use crate::engine::{bounded, checked};
use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::memory_budget::MemoryBudget;
use crate::spill_folder::SpillFolder;
use crate::stage::{CompressionLimit, StageFormats};

/// The resources that a machine allots to queries and their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The memory limit for queries, sorts and open files together, in bytes.
    pub memory_limit: usize,
    /// The number of tasks that a query is split into.
    pub parallelism: usize,
    /// The compression level of JSON files whose definition sets none.
    pub gzip_level: GzipLevel,
    /// The folder below which the spill folder is created; `None` for the system's temporary folder.
    pub spill_dir: Option<PathBuf>,
    /// The id of the run, which the spill folder is named after.
    pub spill_id: String,
}

/// Creates a session whose `COPY` plans into a staged write.
pub(super) fn new_state(settings: &EngineSettings) -> Result<SessionState> {
    let spill_folder = spill_folder(settings)?;
    let mut disk = DiskManagerBuilder::default();
    if let Some(folder) = &spill_folder {
        disk.set_mode(DiskManagerMode::Directories(vec![folder.path().to_owned()]));
    }
    let runtime = RuntimeEnvBuilder::new()
        .with_disk_manager_builder(disk)
        .with_memory_pool(Arc::new(FairSpillPool::new(settings.memory_limit)))
        .build_arc()
        .map_err(from_datafusion)?;
    let mut state = SessionStateBuilder::new()
        .with_config(match spill_folder {
            // Every plan that runs in the session holds it.
            Some(folder) => config(settings).with_extension(Arc::new(folder)),
            None => config(settings),
        })
        .with_runtime_env(runtime)
        .with_default_features()
        .with_analyzer_rules(checked::analyzer_rules())
        .build();
    checked::register_functions(&mut state).map_err(from_datafusion)?;
    let max_bytes = MemoryBudget::new(settings.memory_limit).function_bytes();
    bounded::register_functions(&mut state, max_bytes).map_err(from_datafusion)?;
    StageFormats::register(&mut state, settings.gzip_level).map_err(from_datafusion)?;
    Ok(state)
}

/// Returns the session that plans and runs `bound`, with an extended configuration.
pub fn extend_config(
    state: &SessionState,
    bound: &BoundDefinition,
    extend: impl FnOnce(SessionConfig) -> SessionConfig,
) -> SessionState {
    extended(state, |config| {
        extend(config.with_extension(Arc::new(bound.context.clone())))
    })
}

/// Returns the session with an extended configuration.
pub(super) fn extended(
    state: &SessionState,
    extend: impl FnOnce(SessionConfig) -> SessionConfig,
) -> SessionState {
    // The catalog is shared: creating the default one again would empty it.
    let config = state
        .config()
        .clone()
        .with_create_default_catalog_and_schema(false);
    SessionStateBuilder::new_from_existing(state.clone())
        .with_config(extend(config))
        .build()
}

/// Creates the spill folder. Without one of its own choice a session also does without, as long as nothing
/// has to be spilled.
fn spill_folder(settings: &EngineSettings) -> Result<Option<SpillFolder>> {
    let id = &settings.spill_id;
    if let Some(parent) = &settings.spill_dir {
        return SpillFolder::create(parent, id).map(Some);
    }
    let folder = SpillFolder::create(&tempfile::env::temp_dir(), id);
    Ok(folder
        .inspect_err(|error| warn!(%error, "there is no folder for spill files of this run"))
        .ok())
}

fn config(settings: &EngineSettings) -> SessionConfig {
    let budget = MemoryBudget::new(settings.memory_limit);
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.parallelism)
        .with_information_schema(true)
        .with_batch_size(budget.batch_rows())
        .with_extension(Arc::new(CompressionLimit::new(settings.parallelism)));
    let options = config.options_mut();
    // `TIMESTAMP WITH TIME ZONE` is an instant; a day is a UTC day.
    options.execution.time_zone = Some("+00:00".to_owned());
    // Error messages name lines.
    options.sql_parser.collect_spans = true;
    options.execution.sort_spill_reservation_bytes = budget.sort_bytes();
    config
}
