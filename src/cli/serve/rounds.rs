//! Runs the rounds of `serve`: export what is due, observe the destination, notify, wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::cli::access::Access;
use crate::cli::audits;
use crate::cli::cycle_markers::MarkersWarning;
use crate::cli::failure_log::FailureReader;
use crate::cli::job::Job;
use crate::cli::rejected_lines::NOT_WRITTEN_HINT;
use crate::cli::schema_files::SchemaFilesWarning;
use crate::cli::shared::{JobArguments, SelectionArguments};
use crate::cycle::{Cycle, SyncMode};
use crate::env::Clock;
use crate::error::{Error, Result};
use crate::layout::TableName;
use crate::run::{
    NoProgress, RunReport, RunRequest, Standing, TableOutcome, TableReport, run as run_tables,
};
use crate::serve::{Event, EventKind, Notifier, Schedule, ServeState, backoff};
use crate::status::{Status, last_days};
use crate::store::{Destination, Location};

/// The number of days that the metrics and the page cover.
const DAYS: u32 = 60;

/// The maximum sleep: a machine may be suspended, so the clock is read this often.
const TICK: Duration = Duration::from_secs(60);

/// The limits of the cycles of a table that one round takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct CatchUp {
    pub(super) max_cycles: Option<usize>,
    pub(super) max_catch_up: usize,
}

/// Opens the job of a round.
pub(super) async fn open_job(arguments: &JobArguments, catch_up: CatchUp) -> Result<Job> {
    let selection = SelectionArguments {
        date: None,
        since: None,
        through: None,
        rerun: false,
        max_cycles: catch_up.max_cycles,
        max_catch_up: catch_up.max_catch_up,
    };
    let mut job = Job::open(arguments, &selection, Access::ReadWrite).await?;
    job.request.catches_up_in_rounds = true;
    Ok(job)
}

/// Returns the tables that a job exports.
pub(super) fn served(request: &RunRequest) -> impl Iterator<Item = (TableName, SyncMode)> {
    let definitions = request.definitions.iter();
    definitions.map(|definition| (definition.table.clone(), definition.sync_mode))
}

/// The outcome of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoundOutcome {
    /// All that is due is published.
    Done,
    /// Cycles wait for source files, and nothing failed.
    Awaiting,
    Failed,
}

/// Posts events until the channel closes.
pub(super) async fn post_events(
    notifier: Option<Notifier>,
    mut queue: mpsc::UnboundedReceiver<Event>,
    state: Arc<Mutex<ServeState>>,
) {
    while let Some(event) = queue.recv().await {
        if let Some(notifier) = &notifier
            && !notifier.send(&event).await
        {
            state.lock().notifications_failed += 1;
        }
    }
}

/// Warns of audits that do not hold and do not block, and of rows that the operator does not get.
fn warn_of_audits(report: &RunReport, table: &TableReport) {
    let (run_id, name) = (&report.run_id, &table.table);
    for warning in table.audits.iter().filter_map(audits::warning) {
        warn!(table = name, run_id, "{warning}");
    }
    let error = table
        .failing_rows
        .as_ref()
        .and_then(|rows| rows.error.as_ref());
    if let Some(error) = error {
        warn!(
            table = name,
            run_id,
            error,
            hint = audits::NOT_WRITTEN_HINT,
            "the rows that break audits are not written to --rejects-to"
        );
    }
}

/// The rounds of a serving process.
pub(super) struct Rounds {
    pub(super) job: JobArguments,
    pub(super) catch_up: CatchUp,
    /// The wait after a first failure.
    pub(super) first_backoff: Duration,
    pub(super) clock: Clock,
    pub(super) schedule: Schedule,
    /// The time after which an unpublished cycle is late.
    pub(super) late_after: TimeDelta,
    pub(super) state: Arc<Mutex<ServeState>>,
    pub(super) stop: CancellationToken,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// The ids of events that were sent: each failure and delay is sent once.
    pub(super) notified: Mutex<BTreeSet<String>>,
}

impl Rounds {
    /// Runs one round after another until the stop.
    pub(super) async fn run(self) {
        loop {
            self.state.lock().is_running = true;
            let outcome = self.round().await;
            let next = self.schedule_next(outcome);
            let succeeded = outcome != RoundOutcome::Failed;
            let awaited: usize = self.state.lock().awaited.values().map(BTreeSet::len).sum();
            if self.stop.is_cancelled() {
                return;
            }
            info!(next = %next.format("%Y-%m-%dT%H:%M:%SZ"), succeeded, awaited, "waiting for the next round");
            self.wait_until(next).await;
            if self.stop.is_cancelled() {
                return;
            }
        }
    }

    /// Records the end of a round, and returns the time of the next one.
    fn schedule_next(&self, outcome: RoundOutcome) -> DateTime<Utc> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.is_running = false;
        state.rounds += 1;
        let counted = |rounds: u32, counts: bool| if counts { rounds + 1 } else { 0 };
        if outcome == RoundOutcome::Failed && !self.stop.is_cancelled() {
            state.failed_rounds_total += 1;
        }
        state.failed_rounds = counted(state.failed_rounds, outcome == RoundOutcome::Failed);
        state.awaiting_rounds = counted(state.awaiting_rounds, outcome == RoundOutcome::Awaiting);
        let retries = state.failed_rounds.max(state.awaiting_rounds);
        let mut next = self.schedule.next(now);
        if retries > 0 {
            let wait = backoff(self.first_backoff, retries);
            let retry = TimeDelta::from_std(wait)
                .ok()
                .and_then(|wait| now.checked_add_signed(wait));
            next = retry.map_or(next, |retry| retry.min(next));
            state.retries += 1;
        }
        state.next = Some(next);
        next
    }

    /// Waits until a time or the stop, and notifies of cycles that become late meanwhile.
    async fn wait_until(&self, next: DateTime<Utc>) {
        let wait = (next - self.clock.now()).to_std().unwrap_or_default();
        let end = Instant::now() + wait;
        loop {
            self.notify_late();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.clock.now() >= next {
                return;
            }
            let sleep = tokio::time::sleep(left.min(TICK));
            if self.stop.run_until_cancelled(sleep).await.is_none() {
                return;
            }
        }
    }

    /// Runs one round.
    async fn round(&self) -> RoundOutcome {
        let job = match open_job(&self.job, self.catch_up).await {
            Ok(job) => job,
            Err(error) => {
                self.failed(&error);
                return RoundOutcome::Failed;
            }
        };
        let (context, request) = job.into_run(
            Box::new(NoProgress),
            FailureReader::LogOnly,
            self.stop.clone(),
        );
        let destination = context.destination.clone();
        self.state.lock().serve(served(&request));
        let ran = run_tables(Arc::new(context), request).await;
        let report = match ran {
            Ok(report) => report,
            Err(error) => {
                self.failed(&error);
                if let Err(error) = self.observe(&destination).await {
                    // One failure of the store is one failure of the round.
                    debug!(error = error.chain(), "the status cannot be read either");
                }
                return RoundOutcome::Failed;
            }
        };
        self.warn_of_schema_files(&report);
        let is_marked = self.warn_of_markers(&report);
        let mut succeeded = self.record(&report) & is_marked;
        if let Err(error) = self.observe(&destination).await {
            self.failed(&error);
            succeeded = false;
        }
        match (succeeded, report.is_awaiting()) {
            (false, _) => RoundOutcome::Failed,
            (true, true) => RoundOutcome::Awaiting,
            (true, false) => RoundOutcome::Done,
        }
    }

    /// Loads the status of the destination.
    async fn observe(&self, destination: &Destination) -> Result<()> {
        let now = self.clock.now();
        let status = Status::load(destination, now, last_days(now, DAYS)?).await?;
        self.state.lock().observe(status);
        Ok(())
    }

    /// Records a failure that concerns all tables.
    fn failed(&self, error: &Error) {
        error!(
            error = error.chain(),
            hint = error.hint(),
            "the round failed"
        );
        self.state
            .lock()
            .add_failure(self.clock.now(), error.chain());
        let id = format!("failed/{}", error.chain());
        self.notify(
            id,
            EventKind::Failed,
            "",
            None,
            json!({ "error": error.chain(), "hint": error.hint() }),
        );
    }

    /// Records the outcomes of a run. Returns true if nothing failed.
    fn record(&self, report: &RunReport) -> bool {
        self.state.lock().add_run(report);
        let mut succeeded = true;
        for table in &report.tables {
            succeeded &= self.notify_of(report, table);
            warn_of_audits(report, table);
            let copied = table.rejected_lines.as_ref();
            if let Some(error) = copied.and_then(|copied| copied.error.as_ref()) {
                let (run_id, table) = (&report.run_id, &table.table);
                warn!(
                    table,
                    run_id,
                    error,
                    hint = NOT_WRITTEN_HINT,
                    "not all malformed lines are written to --rejects-to"
                );
            }
        }
        succeeded
    }

    fn warn_of_schema_files(&self, report: &RunReport) {
        let to = Location::parse(&self.job.to).ok();
        if let Some(warning) = to.and_then(|to| SchemaFilesWarning::of(report, &to)) {
            let SchemaFilesWarning { text, hint } = warning;
            warn!(run_id = report.run_id, hint, "{text}");
        }
    }

    /// Warns of complete cycles without a marker. Returns true if that is only for want of a right, which
    /// tables do not need.
    fn warn_of_markers(&self, report: &RunReport) -> bool {
        let run_id = &report.run_id;
        let to = Location::parse(&self.job.to).ok();
        if let Some(warning) = to.and_then(|to| MarkersWarning::of(report, &to)) {
            let MarkersWarning { text, hint } = warning;
            warn!(run_id, hint, "{text}");
        }
        let mut failures = report
            .marker_failures()
            .filter(|failure| !failure.is_forbidden)
            .peekable();
        let is_marked = failures.peek().is_none();
        for failure in failures {
            let (error, hint) = (&failure.error, &failure.hint);
            warn!(
                run_id,
                error, hint, "complete cycles may lack their markers"
            );
        }
        is_marked
    }

    /// Notifies of the outcome of a table. Returns true if it did not fail.
    fn notify_of(&self, report: &RunReport, table: &TableReport) -> bool {
        let name = &table.table;
        let cycle = table
            .cycle
            .map(|cycle| cycle.to_string())
            .unwrap_or_default();
        match &table.outcome {
            TableOutcome::Published { .. } => {
                self.notified
                    .lock()
                    .remove(&format!("failed/{name}/{cycle}"));
                let id = format!("{}/{name}/{cycle}", report.run_id);
                self.notify(id, EventKind::Published, name, table.cycle, json!(table));
                true
            }
            // `run` logs a cycle that waits for source files.
            TableOutcome::AlreadyPublished { .. }
            | TableOutcome::Superseded { .. }
            | TableOutcome::Awaited { .. } => true,
            TableOutcome::Late { files, standing } => {
                if !matches!(standing, Standing::SameRows | Standing::Awaited { .. }) {
                    let (revision, added, changed) = (files.revision, files.added, files.changed);
                    let id = format!("late-files/{name}/{cycle}/r{revision}/{added}+{changed}");
                    self.notify(id, EventKind::LateFiles, name, table.cycle, json!(table));
                }
                true
            }
            // `run` logs it, through its listener.
            TableOutcome::Failed(failure) => {
                if !failure.is_interruption {
                    let id = format!("failed/{name}/{cycle}");
                    self.notify(id, EventKind::Failed, name, table.cycle, json!(table));
                }
                false
            }
        }
    }

    /// Notifies of cycles that are late.
    fn notify_late(&self) {
        let now = self.clock.now();
        let overdue = self.state.lock().overdue(now);
        for (table, cycle, late) in overdue
            .into_iter()
            .filter(|(_, _, late)| *late >= self.late_after)
        {
            let id = format!("late/{table}/{cycle}");
            let data = json!({ "overdue_seconds": late.num_seconds() });
            self.notify(id, EventKind::Late, &table, Some(cycle), data);
        }
    }

    /// Returns the address of the destination, absolute also if `--to` is not: receivers of events are
    /// elsewhere.
    fn source(&self) -> String {
        let location = Location::parse(&self.job.to);
        location.map_or_else(|_| self.job.to.clone(), |to| to.url().to_string())
    }

    /// Sends an event, unless one of this id was sent before.
    fn notify(
        &self,
        id: String,
        kind: EventKind,
        table: &str,
        cycle: Option<Cycle>,
        data: serde_json::Value,
    ) {
        if !self.notified.lock().insert(id.clone()) {
            return;
        }
        if kind == EventKind::Late {
            warn!(
                table,
                cycle = cycle.map(tracing::field::display),
                "a cycle is late"
            );
        }
        // The receiver lives as long as the rounds.
        let _ = self.events.send(Event {
            kind,
            id,
            source: self.source(),
            table: table.to_owned(),
            cycle,
            at: self.clock.now(),
            data,
        });
    }
}
