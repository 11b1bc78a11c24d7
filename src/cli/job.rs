//! Opens definitions, sources and the destination: for a run, for its plan, or for a query.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::catalog::Sources;
use crate::cli::access::Access;
use crate::cli::config;
use crate::cli::failure_log::{FailureLog, FailureReader};
use crate::cli::rejects_to;
use crate::cli::shared::{
    EngineArguments, JobArguments, MaxRejectsArgument, SelectionArguments, WhenNotReady,
};
use crate::definition::{self, Definition};
use crate::engine::{Engine, EngineSettings};
use crate::env::{self, Clock};
use crate::error::{Error, Result};
use crate::layout::TableName;
use crate::run::{
    ConditionProof, ExportTables, ProgressListener, RunContext, RunRequest, StoredLists, pick,
};
use crate::scan::MaxMisplaced;
use crate::scan::rejects::MaxRejects;
use crate::store::{Destination, Location};

/// A run that is ready to start, or to be planned.
pub(super) struct Job {
    pub engine: Engine,
    pub destination: Destination,
    /// The operator's place for the texts of malformed lines, if there is one.
    rejected_lines: Option<Destination>,
    pub clock: Clock,
    /// The id that the run will have.
    run_id: String,
    pub request: RunRequest,
}

impl Job {
    /// Parses and opens everything.
    ///
    /// # Errors
    /// All complaints together, so that one call shows everything that is wrong.
    pub(super) async fn open(
        arguments: &JobArguments,
        selection: &SelectionArguments,
        access: Access,
    ) -> Result<Self> {
        let mut errors = Vec::new();
        let opened = Self::open_parts(arguments, selection, access, &mut errors).await;
        Error::all(errors)?;
        opened.ok_or_else(|| Error::internal("a part is missing without an error"))
    }

    async fn open_parts(
        arguments: &JobArguments,
        selection: &SelectionArguments,
        access: Access,
        errors: &mut Vec<Error>,
    ) -> Option<Self> {
        let inputs = &arguments.engine;
        let clock = collect(Clock::from_environment(), errors);
        let s3 = collect(config::destination_store(&arguments.s3), errors);
        let source_root = collect(config::source_root(inputs), errors);
        let location = collect(Location::parse(&arguments.to), errors);
        let settings = collect(config::job_engine(arguments), errors);
        let defined = collect(definition::load(&inputs.sql), errors);
        let export = defined
            .as_deref()
            .and_then(|defined| collect(export_tables(defined, arguments), errors));
        let picked = defined.map(|defined| pick(defined, &arguments.tables));
        let definitions = picked.and_then(|picked| collect(picked, errors));
        let sources = collect(load_sources(inputs), errors);
        let cycles = collect(config::selection(selection), errors);
        let parameters = collect(config::parameters(inputs), errors);
        let target_file_size = collect(config::target_file_size(arguments), errors);
        let jobs = collect(config::jobs(arguments), errors);
        let max_rejects = collect(max_rejects(&arguments.rejects), errors);
        let max_misplaced = collect(max_misplaced(arguments), errors);
        let ready_timeout = collect(ready_timeout(arguments), errors);
        let time_to_final = collect(time_to_final(arguments), errors);

        let run_id = run_id(clock.map_or_else(env::wall_clock, Clock::now));
        let engine = match (&sources, &source_root, settings) {
            (Some(sources), Some(root), Some(settings)) => {
                let settings = EngineSettings {
                    spill_id: run_id.clone(),
                    ..settings
                };
                let source_s3 = config::source_store(&arguments.s3);
                let engine = Engine::open(sources, root.as_ref(), &source_s3, settings).await;
                collect(engine, errors)
            }
            _ => None,
        };
        if let (Some(sources), Some(root), Some(location)) = (&sources, &source_root, &location) {
            let base = root.as_ref().map(Location::url);
            collect(sources.check_destination(location.url(), base), errors);
        }
        let rejects_place = match (&location, &sources, &source_root) {
            (Some(to), Some(sources), Some(from)) => collect(
                rejects_to::place(arguments, sources, from.as_ref(), to),
                errors,
            ),
            _ => None,
        };
        let destination = match (&location, &s3) {
            (Some(location), Some(s3)) => {
                // A call with errors creates no folder.
                let opened = if access == Access::ReadWrite && errors.is_empty() {
                    Destination::open(location, s3).await
                } else {
                    Destination::open_read_only(location, s3).await
                };
                collect(opened, errors)
            }
            _ => None,
        };
        let rejected_lines = match rejects_place {
            Some(Some(place)) if errors.is_empty() => {
                let opened =
                    rejects_to::open(&place, arguments, arguments.s3.retry_timeout, access).await;
                Some(collect(opened, errors)?)
            }
            _ => None,
        };
        Some(Self {
            engine: engine?,
            destination: destination?,
            rejected_lines,
            clock: clock?,
            run_id,
            request: RunRequest {
                definitions: definitions?,
                export: export?,
                selection: cycles?,
                rerun: selection.rerun,
                parameters: parameters?,
                format: arguments.format,
                target_file_size: target_file_size?,
                jobs: jobs?,
                max_cycles: selection.max_cycles,
                max_catch_up: selection.max_catch_up,
                catches_up_in_rounds: false,
                max_rejects: max_rejects?,
                max_misplaced: max_misplaced?,
                max_shrink: arguments.max_shrink,
                allow_shrink: arguments.allow_shrink,
                allow_empty: arguments.allow_empty,
                ready_timeout: ready_timeout?,
                lookback: arguments.lookback,
                time_to_final: time_to_final?,
                publish_unready: arguments.when_not_ready == WhenNotReady::Publish,
                accept_change: arguments.accept_change,
                accept_schema: arguments.accept_schema,
                accept_audits: arguments.accept_audits.clone(),
            },
        })
    }

    /// Turns the job into a run with an id of its own, whose failures are logged for `reader`.
    pub(super) fn into_run(
        self,
        listener: Box<dyn ProgressListener>,
        reader: FailureReader,
        stop: CancellationToken,
    ) -> (RunContext, RunRequest) {
        let failure_log = FailureLog {
            listener,
            reader,
            run_id: self.run_id.clone(),
        };
        let context = RunContext {
            engine: self.engine,
            destination: self.destination,
            rejected_lines: self.rejected_lines,
            clock: self.clock,
            run_id: self.run_id,
            listener: Box::new(failure_log),
            stop,
            condition: ConditionProof::default(),
            lists: StoredLists::default(),
        };
        (context, self.request)
    }
}

/// Loads the declarations of sources from the folder of the definitions.
pub(super) fn load_sources(arguments: &EngineArguments) -> Result<Sources> {
    Sources::load(&arguments.sql.join(definition::SOURCES))
}

/// Loads the definitions of the tables to export.
pub(super) fn selected_definitions(arguments: &JobArguments) -> Result<Vec<Definition>> {
    pick(definition::load(&arguments.engine.sql)?, &arguments.tables)
}

/// Returns the tables that a complete cycle consists of.
///
/// # Errors
/// Fails with one complaint for each name of `without` that is no name or has a definition.
fn export_tables(defined: &[Definition], arguments: &JobArguments) -> Result<ExportTables> {
    let (defined, without) = (defined.iter(), &arguments.without);
    let mut export = ExportTables {
        defined: defined
            .map(|definition| (definition.table.clone(), definition.sync_mode))
            .collect(),
        marks: arguments.marks.iter().map(|mark| (*mark).into()).collect(),
        ..ExportTables::default()
    };
    let mut complaints = Vec::new();
    for name in without {
        match name.parse::<TableName>() {
            Ok(table) if export.defined.contains_key(&table) => complaints.push(
                Error::invalid(format!("--without: the table `{table}` has a definition"))
                    .with_hint("remove its definition, or leave out the option"),
            ),
            Ok(table) => {
                export.without.insert(table);
            }
            Err(error) => complaints.push(error.context("--without")),
        }
    }
    Error::all(complaints)?;
    Ok(export)
}

/// Loads sources and definitions for a command that also works without them.
///
/// Without `--from`, a caller who has a destination may have neither: receivers of an export do
/// not. What is published is then enough, and both come back empty.
pub(super) fn load_or_none(
    arguments: &EngineArguments,
    source_root: Option<&Location>,
    has_destination: bool,
) -> Result<(Sources, Vec<Definition>)> {
    let load = || {
        let sources = load_sources(arguments)?;
        sources.locations(source_root.map(Location::url))?;
        Ok((sources, definition::load(&arguments.sql)?))
    };
    match load() {
        Err(_) if source_root.is_none() && has_destination => Ok((Sources::none(), Vec::new())),
        loaded => loaded,
    }
}

/// Parses the maximum of malformed lines per source.
pub(super) fn max_rejects(arguments: &MaxRejectsArgument) -> Result<MaxRejects> {
    let parsed = arguments.max_rejects.parse();
    parsed.map_err(|error: Error| error.context("--max-rejects"))
}

/// Parses the maximum of misplaced rows per source.
pub(super) fn max_misplaced(arguments: &JobArguments) -> Result<MaxMisplaced> {
    let Some(text) = &arguments.max_misplaced else {
        return Ok(MaxMisplaced::default());
    };
    let parsed = text.parse();
    parsed.map_err(|error: Error| error.context("--max-misplaced"))
}

fn ready_timeout(arguments: &JobArguments) -> Result<Option<TimeDelta>> {
    let Some(timeout) = arguments.ready_timeout else {
        return Ok(None);
    };
    TimeDelta::from_std(timeout)
        .map(Some)
        .map_err(|error| Error::invalid("--ready-timeout is too long").with_source(error))
}

fn time_to_final(arguments: &JobArguments) -> Result<TimeDelta> {
    TimeDelta::from_std(arguments.time_to_final)
        .map_err(|error| Error::invalid("--final is too long").with_source(error))
}

/// Returns a unique id for a run or check that starts now. Ids sort by the start.
pub(super) fn run_id(now: DateTime<Utc>) -> String {
    format!("{}-{}", now.format("%Y%m%dT%H%M%SZ"), env::random_suffix())
}

/// Returns the value, or moves the error to `errors`.
fn collect<T>(result: Result<T>, errors: &mut Vec<Error>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}
