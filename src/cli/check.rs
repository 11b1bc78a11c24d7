//! `dayport check`: finds out whether a run can succeed.

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::catalog::Sources;
use crate::check::{
    CheckArea, CheckItem, CheckList, CheckTarget, Verdict, check_destination, check_sources,
};
use crate::cli::job::{self, run_id};
use crate::cli::shared::{JobArguments, ReportFormat};
use crate::cli::signal::stop_on_signal;
use crate::cli::{config, print};
use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::Engine;
use crate::env::{self, Clock};
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::store::Location;

/// The maximum time that a check retries a request: it reports failures instead of waiting for them
/// to pass. Ceph responds 500 to a request about an upload that it does not know.
const MAX_RETRY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const EXAMPLES: &str = "\
Takes the arguments of `run`. Compiles every definition, reads a sample of every source, and does to
the destination what a run does: list, create if absent, read back, a multipart upload with withheld
completion, abort, delete. Leaves nothing behind. Reports the settings of the bucket as far as it has
the rights to read them.

Examples:
  dayport check --from s3://raw/ --to s3://bucket/prefix/
      before the first run
  dayport check --from s3://raw/ --to s3://bucket/prefix/ --sse kms --output json

Exit codes: 0 a run can succeed, 1 there are findings, 2 the call is wrong, 75 interrupted.";

/// The arguments of `dayport check`.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    pub job: JobArguments,

    /// The format of the list
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,
}

/// Runs the command.
pub(super) async fn check(arguments: CheckArguments) -> Result<ExitCode> {
    let job = &arguments.job;
    let clock = Clock::from_environment()?;
    let location = Location::parse(&job.to)?;
    let mut s3 = config::destination_store(&job.s3)?;
    s3.retry_timeout = s3.retry_timeout.min(MAX_RETRY_TIMEOUT);
    let last_closed = Cycle::last_closed(clock.now())?;
    let mut list = CheckList::default();
    let stop = stop_on_signal("the objects of this check are deleted");
    let inputs = check_inputs(job, last_closed, clock.now(), &mut list);
    let checked = stop.run_until_cancelled(inputs).await;
    checked.ok_or_else(interrupted)??;
    let started = clock.now();
    let target = CheckTarget {
        location: &location,
        options: &s3,
        id: &run_id(started),
        started,
        now: env::wall_clock(),
        stop: &stop,
    };
    if let Err(error) = check_destination(&target, &mut list).await {
        list.error(CheckArea::Destination, "open", &error);
    }
    match arguments.output {
        ReportFormat::Text => print::text(&text(&list)),
        ReportFormat::Json => print::json(&list)?,
    }
    if stop.is_cancelled() {
        return Err(interrupted());
    }
    Ok(list.exit_code())
}

fn interrupted() -> Error {
    Error::unavailable("interrupted before the end of the list")
}

/// Checks definitions and sources.
async fn check_inputs(
    job: &JobArguments,
    last_closed: Cycle,
    now: DateTime<Utc>,
    list: &mut CheckList,
) -> Result<()> {
    let Some((definitions, sources, engine)) = open_inputs(job, list).await? else {
        return Ok(());
    };
    bind(job, &engine, &definitions, last_closed, list).await?;
    let max_rejects = job::max_rejects(job)?;
    let names = sources.table_names();
    check_sources(&engine, names, last_closed, now, max_rejects, list).await;
    Ok(())
}

/// Loads definitions and declarations of sources, which needs no store. `None` if any is wrong,
/// which is then on the list.
async fn open_inputs(
    job: &JobArguments,
    list: &mut CheckList,
) -> Result<Option<(Vec<Definition>, Sources, Engine)>> {
    let source_root = config::source_root(&job.engine)?;
    let settings = config::job_engine(job)?;
    let definitions = job::selected_definitions(job)
        .map_err(|error| list.error(CheckArea::Definitions, "definitions", &error));
    let sources = job::load_sources(&job.engine)
        .map_err(|error| list.error(CheckArea::Sources, "declarations", &error));
    let (Ok(definitions), Ok(sources)) = (definitions, sources) else {
        return Ok(None);
    };
    let source_s3 = config::source_store(&job.s3);
    match Engine::open(&sources, source_root.as_ref(), &source_s3, settings).await {
        Ok(engine) => Ok(Some((definitions, sources, engine))),
        Err(error) => {
            list.error(CheckArea::Sources, "declarations", &error);
            Ok(None)
        }
    }
}

/// Compiles each definition over the sources.
async fn bind(
    job: &JobArguments,
    engine: &Engine,
    definitions: &[Definition],
    cycle: Cycle,
    list: &mut CheckList,
) -> Result<()> {
    let parameters = config::parameters(&job.engine)?;
    let format = job.format;
    let mut compiled = 0;
    for definition in definitions {
        match engine.bind(definition, cycle, &parameters, format).await {
            Ok(_) => compiled += 1,
            Err(error) => list.error(CheckArea::Definitions, definition.table.as_str(), &error),
        }
    }
    if compiled > 0 {
        let detail = format!("{compiled} compile");
        list.passed(CheckArea::Definitions, "definitions", detail);
    }
    Ok(())
}

/// Renders the list for people: a line for each item, with advice below each finding.
fn text(list: &CheckList) -> String {
    let width_of = |item: &CheckItem| item.name.chars().count();
    let width = list.items.iter().map(width_of).max().unwrap_or(0);
    let mut text = String::new();
    let mut area = None;
    for item in &list.items {
        if area != Some(item.area) {
            area = Some(item.area);
            let heading = match item.area {
                CheckArea::Definitions => "definitions",
                CheckArea::Sources => "sources",
                CheckArea::Destination => "destination",
                CheckArea::Settings => "settings of the bucket",
            };
            let _ = writeln!(text, "{heading}");
        }
        let (mark, detail) = match &item.verdict {
            Verdict::Passed { detail } => ("ok     ", detail),
            Verdict::Finding { detail, .. } => ("FINDING", detail),
            Verdict::Unknown { detail } => ("unknown", detail),
        };
        let _ = writeln!(text, "  {mark}  {:<width$}  {detail}", item.name);
        if let Verdict::Finding { hint, policy, .. } = &item.verdict {
            if let Some(policy) = policy {
                let _ = writeln!(text, "           grant: {policy}");
            }
            if let Some(hint) = hint {
                let _ = writeln!(text, "           hint: {hint}");
            }
        }
    }
    let unknown = list
        .items
        .iter()
        .filter(|item| matches!(item.verdict, Verdict::Unknown { .. }));
    let _ = writeln!(
        text,
        "\n{} checked, {}, {} unknown",
        list.items.len(),
        human::counted(list.findings() as u64, "finding"),
        unknown.count()
    );
    text
}
