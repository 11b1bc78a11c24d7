//! Logs each table that fails, at once and once.

use std::sync::Arc;

use tracing::{info, warn};

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::run::{ProgressListener, TableOutcome, TableReport};
use crate::scan::scan_log::ScanLog;
use crate::stage::StagingSession;

/// The reader of the log of failures, which decides about its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureReader {
    /// Has the report too, as after `run`: a milestone among others.
    Report,
    /// Has nothing else, as of `serve`: a warning.
    LogOnly,
}

/// A listener that logs failures, and passes everything on to another one.
pub(super) struct FailureLog {
    pub listener: Box<dyn ProgressListener>,
    pub reader: FailureReader,
    pub run_id: String,
}

impl ProgressListener for FailureLog {
    fn staging_started(
        &self,
        definition: &Definition,
        cycle: Cycle,
        stage: Arc<StagingSession>,
        scans: Arc<ScanLog>,
    ) {
        self.listener
            .staging_started(definition, cycle, stage, scans);
    }

    fn finished(&self, report: &TableReport) {
        self.log(report);
        self.listener.finished(report);
    }
}

impl FailureLog {
    fn log(&self, report: &TableReport) {
        let TableOutcome::Failed(failure) = &report.outcome else {
            return;
        };
        let (table, run_id) = (&report.table, &self.run_id);
        let cycle = report.cycle.map(tracing::field::display);
        let (error, hint) = (&failure.error, &failure.hint);
        if failure.is_interruption {
            // A stop is planned.
            info!(table, cycle, run_id, "interrupted");
            return;
        }
        match self.reader {
            FailureReader::Report => info!(table, cycle, run_id, error, hint, "failed"),
            FailureReader::LogOnly => warn!(table, cycle, run_id, error, hint, "failed"),
        }
    }
}
