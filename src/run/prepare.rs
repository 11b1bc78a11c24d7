//! Prepares a run: checks all that can be checked before any table is attempted, and selects the cycles.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::cycle::{Cycle, SyncMode, due};
use crate::definition::Definition;
use crate::delivery::{History, recover};
use crate::error::{Error, Result};
use crate::run::context::RunContext;
use crate::run::request::{CycleSelection, RunRequest};

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
pub(super) async fn cycles_of(
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

pub(super) fn due_cycles(
    request: &RunRequest,
    definition: &Definition,
    history: &History,
    last_closed: Cycle,
) -> Vec<Cycle> {
    let mut cycles = due(definition.sync_mode, &history.published(), last_closed);
    cycles.truncate(request.max_cycles.unwrap_or(usize::MAX));
    cycles
}

pub(super) fn chosen_cycles(definition: &Definition, cycles: &[Cycle]) -> Vec<Cycle> {
    match definition.sync_mode {
        SyncMode::Incremental => cycles.to_vec(),
        // Today's state is the same for all of these cycles.
        SyncMode::Snapshot => cycles.iter().max().copied().into_iter().collect(),
    }
}
