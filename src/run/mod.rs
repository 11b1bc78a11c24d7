//! Runs many tables and cycles: selects what is due, delivers each on its own, and reports.

mod commit_builder;
mod context;
mod deliver;
mod guards;
mod plan;
mod report;
mod schedule;

pub use context::{NoProgress, ProgressListener, RunContext};
pub use plan::{ExpectedOutput, PlannedStep, PlannedTable, ReplacedPublication, RunPlan, plan};
pub use report::{RunReport, TableFailure, TableOutcome, TableReport};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::cycle::{Cycle, SyncMode, due};
use crate::definition::Definition;
use crate::delivery::{History, recover};
use crate::error::{Error, Result};
use crate::layout::{FileFormat, TableName};
use crate::run::schedule::deliver_all;
use crate::scan::rejects::MaxRejects;

/// The age from which staging folders of dead runs are removed; unfinished uploads on S3 usually have
/// the same lifetime.
const MAX_STAGING_AGE: TimeDelta = TimeDelta::days(7);

/// The cycles that a run selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CycleSelection {
    /// Every closed cycle that is due, according to what is published.
    Due,
    /// These cycles, oldest first.
    Cycles(Vec<Cycle>),
}

/// The settings of a run: which tables and cycles to deliver, and how.
#[derive(Debug, Clone)]
pub struct RunRequest {
    pub definitions: Vec<Definition>,
    pub selection: CycleSelection,
    /// True if cycles that are published are replaced.
    pub rerun: bool,
    /// The values of the parameters beyond the window.
    pub parameters: BTreeMap<String, String>,
    /// The format of tables whose definitions pin none.
    pub format: FileFormat,
    /// The size in bytes at which a file is rolled; absent for the default of its format.
    pub target_file_size: Option<u64>,
    /// The number of tables that are delivered concurrently, sharing their scans.
    pub jobs: usize,
    /// The maximum number of cycles of one table, if they are selected by what is due.
    pub max_cycles: Option<usize>,
    /// The maximum number or share of malformed lines of a source.
    pub max_rejects: MaxRejects,
    /// The maximum percentage of rows by which a replacement may be smaller than what it replaces.
    pub max_shrink: u8,
    /// True if a replacement may shrink by any number of rows.
    pub allow_shrink: bool,
}

impl Default for RunRequest {
    fn default() -> Self {
        Self {
            definitions: Vec::new(),
            selection: CycleSelection::Due,
            rerun: false,
            parameters: BTreeMap::new(),
            format: FileFormat::Parquet,
            target_file_size: None,
            jobs: 1,
            max_cycles: None,
            max_rejects: MaxRejects::default(),
            max_shrink: 50,
            allow_shrink: false,
        }
    }
}

/// Selects the definitions called `tables`, or all if `tables` is empty.
///
/// # Errors
/// Fails with one complaint for each table that has no definition.
pub fn pick(definitions: Vec<Definition>, tables: &[String]) -> Result<Vec<Definition>> {
    let known: BTreeSet<&str> = definitions.iter().map(|d| d.table.as_str()).collect();
    let unknown: Vec<Error> = tables
        .iter()
        .filter(|table| !known.contains(table.as_str()))
        .map(|table| {
            let names: Vec<&str> = known.iter().copied().collect();
            Error::invalid(format!("there is no definition of a table `{table}`"))
                .with_hint(format!("the tables are {}", names.join(", ")))
        })
        .collect();
    Error::all(unknown)?;
    Ok(definitions
        .into_iter()
        .filter(|d| tables.is_empty() || tables.iter().any(|table| table == d.table.as_str()))
        .collect())
}

/// Runs a request: checks everything that can be checked first, then delivers table by table.
/// Returns the report with the outcome of each table.
///
/// # Errors
/// Fails only before any table is attempted.
pub async fn run(context: Arc<RunContext>, request: RunRequest) -> Result<RunReport> {
    let (started, last_closed) = prepare(&context, &request).await?;

    let request = Arc::new(request);
    let (tables, scans) = deliver_all(&context, &request, last_closed).await;
    context
        .destination
        .sweep_staging((started - MAX_STAGING_AGE).into());
    Ok(RunReport {
        run_id: context.run_id.clone(),
        destination: context.destination.to_string(),
        started_at: started,
        finished_at: context.clock.now(),
        tables,
        scans: scans.requested,
        passes: scans.performed,
    })
}

/// Checks everything that can be checked before any table is attempted. Returns the present instant
/// and the last closed cycle.
async fn prepare(context: &RunContext, request: &RunRequest) -> Result<(DateTime<Utc>, Cycle)> {
    let started = context.clock.now();
    let last_closed = Cycle::last_closed(started)?;
    if let CycleSelection::Cycles(cycles) = &request.selection
        && let Some(open) = cycles.iter().find(|cycle| !cycle.is_closed(started))
    {
        return Err(Error::invalid(format!(
            "the cycle {open} is not over: it ends {}",
            open.end().format("%Y-%m-%d %H:%M UTC")
        ))
        .with_hint(format!("the last closed cycle is {last_closed}")));
    }
    check(context, request, last_closed).await?;
    context.destination.probe().await?;
    Ok((started, last_closed))
}

/// Binds every definition, so that all complaints are reported together and before anything is
/// attempted.
async fn check(context: &RunContext, request: &RunRequest, last_closed: Cycle) -> Result<()> {
    let mut complaints = Vec::new();
    for definition in &request.definitions {
        let bound = context
            .engine
            .bind(definition, last_closed, &request.parameters, request.format)
            .await;
        complaints.extend(bound.err());
    }
    let used: BTreeSet<&String> = request
        .definitions
        .iter()
        .flat_map(|definition| definition.parameters.keys())
        .collect();
    for name in request.parameters.keys() {
        if !used.contains(name) {
            complaints.push(Error::invalid(format!(
                "no definition uses the parameter `{name}`"
            )));
        }
    }
    Error::all(complaints)
}

/// Returns the selected cycles of one table, oldest first. Recovers the table if they depend on what
/// is published.
async fn cycles_of(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    last_closed: Cycle,
) -> Result<Vec<Cycle>> {
    match &request.selection {
        CycleSelection::Due => {
            let (destination, table) = (&context.destination, &definition.table);
            let now = context.clock.now();
            let history = recover(destination, table, &context.run_id, now).await?;
            Ok(due_cycles(request, definition, &history, last_closed))
        }
        CycleSelection::Cycles(cycles) => Ok(chosen_cycles(definition, cycles)),
    }
}

fn due_cycles(
    request: &RunRequest,
    definition: &Definition,
    history: &History,
    last_closed: Cycle,
) -> Vec<Cycle> {
    let mut cycles = due(definition.sync_mode, &history.published(), last_closed);
    cycles.truncate(request.max_cycles.unwrap_or(usize::MAX));
    cycles
}

fn chosen_cycles(definition: &Definition, cycles: &[Cycle]) -> Vec<Cycle> {
    match definition.sync_mode {
        SyncMode::Incremental => cycles.to_vec(),
        // Today's state is the same for all of these cycles.
        SyncMode::Snapshot => cycles.iter().max().copied().into_iter().collect(),
    }
}

/// Parses a parameter, `name=value`.
pub fn parameter(text: &str) -> Result<(String, String)> {
    let wrong = || {
        Error::invalid(format!("`{text}` is not a parameter"))
            .with_hint("write it as name=value, for example site=example.com")
    };
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let name: TableName = name.parse().map_err(|_| wrong())?;
    Ok((name.into(), value.to_owned()))
}
