//! Schedules the deliveries: which tables run concurrently and share their scans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::delivery::History;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ManifestName;
use crate::run::context::RunContext;
use crate::run::deliver::deliver;
use crate::run::late::{LateFiles, Standing};
use crate::run::late_files::{self, LateCycles, LookedAt};
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
    /// What is published, if its cycles depend on it.
    history: Option<History>,
    /// The late source files of published cycles that are published again for them.
    late: BTreeMap<Cycle, LateFiles>,
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
            let mut table = ScheduledTable {
                index,
                attempts_left: max_attempts(request),
                cycles: BTreeSet::new(),
                reports: Vec::new(),
                history: None,
                late: BTreeMap::new(),
            };
            match cycles_of(context, request, definition, last_closed).await {
                Ok((cycles, history)) => {
                    table.cycles.extend(cycles);
                    table.history = history;
                }
                Err(error) => {
                    let failed = TableReport::failed(Some(definition), None, error);
                    context.listener.finished(&failed);
                    table.reports.push(failed);
                }
            }
            table
        })
        .buffered(jobs)
        .collect()
        .await;
    look_back(context, request, &mut tables, last_closed).await;

    let due: Vec<Vec<Cycle>> = tables
        .iter()
        .map(|table| table.cycles.iter().copied().collect())
        .collect();
    let definitions = request.definitions.iter();
    check_catch_up(request, definitions.zip(due.iter().map(Vec::as_slice)))?;

    let mut stats = SharedScanStats::default();
    deliver_cycles(context, request, &mut tables, &mut stats, marks).await;
    // Late files of old cycles must not delay those that are due.
    for table in &mut tables {
        table.cycles = table.late.keys().copied().collect();
        table.attempts_left = usize::MAX;
    }
    deliver_cycles(context, request, &mut tables, &mut stats, marks).await;
    let reports = tables.into_iter().flat_map(|table| table.reports);
    Ok((reports.collect(), stats))
}

/// Looks for late source files of published cycles.
async fn look_back(
    context: &RunContext,
    request: &RunRequest,
    tables: &mut [ScheduledTable],
    last_closed: Cycle,
) {
    let looked_at: Vec<Option<LookedAt<'_>>> = tables
        .iter()
        .map(|table| {
            Some(LookedAt {
                definition: &request.definitions[table.index],
                history: table.history.as_ref()?,
                unfinished: None,
            })
        })
        .collect();
    let late = late_files::find(context, request, &looked_at, last_closed).await;
    for (table, late) in tables.iter_mut().zip(late) {
        let definition = &request.definitions[table.index];
        match late {
            Ok(late) => table.take_late(context, definition, late).await,
            Err(error) => table.fail(context, definition, None, error),
        }
    }
}

impl ScheduledTable {
    /// Takes the cycles that are to be published again, and reports the others.
    async fn take_late(&mut self, context: &RunContext, definition: &Definition, late: LateCycles) {
        for (cycle, found) in late {
            let (files, standing) = match found {
                Ok((files, Standing::Due)) => {
                    self.late.insert(cycle, files);
                    continue;
                }
                Ok(found) => found,
                Err(error) => {
                    self.fail(context, definition, Some(cycle), error);
                    continue;
                }
            };
            let name = ManifestName {
                table: definition.table.clone(),
                cycle,
                revision: files.revision,
            };
            late_files::record_late(&files, &standing, context, &name).await;
            self.reports.push(TableReport {
                table: definition.table.to_string(),
                sync_mode: Some(definition.sync_mode),
                cycle: Some(cycle),
                seconds: 0.0,
                is_late: true,
                outcome: TableOutcome::Late { files, standing },
                rejected_lines: None,
                audits: Vec::new(),
                failing_rows: None,
            });
        }
    }

    /// Reports that late files are not looked for.
    fn fail(
        &mut self,
        context: &RunContext,
        definition: &Definition,
        cycle: Option<Cycle>,
        error: Error,
    ) {
        let error = error.context("cannot look for late source files");
        let failed = TableReport::failed_late(definition, cycle, error);
        context.listener.finished(&failed);
        self.reports.push(failed);
    }
}

/// Delivers the cycles of the tables, oldest first.
async fn deliver_cycles(
    context: &Arc<RunContext>,
    request: &Arc<RunRequest>,
    tables: &mut [ScheduledTable],
    stats: &mut SharedScanStats,
    marks: &mut CycleMarks<'_>,
) {
    let jobs = request.jobs.max(1);
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
        // A cycle with late files gets other revisions later in this run.
        let is_late = tables.iter().any(|table| table.late.contains_key(&cycle));
        if !is_late && tables.iter().any(|table| !table.cycles.is_empty()) {
            let reports: Vec<&TableReport> =
                tables.iter().flat_map(|table| &table.reports).collect();
            marks.mark_early(cycle, &reports).await;
        }
    }
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
        let late = table.late.get(&cycle).cloned();
        tokio::spawn(async move {
            let definition = &request.definitions[index];
            let report = deliver(
                &context,
                &request,
                definition,
                cycle,
                late.as_ref(),
                participant,
            )
            .await;
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
            let failed = TableReport::failed(Some(definition), Some(cycle), failure);
            context.listener.finished(&failed);
            failed
        });
        table.cycles.remove(&cycle);
        match &report.outcome {
            // Later cycles do not wait with it.
            TableOutcome::Awaited { .. } => {}
            // Each is published, and none depends on another one.
            TableOutcome::Failed(failure)
                if report.is_late && failure.kind != ErrorKind::Unavailable => {}
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
