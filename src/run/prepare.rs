//! Prepares a run: checks all that can be checked before any table is attempted, and selects the cycles.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tracing::info;

use crate::audit::{AuditScope, BoundAudits};
use crate::cycle::{Cycle, SyncMode, due};
use crate::definition::Definition;
use crate::delivery::{History, recover};
use crate::error::{Error, Result};
use crate::run::context::RunContext;
use crate::run::request::{CycleSelection, RunRequest, names_audit};

/// Checks everything that can be checked before any table is attempted. Returns the present instant
/// and the last closed cycle.
pub(super) async fn prepare(
    context: &RunContext,
    request: &RunRequest,
) -> Result<(DateTime<Utc>, Cycle)> {
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
    let newest = match &request.selection {
        CycleSelection::Due => last_closed,
        CycleSelection::Cycles(cycles) => cycles.iter().max().copied().unwrap_or(last_closed),
    };
    check(context, request, newest).await?;
    context.destination.probe().await?;
    Ok((started, last_closed))
}

/// Binds every definition to the newest of the selected cycles, so that all complaints are reported
/// together and before anything is attempted.
async fn check(context: &RunContext, request: &RunRequest, newest: Cycle) -> Result<()> {
    let mut complaints = Vec::new();
    for definition in &request.definitions {
        let checked = check_definition(context, request, definition, newest).await;
        complaints.extend(checked.err());
    }
    complaints.extend(unknown_audits(request));
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

/// Binds a definition and its audits.
async fn check_definition(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    cycle: Cycle,
) -> Result<()> {
    let engine = &context.engine;
    let bound = engine
        .bind(definition, cycle, &request.parameters, request.format)
        .await?;
    if let Some(audits) = &definition.audits
        && !engine.sees_rows()
    {
        return Err(Error::invalid(format!(
            "{}: the table `{}` has audits, and rows that a cluster stages cannot be audited",
            audits.file, definition.table
        ))
        .with_hint("run this table without --cluster, or move its audits out of the folder"));
    }
    let scope = AuditScope {
        engine,
        definition,
        bound: &bound,
        cycle,
    };
    BoundAudits::bind(&scope).await.map(|_| ())
}

/// Complains of each name in `--accept-audit` that is no audit of a definition.
fn unknown_audits(request: &RunRequest) -> Vec<Error> {
    let audits: Vec<(&Definition, &str)> = request
        .definitions
        .iter()
        .flat_map(|definition| {
            let audits = definition.audits.iter().flat_map(|audits| &audits.audits);
            audits.map(move |audit| (definition, audit.name.as_str()))
        })
        .collect();
    let is_unknown = |given: &&String| {
        let mut audits = audits.iter();
        !audits.any(|(definition, audit)| names_audit(given, definition, audit))
    };
    let unknown = request.accept_audits.iter().filter(is_unknown);
    unknown
        .map(|given| {
            Error::invalid(format!(
                "--accept-audit: no definition has an audit `{given}`"
            ))
            .with_hint("an audit is called as in the report of the run that it failed")
        })
        .collect()
}

/// Returns the selected cycles of one table, oldest first. Recovers the table if they depend on what
/// is published, and returns its history then.
pub(super) async fn cycles_of(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    last_closed: Cycle,
) -> Result<(Vec<Cycle>, Option<History>)> {
    match &request.selection {
        CycleSelection::Due => {
            let (destination, table) = (&context.destination, &definition.table);
            let now = context.clock.now();
            let history = recover(destination, table, &context.run_id, now).await?;
            let cycles = due_cycles(definition, &history, last_closed);
            Ok((cycles, Some(history)))
        }
        CycleSelection::Cycles(cycles) => Ok((chosen_cycles(definition, cycles), None)),
    }
}

/// Returns the maximum number of cycles of a table that are attempted. Cycles that wait for source
/// files do not count, so that they do not keep later ones from being published.
pub(super) fn max_attempts(request: &RunRequest) -> usize {
    let given = request.max_cycles.unwrap_or(usize::MAX);
    match request.selection {
        CycleSelection::Due if request.catches_up_in_rounds => given.min(request.max_catch_up),
        CycleSelection::Due => given,
        CycleSelection::Cycles(_) => usize::MAX,
    }
}

/// Checks that no table has more cycles to catch up with than a run does without being asked.
///
/// # Errors
/// Fails with one complaint for each such table.
pub(super) fn check_catch_up<'a>(
    request: &RunRequest,
    tables: impl IntoIterator<Item = (&'a Definition, &'a [Cycle])>,
) -> Result<()> {
    if request.selection != CycleSelection::Due {
        return Ok(());
    }
    let max = request.max_catch_up;
    let mut complaints = Vec::new();
    for (definition, cycles) in tables {
        let (Some(first), Some(last)) = (cycles.first(), cycles.last()) else {
            continue;
        };
        let (table, due) = (&definition.table, cycles.len());
        if due.min(request.max_cycles.unwrap_or(usize::MAX)) <= max {
            continue;
        }
        if request.catches_up_in_rounds {
            let taken = max_attempts(request);
            info!(%table, due, taken, %first, %last, "catching up: the round takes some of the due cycles");
            continue;
        }
        complaints.push(
            Error::invalid(format!(
                "`{table}`: {due} cycles are due, {first} to {last}, more than --max-catch-up {max}; \
                 nothing was attempted"
            ))
            .with_hint(format!(
                "name them with --since {first} --through {last}, take some with --max-cycles {max}, \
                 or raise --max-catch-up"
            )),
        );
    }
    Error::all(complaints)
}

pub(super) fn due_cycles(
    definition: &Definition,
    history: &History,
    last_closed: Cycle,
) -> Vec<Cycle> {
    due(
        definition.sync_mode,
        history.first(),
        &history.published(),
        last_closed,
    )
}

pub(super) fn chosen_cycles(definition: &Definition, cycles: &[Cycle]) -> Vec<Cycle> {
    match definition.sync_mode {
        SyncMode::Incremental => cycles.to_vec(),
        // Today's state is the same for all of these cycles.
        SyncMode::Snapshot => cycles.iter().max().copied().into_iter().collect(),
    }
}
