//! `dayport check`.

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::catalog::Sources;
use crate::check::{Area, List, Target, Verdict, check_destination, check_sources};
use crate::cli::args::{JobArguments, ReportForm};
use crate::cli::job::{self, run_id};
use crate::cli::run::stop_on_signal;
use crate::cli::{config, render};
use crate::cycle::Cycle;
use crate::definition::{self, Definition};
use crate::engine::Engine;
use crate::env::{self, Clock};
use crate::error::{Error, ExitCode, Result};
use crate::run::pick;
use crate::store::{Location, StoreOptions};

/// A check tells what it sees and sits nothing out. Ceph answers 500 for an upload it does not know.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

pub const EXAMPLES: &str = "\
Takes the arguments of `run`. Binds every definition, reads a sample of every source, and does to the
destination what a run does: list, create if absent, read back, a multipart upload with withheld
completion, abort, delete. Leaves nothing behind. Of the bucket's settings it tells what it may see.

Examples:
  dayport check --from s3://raw/ --to s3://bucket/prefix/
      before the first run
  dayport check --from s3://raw/ --to s3://bucket/prefix/ --sse kms --output json

Exit codes: 0 a run can succeed, 1 there are findings, 2 the call is wrong, 75 interrupted.";

#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(flatten)]
    pub job: JobArguments,

    /// The form of the list
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ReportForm,
}

pub async fn check(arguments: CheckArguments) -> Result<ExitCode> {
    let job = &arguments.job;
    let clock = Clock::from_environment()?;
    let location = Location::parse(&job.to)?;
    let s3 = config::destination_store(&job.s3)?;
    let s3 = StoreOptions {
        retry_timeout: s3.retry_timeout.min(LONGEST_RETRY),
        ..s3
    };
    let last_closed = Cycle::last_closed(clock.now())?;
    let mut list = List::default();
    let stop = stop_on_signal("what the check has put there is taken away");
    let local = check_local(job, last_closed, clock.now(), &mut list);
    let checked = stop.run_until_cancelled(local).await;
    checked.ok_or_else(interrupted)??;
    let began = clock.now();
    let target = Target {
        location: &location,
        options: &s3,
        id: &run_id(began),
        began,
        now: env::wall_clock(),
        stop: &stop,
    };
    if let Err(error) = check_destination(&target, &mut list).await {
        list.error(Area::Destination, "open", &error);
    }
    match arguments.output {
        ReportForm::Text => render::print(&text(&list)),
        ReportForm::Json => render::json(&list)?,
    }
    if stop.is_cancelled() {
        return Err(interrupted());
    }
    Ok(list.exit_code())
}

fn interrupted() -> Error {
    Error::unavailable("interrupted before the end of the list")
}

/// Definitions and sources.
async fn check_local(
    job: &JobArguments,
    last_closed: Cycle,
    now: DateTime<Utc>,
    list: &mut List,
) -> Result<()> {
    let Some((definitions, sources, engine)) = local(job, list).await? else {
        return Ok(());
    };
    bind(job, &engine, &definitions, last_closed, list).await?;
    let max_rejects = job::max_rejects(job)?;
    let names = sources.table_names();
    check_sources(&engine, names, last_closed, now, max_rejects, list).await;
    Ok(())
}

/// What can be told without asking anybody: definitions and declarations of sources.
async fn local(
    job: &JobArguments,
    list: &mut List,
) -> Result<Option<(Vec<Definition>, Sources, Engine)>> {
    let places = &job.places;
    let from = config::from(places)?;
    let settings = config::job_engine(job)?;
    let definitions = definition::load(&places.sql)
        .and_then(|definitions| pick(definitions, &job.tables))
        .map_err(|error| list.error(Area::Definitions, "definitions", &error));
    let sources = Sources::load(&places.sql.join("sources"))
        .map_err(|error| list.error(Area::Sources, "declarations", &error));
    let (Ok(definitions), Ok(sources)) = (definitions, sources) else {
        return Ok(None);
    };
    let source_s3 = config::source_store(&job.s3);
    match Engine::open(&sources, from.as_ref(), &source_s3, settings).await {
        Ok(engine) => Ok(Some((definitions, sources, engine))),
        Err(error) => {
            list.error(Area::Sources, "declarations", &error);
            Ok(None)
        }
    }
}

async fn bind(
    job: &JobArguments,
    engine: &Engine,
    definitions: &[Definition],
    cycle: Cycle,
    list: &mut List,
) -> Result<()> {
    let parameters = config::parameters(&job.places)?;
    let mut right = 0;
    for definition in definitions {
        match engine
            .bind(definition, cycle, &parameters, job.format)
            .await
        {
            Ok(_) => right += 1,
            Err(error) => list.error(Area::Definitions, definition.table.as_str(), &error),
        }
    }
    if right > 0 {
        list.fine(Area::Definitions, "definitions", format!("{right} compile"));
    }
    Ok(())
}

/// A line for each item; what to do about a finding is below it.
fn text(list: &List) -> String {
    let width = |item: &crate::check::Item| item.name.chars().count();
    let width = list.items.iter().map(width).max().unwrap_or(0);
    let mut text = String::new();
    let mut area = None;
    for item in &list.items {
        if area != Some(item.area) {
            area = Some(item.area);
            let heading = match item.area {
                Area::Definitions => "definitions",
                Area::Sources => "sources",
                Area::Destination => "destination",
                Area::Settings => "settings of the bucket",
            };
            let _ = writeln!(text, "{heading}");
        }
        let (mark, detail) = match &item.verdict {
            Verdict::Fine { detail } => ("ok     ", detail),
            Verdict::Finding { detail, .. } => ("FINDING", detail),
            Verdict::Unseen { detail } => ("unseen ", detail),
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
    let unseen = list
        .items
        .iter()
        .filter(|item| matches!(item.verdict, Verdict::Unseen { .. }));
    let _ = writeln!(
        text,
        "\n{} checked, {} findings, {} could not be seen",
        list.items.len(),
        list.findings(),
        unseen.count()
    );
    text
}
