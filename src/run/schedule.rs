//! Which tables are at work together.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;

use crate::cycle::Cycle;
use crate::error::Error;
use crate::run::deliver::{Context, deliver};
use crate::run::report::{Outcome, TableReport};
use crate::run::{Request, cycles_of};
use crate::scan::shared::barrier::{Gathering, Passes};

/// One table of the run.
struct Table {
    /// Its place among the definitions.
    index: usize,
    /// What it still has to deliver.
    cycles: BTreeSet<Cycle>,
    reports: Vec<TableReport>,
}

/// Delivers cycle after cycle, oldest first; of each cycle at most `jobs` tables at a time, which
/// share their reading. The reports are in the order of the definitions, then of the cycles.
pub(super) async fn deliver_all(
    context: &Arc<Context>,
    request: &Arc<Request>,
    last_closed: Cycle,
) -> (Vec<TableReport>, Passes) {
    let jobs = request.jobs.max(1);
    let mut tables: Vec<Table> = futures::stream::iter(0..request.definitions.len())
        .map(|index| async move {
            let definition = &request.definitions[index];
            let (cycles, reports) = match cycles_of(context, request, definition, last_closed).await
            {
                Ok(cycles) => (cycles.into_iter().collect(), Vec::new()),
                Err(error) => {
                    let failed = TableReport::failed(Some(definition), None, error);
                    (BTreeSet::new(), vec![failed])
                }
            };
            Table {
                index,
                cycles,
                reports,
            }
        })
        .buffered(jobs)
        .collect()
        .await;

    let mut passes = Passes::default();
    while let Some(cycle) = tables.iter().filter_map(|table| table.cycles.first()).min() {
        let cycle = *cycle;
        let mut due: Vec<&mut Table> = tables
            .iter_mut()
            .filter(|table| table.cycles.contains(&cycle))
            .collect();
        for together in due.chunks_mut(jobs) {
            let made = deliver_together(context, request, together, cycle).await;
            passes.scans += made.scans;
            passes.passes += made.passes;
        }
    }
    let reports = tables.into_iter().flat_map(|table| table.reports);
    (reports.collect(), passes)
}

async fn deliver_together(
    context: &Arc<Context>,
    request: &Arc<Request>,
    tables: &mut [&mut Table],
    cycle: Cycle,
) -> Passes {
    let (gathering, seats) = Gathering::new(tables.len());
    let tasks = tables.iter().zip(seats).map(|(table, seat)| {
        let (context, request, index) = (Arc::clone(context), Arc::clone(request), table.index);
        tokio::spawn(async move {
            let definition = &request.definitions[index];
            let report = deliver(&context, &request, definition, cycle, seat).await;
            context.watch.ended(&report);
            report
        })
    });
    // All are spawned before one is waited for.
    let tasks: Vec<_> = tasks.collect();
    for (table, task) in tables.iter_mut().zip(tasks) {
        let report = task.await.unwrap_or_else(|error| {
            let definition = &request.definitions[table.index];
            let error = Error::internal("the task of a table broke off").with_source(error);
            TableReport::failed(Some(definition), Some(cycle), error)
        });
        table.cycles.remove(&cycle);
        if matches!(report.outcome, Outcome::Failed(_)) {
            // Cycles of one table are published in order.
            table.cycles.clear();
        }
        table.reports.push(report);
    }
    gathering.passes()
}
