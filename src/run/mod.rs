//! Many tables and many cycles: what is due, each delivered on its own, and the report.

mod deliver;
mod guards;
mod plan;
mod proposal;
mod report;
mod schedule;

pub use deliver::{Context, Unwatched, Watch};
pub use plan::{Expected, Plan, PlannedTable, Replaced, Step, plan};
pub use report::{Failure, Outcome, Report, TableReport};

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

/// Staging folders of dead runs are kept this long, as unfinished uploads usually are on S3.
const STALE_STAGING: TimeDelta = TimeDelta::days(7);

/// Which cycles a run takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every closed cycle that is due, by what is published.
    Due,
    /// These, oldest first.
    Cycles(Vec<Cycle>),
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Request {
    pub definitions: Vec<Definition>,
    pub selection: Selection,
    /// Replace cycles that are published.
    pub rerun: bool,
    /// Values of the parameters beyond the window.
    pub parameters: BTreeMap<String, String>,
    /// For definitions that pin none.
    pub format: FileFormat,
    pub target_file_size: Option<u64>,
    /// Tables at work at once, which share their reading.
    pub jobs: usize,
    /// Cycles of one table at most, where they are picked by what is due.
    pub max_cycles: Option<usize>,
    /// Malformed lines that a source may have.
    pub max_rejects: MaxRejects,
    /// Rows that a replacement may have less than what it replaces, in percent.
    pub max_shrink: u8,
    /// Let a replacement be as small as it is.
    pub allow_shrink: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            definitions: Vec::new(),
            selection: Selection::Due,
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

/// Picks the definitions called `tables`, or all if there are none.
pub fn pick(definitions: Vec<Definition>, tables: &[String]) -> Result<Vec<Definition>> {
    let known: BTreeSet<&str> = definitions.iter().map(|d| d.table.as_str()).collect();
    let unknown: Vec<Error> = tables
        .iter()
        .filter(|table| !known.contains(table.as_str()))
        .map(|table| {
            let known: Vec<&str> = known.iter().copied().collect();
            Error::invalid(format!("there is no definition of a table `{table}`"))
                .with_hint(format!("the tables are {}", known.join(", ")))
        })
        .collect();
    Error::all(unknown)?;
    Ok(definitions
        .into_iter()
        .filter(|d| tables.is_empty() || tables.iter().any(|table| table == d.table.as_str()))
        .collect())
}

/// Runs a request: checks everything that can be checked first, then delivers table by table.
///
/// An error means that nothing was attempted. What happened to each table is in the report.
pub async fn run(context: Arc<Context>, request: Request) -> Result<Report> {
    let (started, last_closed) = prepare(&context, &request).await?;

    let request = Arc::new(request);
    let (tables, passes) = deliver_all(&context, &request, last_closed).await;
    context
        .destination
        .sweep_staging((started - STALE_STAGING).into());
    Ok(Report {
        run_id: context.run_id.clone(),
        destination: context.destination.to_string(),
        started_at: started,
        finished_at: context.clock.now(),
        tables,
        scans: passes.scans,
        passes: passes.passes,
    })
}

/// Checks everything that can be checked before any table is attempted; gives the present instant
/// and the last closed cycle.
async fn prepare(context: &Context, request: &Request) -> Result<(DateTime<Utc>, Cycle)> {
    let started = context.clock.now();
    let last_closed = Cycle::last_closed(started)?;
    if let Selection::Cycles(cycles) = &request.selection
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

/// Binds every definition, so that all complaints come at once and before anything is attempted.
async fn check(context: &Context, request: &Request, last_closed: Cycle) -> Result<()> {
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

/// The cycles of one table, oldest first.
async fn cycles_of(
    context: &Context,
    request: &Request,
    definition: &Definition,
    last_closed: Cycle,
) -> Result<Vec<Cycle>> {
    match &request.selection {
        Selection::Due => {
            let (destination, table) = (&context.destination, &definition.table);
            let now = context.clock.now();
            let history = recover(destination, table, &context.run_id, now).await?;
            Ok(due_cycles(request, definition, &history, last_closed))
        }
        Selection::Cycles(cycles) => Ok(chosen_cycles(definition, cycles)),
    }
}

fn due_cycles(
    request: &Request,
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
        // The state of today is the same for all of them.
        SyncMode::Snapshot => cycles.iter().max().copied().into_iter().collect(),
    }
}

/// Parses `name=value`.
pub fn parameter(text: &str) -> Result<(String, String)> {
    let wrong = || {
        Error::invalid(format!("`{text}` is not a parameter"))
            .with_hint("write it as name=value, for example site=example.com")
    };
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let name: TableName = name.parse().map_err(|_| wrong())?;
    Ok((name.into(), value.to_owned()))
}
