//! `dayport serve`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use clap::Args;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cli::job::{Access, Job};
use crate::cli::shared::{JobArguments, SelectionArguments};
use crate::cli::signal::{RUN_STOPS, stop_on_signal};
use crate::cycle::Cycle;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::run::{NoProgress, RunReport, TableOutcome, TableReport, run as run_tables};
use crate::serve::{Event, EventKind, Notifier, Schedule, State, backoff, listen};
use crate::status::Status;
use crate::store::Destination;

pub const EXAMPLES: &str = "\
Runs what is due at once and then at each time, as `run` does: what was missed is caught up, a
failed cycle is tried again after 1, 2, 4 … 60 minutes. Several may serve one destination: each
commit has one winner. Give the second one a later --at: it steps in if the first has not published,
and else finds nothing due. SIGTERM and Ctrl-C give up what is staged and finish what is committed.

HTTP: / the status page, /metrics for Prometheus, /healthz, /readyz (the last round succeeded).
Events: CloudEvents 1.0 as JSON, dayport.cycle.published, .failed and .late, posted with retries.

Examples:
  dayport serve --from s3://raw/ --to s3://bucket/prefix/ --at 03:00
      every day at 3 in the morning, UTC
  dayport serve --from s3://raw/ --to s3://bucket/prefix/ --every 1h --listen 0.0.0.0:9184 \\
      --notify https://hooks.example/dayport --late-after 6h

Exit codes: 0 stopped, 2 the call or a definition is wrong, 75 stopped before all was at rest.";

/// Days that the metrics and the page look back.
const DAYS: u32 = 60;

/// A machine may have slept: the clock is looked at so often.
const TICK: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    pub job: JobArguments,

    /// The time of the daily run, UTC
    #[arg(
        long,
        env = "DAYPORT_AT",
        value_name = "HH:MM",
        default_value = "03:00"
    )]
    pub at: String,

    /// Look for due cycles so often instead, for example 1h
    #[arg(long, value_name = "DURATION", conflicts_with = "at", value_parser = humantime::parse_duration)]
    pub every: Option<Duration>,

    /// Cycles of one table at most in one round, when it catches up
    #[arg(long, env = "DAYPORT_MAX_CYCLES", value_name = "N")]
    pub max_cycles: Option<usize>,

    /// The address of metrics, health and the status page
    #[arg(
        long,
        env = "DAYPORT_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9184"
    )]
    pub listen: SocketAddr,

    /// Where events are posted
    #[arg(
        long,
        env = "DAYPORT_NOTIFY",
        value_name = "URL",
        hide_env_values = true
    )]
    pub notify: Option<String>,

    /// A cycle that is not published so long after its run is late
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = humantime::parse_duration)]
    pub late_after: Duration,

    /// The wait after a first failure; each further one is twice as long, up to an hour
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    pub backoff: Duration,

    /// How long a stop waits for what is committed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
}

pub async fn serve(arguments: ServeArguments) -> Result<ExitCode> {
    let clock = Clock::from_environment()?;
    let schedule = schedule(&arguments)?;
    let notifier = arguments.notify.as_deref().map(Notifier::new).transpose()?;
    let late_after = TimeDelta::from_std(arguments.late_after)
        .map_err(|error| Error::invalid("--late-after is too long").with_source(error))?;
    // What is wrong with the call is told at once.
    open(&arguments).await?;
    let address = arguments.listen;
    let cannot = |error| Error::invalid(format!("cannot listen on {address}")).with_source(error);
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    info!(address = %format!("http://{address}"), "listening");

    let state = Arc::new(Mutex::new(State::new(schedule)));
    let http = tokio::spawn(listen(listener, Arc::clone(&state), clock));
    let stop = stop_on_signal(RUN_STOPS);
    let (events, queue) = mpsc::unbounded_channel();
    let posting = tokio::spawn(post(notifier, queue, Arc::clone(&state)));
    let grace = arguments.grace;
    let server = Server {
        arguments,
        clock,
        schedule,
        late_after,
        state,
        stop: stop.clone(),
        events,
        told: Mutex::default(),
    };
    let mut rounds = tokio::spawn(server.rounds());
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        // They end with the stop, or never.
        ended = &mut rounds => return Err(broken(ended)),
    }
    let deadline = Instant::now() + grace;
    let rested = tokio::time::timeout_at(deadline, async {
        let rounds = rounds.await;
        // The queue ends with the rounds; what is in it is still posted.
        let posting = posting.await;
        rounds.and(posting)
    });
    let rested = rested.await;
    http.abort();
    match rested {
        Ok(Ok(())) => {
            info!("stopped");
            Ok(ExitCode::Done)
        }
        Ok(Err(error)) => Err(broken(Err(error))),
        Err(_) => {
            warn!("stopped before all was at rest; the next run finishes what is committed");
            Ok(ExitCode::TryAgain)
        }
    }
}

fn broken(ended: std::result::Result<(), tokio::task::JoinError>) -> Error {
    let error = Error::internal("serving broke off");
    match ended {
        Ok(()) => error,
        Err(cause) => error.with_source(cause),
    }
}

fn schedule(arguments: &ServeArguments) -> Result<Schedule> {
    match arguments.every {
        Some(every) if every.is_zero() => Err(Error::invalid("--every 0s would never rest")),
        Some(every) => Ok(Schedule::Every(every)),
        None => NaiveTime::parse_from_str(&arguments.at, "%H:%M")
            .map(Schedule::Daily)
            .map_err(|error| {
                Error::invalid(format!("--at: `{}` is not a time", arguments.at))
                    .with_source(error)
                    .with_hint("write it like 03:00; it is UTC")
            }),
    }
}

async fn open(arguments: &ServeArguments) -> Result<Job> {
    let selection = SelectionArguments {
        date: None,
        since: None,
        through: None,
        rerun: false,
        max_cycles: arguments.max_cycles,
    };
    Job::open(&arguments.job, &selection, Access::ReadWrite).await
}

async fn post(
    notifier: Option<Notifier>,
    mut queue: mpsc::UnboundedReceiver<Event>,
    state: Arc<Mutex<State>>,
) {
    while let Some(event) = queue.recv().await {
        if let Some(notifier) = &notifier
            && !notifier.send(&event).await
        {
            state.lock().notifications_failed += 1;
        }
    }
}

struct Server {
    arguments: ServeArguments,
    clock: Clock,
    schedule: Schedule,
    late_after: TimeDelta,
    state: Arc<Mutex<State>>,
    stop: CancellationToken,
    events: mpsc::UnboundedSender<Event>,
    /// Failures and latenesses that were told: once for each cycle.
    told: Mutex<BTreeSet<String>>,
}

impl Server {
    async fn rounds(self) {
        loop {
            self.state.lock().is_running = true;
            let all_well = self.round().await;
            let next = self.next(all_well);
            if self.stop.is_cancelled() {
                return;
            }
            info!(next = %next.format("%Y-%m-%dT%H:%M:%SZ"), all_well, "resting");
            self.rest(next).await;
            if self.stop.is_cancelled() {
                return;
            }
        }
    }

    fn next(&self, all_well: bool) -> DateTime<Utc> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.is_running = false;
        state.rounds += 1;
        state.failed_rounds = if all_well { 0 } else { state.failed_rounds + 1 };
        let mut next = self.schedule.next(now);
        if !all_well {
            let wait = backoff(self.arguments.backoff, state.failed_rounds);
            let again = TimeDelta::from_std(wait)
                .ok()
                .and_then(|wait| now.checked_add_signed(wait));
            next = again.map_or(next, |again| again.min(next));
            state.retries += 1;
        }
        state.next = Some(next);
        next
    }

    /// Waits for `next`, or for the stop; tells what gets late meanwhile.
    async fn rest(&self, next: DateTime<Utc>) {
        let wait = (next - self.clock.now()).to_std().unwrap_or_default();
        let end = Instant::now() + wait;
        loop {
            self.tell_late();
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

    /// Runs what is due; false if anything failed.
    async fn round(&self) -> bool {
        let job = match open(&self.arguments).await {
            Ok(job) => job,
            Err(error) => return self.failed(&error),
        };
        let (context, request) = job.into_run(Box::new(NoProgress), self.stop.clone());
        let destination = context.destination.clone();
        let tables = request
            .definitions
            .iter()
            .map(|definition| definition.table.to_string());
        self.state.lock().served = tables.collect();
        let ran = run_tables(Arc::new(context), request).await;
        let all_well = match ran {
            Ok(report) => self.report(&report),
            Err(error) => self.failed(&error),
        };
        all_well & self.look(&destination).await
    }

    async fn look(&self, destination: &Destination) -> bool {
        match Status::load(destination, self.clock.now(), DAYS).await {
            Ok(status) => {
                self.state.lock().observe(status);
                true
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &Error) -> bool {
        error!(
            error = error.chain(),
            hint = error.hint(),
            "the round failed"
        );
        self.state.lock().failed(self.clock.now(), error.chain());
        let id = format!("failed/{}", error.chain());
        self.tell(
            id,
            EventKind::Failed,
            "",
            None,
            json!({ "error": error.chain(), "hint": error.hint() }),
        );
        false
    }

    fn report(&self, report: &RunReport) -> bool {
        self.state.lock().ran(report);
        let mut all_well = true;
        for table in &report.tables {
            all_well &= self.tell_of(report, table);
        }
        all_well
    }

    fn tell_of(&self, report: &RunReport, table: &TableReport) -> bool {
        let name = &table.table;
        let cycle = table
            .cycle
            .map(|cycle| cycle.to_string())
            .unwrap_or_default();
        match &table.outcome {
            TableOutcome::Published { .. } => {
                self.told.lock().remove(&format!("failed/{name}/{cycle}"));
                let id = format!("{}/{name}/{cycle}", report.run_id);
                self.tell(id, EventKind::Published, name, table.cycle, json!(table));
                true
            }
            TableOutcome::AlreadyPublished { .. } | TableOutcome::Superseded { .. } => true,
            TableOutcome::Failed(failure) => {
                warn!(
                    table = name,
                    cycle,
                    run_id = report.run_id,
                    error = failure.error,
                    hint = failure.hint,
                    "a cycle failed"
                );
                if !self.stop.is_cancelled() {
                    let id = format!("failed/{name}/{cycle}");
                    self.tell(id, EventKind::Failed, name, table.cycle, json!(table));
                }
                false
            }
        }
    }

    fn tell_late(&self) {
        let now = self.clock.now();
        let overdue = self.state.lock().overdue(now);
        for (table, cycle, late) in overdue
            .into_iter()
            .filter(|(_, _, late)| *late >= self.late_after)
        {
            let id = format!("late/{table}/{cycle}");
            let data = json!({ "overdue_seconds": late.num_seconds() });
            self.tell(id, EventKind::Late, &table, Some(cycle), data);
        }
    }

    /// Once for each id.
    fn tell(
        &self,
        id: String,
        kind: EventKind,
        table: &str,
        cycle: Option<Cycle>,
        data: serde_json::Value,
    ) {
        if !self.told.lock().insert(id.clone()) {
            return;
        }
        if kind == EventKind::Late {
            warn!(
                table,
                cycle = cycle.map(tracing::field::display),
                "a cycle is late"
            );
        }
        // The queue ends when this server does.
        let _ = self.events.send(Event {
            kind,
            id,
            source: self.arguments.job.to.clone(),
            table: table.to_owned(),
            cycle,
            at: self.clock.now(),
            data,
        });
    }
}
