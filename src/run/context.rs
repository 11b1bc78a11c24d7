//! The parts that a run works with, and the delivery that is made of them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::delivery::{ConditionProof, History};
use crate::engine::Engine;
use crate::env::Clock;
use crate::run::file_lists::StoredLists;
use crate::run::late::LateFiles;
use crate::run::report::TableReport;
use crate::run::request::RunRequest;
use crate::scan::scan_log::ScanLog;
use crate::scan::{AwaitRule, NotReady};
use crate::stage::StagingSession;
use crate::store::Destination;

/// The components of a run, as opposed to its settings, which are a [`RunRequest`].
pub struct RunContext {
    /// The engine that runs the queries.
    pub engine: Engine,
    /// The destination of the export.
    pub destination: Destination,
    /// The operator's place for the texts of malformed lines, if there is one.
    pub rejected_lines: Option<Destination>,
    /// The clock of the run.
    pub clock: Clock,
    /// The id of the run, which every log entry and manifest of it records.
    pub run_id: String,
    /// The listener of the run's progress.
    pub listener: Box<dyn ProgressListener>,
    /// Cancels staging. A commit that has started is carried through.
    pub stop: CancellationToken,
    /// The proof that the destination honours the condition of commits.
    pub condition: ConditionProof,
    /// The lists of source files that the run has stored.
    pub lists: StoredLists,
}

/// A listener that is notified of the progress of each table and cycle.
pub trait ProgressListener: Send + Sync {
    /// Notifies that a table has started to be staged. `stage` and `scans` count its progress.
    fn staging_started(
        &self,
        definition: &Definition,
        cycle: Cycle,
        stage: Arc<StagingSession>,
        scans: Arc<ScanLog>,
    );
    /// Notifies that this table and cycle is done, published or not; once for each report of the run.
    fn finished(&self, report: &TableReport);
}

/// A listener that ignores all progress.
pub struct NoProgress;

impl ProgressListener for NoProgress {
    fn staging_started(&self, _: &Definition, _: Cycle, _: Arc<StagingSession>, _: Arc<ScanLog>) {}
    fn finished(&self, _: &TableReport) {}
}

/// The delivery of one cycle of one table.
pub(super) struct Delivery<'a> {
    pub(super) context: &'a RunContext,
    pub(super) request: &'a RunRequest,
    pub(super) definition: &'a Definition,
    pub(super) cycle: Cycle,
    pub(super) started: DateTime<Utc>,
    /// The late source files for which the cycle is published again.
    pub(super) late: Option<&'a LateFiles>,
}

impl Delivery<'_> {
    /// Returns the rule about source files that are missing or not ready.
    ///
    /// A cycle with late files is published, and nobody waits for it: it fails for no source that is not
    /// ready again, such as one whose newest file is the late one, but waits however long that takes.
    pub(super) fn await_rule(&self, history: &History) -> AwaitRule {
        let now = self.context.clock.now();
        let rule = self
            .request
            .await_rule(self.definition, self.cycle, history, now);
        match (self.late, rule.not_ready) {
            (Some(_), NotReady::Fail) => AwaitRule {
                not_ready: NotReady::Await,
                ..rule
            },
            _ => rule,
        }
    }
}
