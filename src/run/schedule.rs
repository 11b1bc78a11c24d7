//! Schedules the deliveries: which tables run concurrently and share their scans.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;

use crate::cycle::Cycle;
use crate::error::{Error, Result};
use crate::run::context::RunContext;
use crate::run::deliver::deliver;
use crate::run::mark::CycleMarks;
use crate::run::prepare::{check_catch_up, cycles_of, max_attempts};
use crate::run::report::{TableOutcome, TableReport};
use crate::run::request::RunRequest;
use crate::scan::shared::barrier::{Participant, ScanBarrier, SharedScanStats};

/// One table of the run.
struct ScheduledTable {
    /// The index of its definition.
    index: usize,
    /// The cycles that it still has to deliver.
    cycles: BTreeSet<Cycle>,
    /// The number of cycles that it may still deliver.
    attempts_left: usize,
    reports: Vec<TableReport>,
}

/// Delivers cycle after cycle, oldest first; of each cycle at most `jobs` tables concurrently, which
/// share their scans. Marks each cycle before the next one. Returns the reports in the order of the definitions, then of the cycles.
///
/// # Errors
/// Fails before any delivery if more cycles are due than a run catches up with.
pub(super) async fn deliver_all(
    context: &Arc<RunContext>,
    request: &Arc<RunRequest>,
    last_closed: Cycle,
    marks: &mut CycleMarks<'_>,
) -> Result<(Vec<TableReport>, SharedScanStats)> {
    let jobs = request.jobs.max(1);
    let mut tables: Vec<ScheduledTable> = futures::stream::iter(0..request.definitions.len())
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
            ScheduledTable {
                index,
                attempts_left: max_attempts(request),
                cycles,
                reports,
            }
        })
        .buffered(jobs)
        .collect()
        .await;

    let due: Vec<Vec<Cycle>> = tables
        .iter()
        .map(|table| table.cycles.iter().copied().collect())
        .collect();
    let definitions = request.definitions.iter();
    check_catch_up(request, definitions.zip(due.iter().map(Vec::as_slice)))?;

    let mut stats = SharedScanStats::default();
    while let Some(cycle) = tables.iter().filter_map(|table| table.cycles.first()).min() {
        let cycle = *cycle;
        let mut due: Vec<&mut ScheduledTable> = tables
            .iter_mut()
            .filter(|table| table.cycles.contains(&cycle))
            .collect();
        for concurrent in due.chunks_mut(jobs) {
            let made = deliver_concurrently(context, request, concurrent, cycle).await;
            stats.requested += made.requested;
            stats.performed += made.performed;
        }
        if tables.iter().any(|table| !table.cycles.is_empty()) {
            let reports: Vec<&TableReport> =
                tables.iter().flat_map(|table| &table.reports).collect();
            marks.mark_early(cycle, &reports).await;
        }
    }
    let reports = tables.into_iter().flat_map(|table| table.reports);
    Ok((reports.collect(), stats))
}

/// Delivers one cycle of several tables concurrently.
async fn deliver_concurrently(
    context: &Arc<RunContext>,
    request: &Arc<RunRequest>,
    tables: &mut [&mut ScheduledTable],
    cycle: Cycle,
) -> SharedScanStats {
    let (barrier, participants) = ScanBarrier::new(tables.len());
    let spawn = |(table, participant): (&&mut ScheduledTable, Participant)| {
        let (context, request, index) = (Arc::clone(context), Arc::clone(request), table.index);
        tokio::spawn(async move {
            let definition = &request.definitions[index];
            let report = deliver(&context, &request, definition, cycle, participant).await;
            context.listener.finished(&report);
            report
        })
    };
    // All are spawned before the first one is joined.
    let tasks: Vec<_> = tables.iter().zip(participants).map(spawn).collect();
    for (table, task) in tables.iter_mut().zip(tasks) {
        let report = task.await.unwrap_or_else(|error| {
            let definition = &request.definitions[table.index];
            let failure =
                Error::internal("the task of a table ended unexpectedly").with_source(error);
            TableReport::failed(Some(definition), Some(cycle), failure)
        });
        table.cycles.remove(&cycle);
        match report.outcome {
            // Later cycles do not wait with it.
            TableOutcome::Awaited { .. } => {}
            // Cycles of one table are published in order.
            TableOutcome::Failed(_) => table.cycles.clear(),
            _ => {
                table.attempts_left = table.attempts_left.saturating_sub(1);
                if table.attempts_left == 0 {
                    table.cycles.clear();
                }
            }
        }
        table.reports.push(report);
    }
    barrier.stats()
}
