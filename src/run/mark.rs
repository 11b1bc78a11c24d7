//! Marks the cycles that are complete: writes `cycles/<cycle>.r<N>.json` after the tables of the run.

use std::collections::BTreeSet;

use crate::cycle::Cycle;
use crate::cycle_marker::{
    CycleOutcome, CycleReport, DeliveredTables, ExportTables, MarkedCycles, MarkerWriter,
};
use crate::layout::TableName;
use crate::run::context::RunContext;
use crate::run::report::{TableOutcome, TableReport};
use crate::run::request::RunRequest;

/// Marks cycles for one run.
pub(super) struct CycleMarks<'a> {
    context: &'a RunContext,
    export: ExportTables,
    last_closed: Cycle,
    is_rerun: bool,
    /// The cycles that were marked while later ones were still to be delivered.
    early: Vec<CycleReport>,
}

impl<'a> CycleMarks<'a> {
    pub(super) fn new(context: &'a RunContext, request: &RunRequest, last_closed: Cycle) -> Self {
        let mut export = request.export.clone();
        for definition in &request.definitions {
            let (table, mode) = (definition.table.clone(), definition.sync_mode);
            export.defined.insert(table, mode);
        }
        Self {
            context,
            export,
            last_closed,
            is_rerun: request.rerun,
            early: Vec::new(),
        }
    }

    fn writer(&self) -> MarkerWriter<'_> {
        MarkerWriter {
            destination: &self.context.destination,
            run_id: &self.context.run_id,
            now: self.context.clock.now(),
            export: &self.export,
            last_closed: self.last_closed,
        }
    }

    /// Marks a cycle while later ones are still to be delivered, so that a receiver of a long backfill
    /// does not wait for its end. Whatever is not marked here is examined again at the end.
    pub(super) async fn mark_early(&mut self, cycle: Cycle, reports: &[&TableReport]) {
        let is_news = reports.iter().any(|report| {
            let is_published = matches!(report.outcome, TableOutcome::Published { .. });
            is_published && report.cycle == Some(cycle)
        });
        if !is_news {
            return;
        }
        let delivered = delivered(reports.iter().copied(), self.is_rerun);
        let marking = async { self.writer().write_early(&delivered, cycle).await };
        let marked = self.context.stop.run_until_cancelled(marking).await;
        let complete = marked
            .flatten()
            .filter(|report| matches!(report.outcome, CycleOutcome::Complete { .. }));
        self.early.extend(complete);
    }

    /// Marks the cycles of the run, and those that an interrupted run left unmarked. A stop ends it at
    /// any point: the next run goes on.
    pub(super) async fn mark(self, reports: &[TableReport]) -> MarkedCycles {
        let early: BTreeSet<Cycle> = self.early.iter().map(|report| report.cycle).collect();
        let touched: BTreeSet<Cycle> = reports.iter().filter_map(|report| report.cycle).collect();
        let touched: BTreeSet<Cycle> = touched.difference(&early).copied().collect();
        let delivered = delivered(reports.iter(), self.is_rerun);
        let marking = async { self.writer().write_due(&delivered, &touched).await };
        let marked = self.context.stop.run_until_cancelled(marking).await;
        let mut marked = marked.unwrap_or_default();
        let news: BTreeSet<Cycle> = marked.cycles.iter().map(|report| report.cycle).collect();
        let early = self.early.into_iter();
        marked
            .cycles
            .extend(early.filter(|report| !news.contains(&report.cycle)));
        marked.cycles.sort_by_key(|report| report.cycle);
        marked
    }
}

/// Returns what the reports say of the tables.
fn delivered<'a>(
    reports: impl Iterator<Item = &'a TableReport>,
    is_rerun: bool,
) -> DeliveredTables {
    let mut delivered = DeliveredTables {
        is_rerun,
        ..DeliveredTables::default()
    };
    for report in reports {
        let Ok(table) = report.table.parse::<TableName>() else {
            continue;
        };
        match (&report.outcome, report.cycle) {
            // Late files of one cycle say nothing of others, nor do those that are not looked for.
            (TableOutcome::Failed(_), cycle) if report.is_late => {
                if let Some(cycle) = cycle {
                    delivered.awaited.entry(cycle).or_default().insert(table);
                }
            }
            (TableOutcome::Failed(_), cycle) => {
                delivered.failed.insert(table, cycle);
            }
            (TableOutcome::Awaited { .. }, Some(cycle)) => {
                delivered.awaited.entry(cycle).or_default().insert(table);
            }
            (_, Some(cycle)) => {
                delivered.published.entry(cycle).or_default().insert(table);
            }
            (_, None) => {}
        }
    }
    delivered
}
