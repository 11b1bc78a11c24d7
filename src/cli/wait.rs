//! `dayport wait`.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;
use humantime::format_duration;
use indicatif::ProgressBar;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::cli::args::S3Arguments;
use crate::cli::verify::{day, tables};
use crate::cli::{config, render};
use crate::error::{Error, ExitCode, Result};
use crate::layout::TableName;
use crate::store::{Destination, Location, StoreOptions};
use crate::wait::{Look, Patience, Timer, Waited, Wanted, look, wait as wait_for};

/// A look is not given up before this, or --retry-timeout, is over.
const LOOK: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);

pub const EXAMPLES: &str = "\
Prints the keys of the manifests that were waited for, one a line. Looks at once, then every so
often; store failures are sat out. Needs no definitions, and no rights but List and Get.

A table is there when the cycle has a manifest; a snapshot also when a later cycle has one. Without
tables: all that have a manifest of any cycle. Name the tables if some were never exported yet.

Examples:
  dayport wait --to s3://bucket/prefix/ --date 2026-01-15
      until every table has that day
  dayport wait --to s3://bucket/prefix/ --date 2026-01-15 --timeout 90m --every 1m pageview_events
      for one table, at most an hour and a half

Exit codes: 0 published, 2 the call is wrong, 75 the time is over.";

#[derive(Debug, Args)]
pub struct WaitArguments {
    /// The tables to wait for [default: all that were ever published]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// Where the tables are exported to: a folder or s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: String,

    /// The cycle, a UTC day
    #[arg(long, value_name = "DAY")]
    pub date: String,

    /// How long to wait, for example 90s, 30m or 2h; 0s looks once
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = humantime::parse_duration)]
    pub timeout: Duration,

    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub every: Duration,

    #[command(flatten)]
    pub s3: S3Arguments,

    /// No word about what is waited for
    #[arg(short, long)]
    pub quiet: bool,
}

pub async fn wait(arguments: WaitArguments) -> Result<ExitCode> {
    let wanted = Wanted {
        cycle: day("--date", &arguments.date)?,
        tables: tables(&arguments.tables)?.into_iter().collect(),
    };
    if arguments.every.is_zero() {
        return Err(Error::invalid("--every 0s would never rest"));
    }
    let location = Location::parse(&arguments.to)?;
    let s3 = config::destination_store(&arguments.s3)?;
    let patience = Patience {
        timeout: arguments.timeout,
        every: arguments.every,
        look: s3.retry_timeout.clamp(*LOOK.start(), *LOOK.end()),
    };
    let s3 = StoreOptions {
        // Another look is as good as another try, and tells why the last one failed.
        retry_timeout: s3.retry_timeout.min(*LOOK.end() / 2),
        ..s3
    };

    let opened = OnceCell::new();
    let look = async || {
        if !location.may_exist() {
            return Ok(match wanted.tables.is_empty() {
                true => Look::NothingYet,
                false => Look::Missing(wanted.tables.iter().cloned().collect()),
            });
        }
        let open = || Destination::open(&location, &s3);
        look(opened.get_or_try_init(open).await?, &wanted).await
    };
    let mut status = Status::new(&arguments, &location);
    let mut timer = Clock(Instant::now());
    let waited = wait_for(&mut timer, patience, look, |looked| status.show(looked)).await;
    drop(status);
    match waited? {
        Waited::Published(manifests) => {
            for manifest in manifests {
                render::print(&format!("{}\n", manifest.path()));
            }
            Ok(ExitCode::Done)
        }
        Waited::TimedOut { last, failure } => {
            let waited = format_duration(arguments.timeout);
            let missing = match &last {
                Some(look) => described(look),
                None => "the destination could not be read".to_owned(),
            };
            let cycle = wanted.cycle;
            let error = Error::unavailable(format!(
                "{cycle} is not published after {waited}: {missing}"
            ));
            let error = match failure {
                Some(failure) => error.with_source(failure.detached()),
                None => error,
            };
            Err(error.with_hint("is the export running? `--timeout` waits longer"))
        }
    }
}

/// What is not there, in words.
fn described(look: &Look) -> String {
    match look {
        Look::Published(_) => "nothing is missing".to_owned(),
        Look::Missing(tables) => {
            let names: Vec<&str> = tables.iter().map(TableName::as_str).collect();
            format!("missing {}", names.join(", "))
        }
        Look::NothingYet => "no table was ever published there".to_owned(),
    }
}

/// Says once on stderr what is waited for, and on a terminal how it stands.
struct Status {
    /// Absent once it is said, and where nothing is to be said.
    announcement: Option<String>,
    is_quiet: bool,
    was_failing: bool,
    /// Hidden unless stderr is a terminal.
    line: ProgressBar,
}

impl Status {
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

    fn show(&mut self, looked: &Result<Look>) {
        let is_failing = looked.is_err();
        let text = match looked {
            Ok(look) => described(look),
            Err(error) => format!("warning: {}; looking again", error.chain()),
        };
        if let Some(announcement) = self.announcement.take() {
            match looked {
                Ok(_) => eprintln!("{announcement}: {text}"),
                Err(_) => eprintln!("{announcement}"),
            }
        }
        if self.is_quiet {
            return;
        }
        if is_failing && !self.was_failing {
            self.line.suspend(|| eprintln!("{text}"));
        }
        self.was_failing = is_failing;
        self.line.set_message(text);
        self.line.enable_steady_tick(Duration::from_millis(200));
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

/// Real time since an instant.
struct Clock(Instant);

impl Timer for Clock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&mut self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
