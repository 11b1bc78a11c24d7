//! `dayport check`: finds out whether a run can succeed.

mod cases;
mod github;
mod inputs;
mod sarif;
mod text;

use std::time::Duration;

use clap::{Arg, Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::check::{
    CheckArea, CheckList, CheckTarget, check_changes, check_destination, check_rejected_lines,
};
use crate::cli::access::Access;
use crate::cli::check::inputs::{CheckedInputs, check_inputs};
use crate::cli::job::run_id;
use crate::cli::shared::JobArguments;
use crate::cli::signal::{stop_on_signal, unless_silent};
use crate::cli::{config, days, print, rejects_to};
use crate::env::{self, Clock};
use crate::error::{Error, ExitCode, Result};
use crate::store::{Destination, Location, StoreOptions};

/// The maximum time that a check retries a request: it reports failures instead of waiting for them
/// to pass. Ceph responds 500 to a request about an upload that it does not know.
const MAX_RETRY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const EXAMPLES: &str = "\
Takes the arguments of `run`. Compiles every definition and runs its cases of sql/tests. Reads a
sample of every source (if tables are named: of those that they read). Does to the destination what a
run does: list, create if absent, read back, a multipart upload with withheld completion, abort,
delete. Leaves nothing behind. Reports the settings of the bucket as far as it has the rights to read
them.

Without --to, no destination is touched, and without --from, no source: that is for editors and CI.
--against holds the definitions against what is published there, and only reads. With --output sarif
and github, each finding in a file has its line and column.

Examples:
  dayport check --from s3://raw/ --to s3://bucket/prefix/
      before the first run
  dayport check --from s3://raw/ --to s3://bucket/prefix/ --date 2026-01-15 pageview_events
      one definition, with rows of that day
  dayport check --output github
      definitions, declarations and cases, in a workflow
  dayport check --against s3://bucket/prefix/ --output sarif
      the same, and whether an edit breaks receivers
  dayport check --from s3://raw/ --to s3://bucket/prefix/ --sse kms --output json

Exit codes: 0 a run can succeed, 1 there are findings, 2 the call is wrong, 75 interrupted.";

/// The arguments of `dayport check`.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    pub job: JobArguments,

    /// A destination whose published tables the definitions are held against; nothing is tried there
    #[arg(
        long,
        value_name = "PATH|URL",
        conflicts_with = "to",
        help_heading = "Where"
    )]
    pub against: Option<String>,

    /// The cycle to sample of sources with a time in their folders, a UTC day [default: the last closed one]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub date: Option<String>,

    /// The format of the list
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: CheckFormat,
}

/// The values of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    Text,
    Json,
    /// The findings for editors and code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

/// Makes `--to` optional, which the other commands with these arguments require.
pub(super) fn with_optional_destination(to: Arg) -> Arg {
    to.required(false)
        .default_value("")
        .hide_default_value(true)
}

/// Runs the command.
pub(super) async fn check(arguments: CheckArguments) -> Result<ExitCode> {
    let job = &arguments.job;
    let clock = Clock::from_environment()?;
    let to = match job.to.is_empty() {
        true => None,
        false => Some(Location::parse(&job.to)?),
    };
    let mut s3 = config::destination_store(&job.s3)?;
    s3.retry_timeout = s3.retry_timeout.min(MAX_RETRY_TIMEOUT);
    let cycle = days::date_or_last_closed(arguments.date.as_deref())?;
    let mut list = CheckList::default();
    let stop = stop_on_signal("the objects of this check are deleted");
    let inputs = check_inputs(job, to.as_ref(), cycle, clock.now(), &mut list);
    let checked = stop.run_until_cancelled(inputs).await;
    let inputs = checked.ok_or_else(interrupted)??;
    match (&to, &arguments.against) {
        (Some(to), _) => write_to(job, to, &s3, &inputs, clock, &stop, &mut list).await,
        (None, Some(against)) => {
            let against = Location::parse(against)?;
            let compared = compare(&against, &s3, &inputs, &mut list);
            if let Some(Err(error)) = stop.run_until_cancelled(compared).await {
                list.error(CheckArea::Destination, "open", &error);
            }
        }
        (None, None) => {}
    }
    match arguments.output {
        CheckFormat::Text => print::text(&text::render(&list)),
        CheckFormat::Json => print::json(&list)?,
        CheckFormat::Sarif => print::json(&sarif::render(&list))?,
        CheckFormat::Github => print::raw(&github::render(&list)),
    }
    if stop.is_cancelled() {
        return Err(interrupted());
    }
    Ok(list.exit_code())
}

/// Does to the destination what a run does.
async fn write_to(
    job: &JobArguments,
    to: &Location,
    s3: &StoreOptions,
    inputs: &CheckedInputs,
    clock: Clock,
    stop: &CancellationToken,
    list: &mut CheckList,
) {
    let started = clock.now();
    let target = CheckTarget {
        location: to,
        options: s3,
        id: &run_id(started),
        started,
        now: env::wall_clock(),
        tables: &inputs.tables,
        has_marks: !job.marks.is_empty(),
        stop,
    };
    if let Err(error) = unless_silent(stop, check_destination(&target, list)).await {
        list.error(CheckArea::Destination, "open", &error);
    }
    let place = inputs.rejects_place.as_ref();
    if let Some(place) = place.filter(|_| !stop.is_cancelled()) {
        match rejects_to::open(place, job, s3.retry_timeout, Access::ReadWrite).await {
            Ok(place) => check_rejected_lines(&place, target.id, list).await,
            Err(error) => list.error(CheckArea::RejectedLines, "open", &error),
        }
    }
}

/// Holds the definitions against what is published.
async fn compare(
    against: &Location,
    s3: &StoreOptions,
    inputs: &CheckedInputs,
    list: &mut CheckList,
) -> Result<()> {
    if !against.may_exist() {
        return Err(Error::invalid(format!("there is no folder `{against}`"))
            .with_hint("--against is where a run has published"));
    }
    let destination = Destination::open_read_only(against, s3).await?;
    check_changes(&destination, &inputs.tables, list).await;
    Ok(())
}

fn interrupted() -> Error {
    Error::unavailable("interrupted before the end of the list")
}
