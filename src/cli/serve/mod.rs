//! The `serve` command: opens the listener and the job, and stops them in order.

mod rounds;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use clap::Args;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::cli::serve::rounds::{CatchUp, Rounds, open_job, post_events, served};
use crate::cli::shared::JobArguments;
use crate::cli::signal::{RUN_STOPS, stop_on_signal, unless_silent};
use crate::cli::units;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::run::MAX_CATCH_UP;
use crate::serve::{Notifier, Schedule, ServeState, listen};

pub(super) const EXAMPLES: &str = "\
Exports the cycles that are due, as `run` does: first at the start, then at each scheduled time.
Missed cycles are caught up. A cycle that failed, or that waits for source files, is retried after
1, 2, 4 … 60 minutes. Several processes
may serve one destination, because each commit has one winner. Give the second one a later --at: it
exports what the first one has not published. SIGTERM and Ctrl-C discard staged files and finish
commits.

HTTP: / is the status page, /metrics is for Prometheus, /healthz responds while the process runs,
/readyz if the last round succeeded. A table that was never published has its metrics, too: its time
of the last success is 0, and it is overdue since the first cycle that this process found due.
Events: CloudEvents 1.0 as JSON (dayport.cycle.published, .failed and .late), posted with retries.

Examples:
  dayport serve --from s3://raw/ --to s3://bucket/prefix/ --at 03:00
      every day at 3 in the morning, UTC
  dayport serve --from s3://raw/ --to s3://bucket/prefix/ --every 1h --listen 0.0.0.0:9184 \\
      --notify https://hooks.example/dayport --late-after 6h

Exit codes: 0 stopped, 2 the call or a definition is wrong, 75 stopped before all work had ended.";

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
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

    /// Export due cycles at this interval instead, for example 1h
    #[arg(long, value_name = "DURATION", conflicts_with = "at", value_parser = units::duration)]
    pub every: Option<Duration>,

    /// The maximum number of cycles per table in one round, when it catches up
    #[arg(long, env = "DAYPORT_MAX_CYCLES", value_name = "N")]
    pub max_cycles: Option<usize>,

    /// The maximum number of due cycles per table in one round; the next rounds take the others
    #[arg(long, env = "DAYPORT_MAX_CATCH_UP", value_name = "N", default_value_t = MAX_CATCH_UP)]
    pub max_catch_up: usize,

    /// The address to serve metrics, health and the status page on
    #[arg(
        long,
        env = "DAYPORT_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9184"
    )]
    pub listen: SocketAddr,

    /// The URL that events are posted to
    #[arg(
        long,
        env = "DAYPORT_NOTIFY",
        value_name = "URL",
        hide_env_values = true
    )]
    pub notify: Option<String>,

    /// The time after its scheduled run from which an unpublished cycle is late
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = units::duration)]
    pub late_after: Duration,

    /// The wait after a first failure, or for missing source files; it doubles, up to an hour
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = units::duration)]
    pub backoff: Duration,

    /// The maximum time that a stop waits for commits to finish
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = units::duration)]
    pub grace: Duration,
}

/// Serves until the process gets a signal to stop.
///
/// # Errors
/// [`Error::invalid`] if an argument or a definition is wrong.
pub(super) async fn serve(arguments: ServeArguments) -> Result<ExitCode> {
    let clock = Clock::from_environment()?;
    let schedule = schedule(&arguments)?;
    let notifier = arguments.notify.as_deref().map(Notifier::new).transpose()?;
    let late_after = TimeDelta::from_std(arguments.late_after)
        .map_err(|error| Error::invalid("--late-after is too long").with_source(error))?;
    // A wrong call or definition fails at the start, not in the first round.
    let catch_up = CatchUp {
        max_cycles: arguments.max_cycles,
        max_catch_up: arguments.max_catch_up,
    };
    let job = open_job(&arguments.job, catch_up).await?;
    let requested = arguments.listen;
    let cannot = |error| Error::invalid(format!("cannot listen on {requested}")).with_source(error);
    let listener = TcpListener::bind(requested).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    info!(address = %format!("http://{address}"), "listening");

    let mut first_state = ServeState::new(schedule);
    first_state.serve(served(&job.request));
    let state = Arc::new(Mutex::new(first_state));
    drop(job);
    let http = tokio::spawn(listen(listener, Arc::clone(&state), clock));
    let stop = stop_on_signal(RUN_STOPS);
    let (events, queue) = mpsc::unbounded_channel();
    let posting = tokio::spawn(post_events(notifier, queue, Arc::clone(&state)));
    let grace = arguments.grace;
    let rounds = Rounds {
        job: arguments.job,
        catch_up,
        first_backoff: arguments.backoff,
        clock,
        schedule,
        late_after,
        state,
        stop: stop.clone(),
        events,
        notified: Mutex::default(),
    };
    let mut running = tokio::spawn(rounds.run());
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        // Without a stop, the rounds end only by a panic.
        ended = &mut running => return Err(unexpected_end(ended)),
    }
    let deadline = Instant::now() + grace;
    let end = async {
        let ended = running.await;
        // The channel closes with the rounds; the events in it are still posted.
        let posting = posting.await;
        ended.and(posting)
    };
    let end = unless_silent(&stop, async { Ok(end.await) });
    let ended = tokio::time::timeout_at(deadline, end).await;
    http.abort();
    match ended {
        Ok(Ok(Ok(()))) => {
            info!("stopped");
            Ok(ExitCode::Done)
        }
        Ok(Ok(Err(error))) => Err(unexpected_end(Err(error))),
        Ok(Err(silent)) => Err(silent),
        Err(_) => {
            warn!("stopped before all work had ended; the next run finishes the commits");
            Ok(ExitCode::TryAgain)
        }
    }
}

/// Returns the error of a task that ended without a stop.
fn unexpected_end(ended: std::result::Result<(), tokio::task::JoinError>) -> Error {
    let error = Error::internal("the rounds ended unexpectedly");
    match ended {
        Ok(()) => error,
        Err(cause) => error.with_source(cause),
    }
}

/// Parses the schedule.
fn schedule(arguments: &ServeArguments) -> Result<Schedule> {
    match arguments.every {
        Some(every) if every.is_zero() => {
            Err(Error::invalid("--every 0s leaves no time between rounds"))
        }
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
