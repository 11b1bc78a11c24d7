//! `dayport wait`: waits until a cycle is published.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;
use humantime::format_duration;
use indicatif::ProgressBar;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::cli::shared::S3Arguments;
use crate::cli::{config, days, print, units};
use crate::error::{Error, ExitCode, Result};
use crate::layout::TableName;
use crate::store::{Destination, Location};
use crate::visible::visible_line;
use crate::wait::{Poll, Timer, WaitOutcome, WaitPolicy, WaitTarget, poll, wait as wait_for};

/// The limits of a poll's minimum timeout, which `--retry-timeout` sets.
const POLL_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);

/// The interval at which the status line is redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

pub(super) const EXAMPLES: &str = "\
Polls immediately and then every --every; store failures are retried. When everything is published,
prints the keys of the manifests, one per line. Needs no definitions, and only the rights List and
Get.

If no tables are named, waits for the marker `cycles/<cycle>.r<N>.json`, which says that every table of
the cycle is published. In an export without markers, by an older version, it waits for all tables that
have a manifest of any cycle: name the tables if some were never exported before.

A named table is published when the cycle has a manifest, a snapshot also when a later cycle has one.

Examples:
  dayport wait --to s3://bucket/prefix/ --date 2026-01-15
      until every table has that day
  dayport wait --to s3://bucket/prefix/ --date 2026-01-15 --timeout 90m --every 1m pageview_events
      for one table, at most an hour and a half

Exit codes: 0 published, 2 the call is wrong, 75 timed out.";

/// The arguments of `dayport wait`.
#[derive(Debug, Args)]
pub(super) struct WaitArguments {
    /// The tables to wait for [default: all of the cycle]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// The destination: a folder or s3://bucket/prefix/
    #[arg(
        long,
        env = "DAYPORT_TO",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub to: String,

    /// The cycle to wait for, a UTC day
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub date: String,

    /// The maximum time to wait, for example 90s, 30m or 2h; 0s polls once
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = units::duration)]
    pub timeout: Duration,

    /// The interval between polls
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    pub every: Duration,

    #[command(flatten)]
    pub s3: S3Arguments,

    /// Print no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// Runs the command.
pub(super) async fn wait(arguments: WaitArguments) -> Result<ExitCode> {
    let target = WaitTarget {
        cycle: days::day("--date", &arguments.date)?,
        tables: config::tables(&arguments.tables)?.into_iter().collect(),
    };
    if arguments.every.is_zero() {
        return Err(Error::invalid("--every 0s leaves no time between polls"));
    }
    let location = Location::parse(&arguments.to)?;
    let mut s3 = config::destination_store(&arguments.s3)?;
    let policy = WaitPolicy {
        timeout: arguments.timeout,
        interval: arguments.every,
        min_poll_timeout: s3
            .retry_timeout
            .clamp(*POLL_TIMEOUT.start(), *POLL_TIMEOUT.end()),
    };
    // The next poll retries anyway, and until then this one reports why it failed.
    s3.retry_timeout = s3.retry_timeout.min(*POLL_TIMEOUT.end() / 2);

    let opened = OnceCell::new();
    let poll_once = async || {
        if !location.may_exist() {
            return Ok(match target.tables.is_empty() {
                true => Poll::NothingYet,
                false => Poll::Missing(target.tables.iter().cloned().collect()),
            });
        }
        let open = || Destination::open(&location, &s3);
        poll(opened.get_or_try_init(open).await?, &target).await
    };
    let mut status = StatusLine::new(&arguments, &location);
    let mut timer = RealTimer(Instant::now());
    let waited = wait_for(&mut timer, policy, poll_once, |polled| status.show(polled)).await;
    drop(status);
    match waited? {
        WaitOutcome::Published(manifests) => {
            for manifest in manifests {
                print::text(&format!("{}\n", manifest.path()));
            }
            Ok(ExitCode::Done)
        }
        WaitOutcome::TimedOut { last, failure } => {
            let timeout = format_duration(arguments.timeout);
            let missing = match &last {
                Some(poll) => describe(poll),
                None => "the destination could not be read".to_owned(),
            };
            let cycle = target.cycle;
            let mut error = Error::unavailable(format!(
                "{cycle} is not published after {timeout}: {missing}"
            ));
            if let Some(failure) = failure {
                error = error.with_source(failure.detached());
            }
            Err(error.with_hint("is the export running? `--timeout` waits longer"))
        }
    }
}

/// Describes the missing tables.
fn describe(poll: &Poll) -> String {
    match poll {
        Poll::Published(_) => "nothing is missing".to_owned(),
        Poll::Missing(tables) => {
            let names: Vec<&str> = tables.iter().map(TableName::as_str).collect();
            format!("missing {}", names.join(", "))
        }
        Poll::Unmarked => {
            "it is not marked as complete: a table is missing, or the run has not ended".to_owned()
        }
        Poll::NothingYet => "no table was ever published there".to_owned(),
    }
}

/// Announces the wait once on stderr, and shows its state on a terminal.
struct StatusLine {
    /// The announcement until it is printed; `None` from the start with `--quiet`.
    announcement: Option<String>,
    is_quiet: bool,
    was_failing: bool,
    /// The line on the terminal; hidden unless stderr is one.
    line: ProgressBar,
}

impl StatusLine {
    fn new(arguments: &WaitArguments, location: &Location) -> Self {
        let announcement = format!(
            "waiting up to {} for {} in {location}",
            format_duration(arguments.timeout),
            arguments.date
        );
        Self {
            announcement: (!arguments.quiet).then_some(announcement),
            is_quiet: arguments.quiet,
            was_failing: false,
            line: ProgressBar::new_spinner(),
        }
    }

    /// Shows the result of a poll. On a series of failures only the first one is printed.
    fn show(&mut self, polled: &Result<Poll>) {
        let is_failing = polled.is_err();
        let text = match polled {
            Ok(poll) => describe(poll),
            Err(error) => format!("warning: {}; retrying", visible_line(&error.chain())),
        };
        if let Some(announcement) = self.announcement.take() {
            match polled {
                Ok(_) => print::message(&format!("{announcement}: {text}\n")),
                Err(_) => print::message(&format!("{announcement}\n")),
            }
        }
        if self.is_quiet {
            return;
        }
        if is_failing && !self.was_failing {
            self.line.suspend(|| print::message(&format!("{text}\n")));
        }
        self.was_failing = is_failing;
        self.line.set_message(text);
        self.line.enable_steady_tick(REDRAW_INTERVAL);
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

/// Measures real time since an instant.
struct RealTimer(Instant);

impl Timer for RealTimer {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&mut self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
