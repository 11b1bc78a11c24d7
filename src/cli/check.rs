//! `dayport check`: finds out whether a run can succeed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::catalog::Sources;
use crate::check::{
    CheckArea, CheckItem, CheckList, CheckTarget, DefinedTable, Verdict, check_destination,
    check_rejected_lines, check_sources,
};
use crate::cli::access::Access;
use crate::cli::job::{self, run_id};
use crate::cli::shared::{JobArguments, ReportFormat};
use crate::cli::signal::{stop_on_signal, unless_silent};
use crate::cli::{config, days, print, rejects_to};
use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::engine::{BoundDefinition, Engine};
use crate::env::{self, Clock};
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::store::Location;
use crate::visible::visible_line;

/// The maximum time that a check retries a request: it reports failures instead of waiting for them
/// to pass. Ceph responds 500 to a request about an upload that it does not know.
const MAX_RETRY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const EXAMPLES: &str = "\
Takes the arguments of `run`. Compiles every definition, reads a sample of every source (if tables
are named: of those that they read), and does to the destination what a run does: list, create if
absent, read back, a multipart upload with withheld completion, abort, delete. Leaves nothing
behind. Reports the settings of the bucket as far as it has the rights to read them.

Examples:
  dayport check --from s3://raw/ --to s3://bucket/prefix/
      before the first run
  dayport check --from s3://raw/ --to s3://bucket/prefix/ --date 2026-01-15 pageview_events
      one definition, with rows of that day
  dayport check --from s3://raw/ --to s3://bucket/prefix/ --sse kms --output json

Exit codes: 0 a run can succeed, 1 there are findings, 2 the call is wrong, 75 interrupted.";

/// The arguments of `dayport check`.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    pub job: JobArguments,

    /// The cycle to sample of sources with a time in their folders, a UTC day [default: the last closed one]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub date: Option<String>,

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
    let cycle = match &arguments.date {
        Some(day) => days::day("--date", day)?,
        None => Cycle::last_closed(clock.now())?,
    };
    let mut list = CheckList::default();
    let stop = stop_on_signal("the objects of this check are deleted");
    let inputs = check_inputs(job, &location, cycle, clock.now(), &mut list);
    let checked = stop.run_until_cancelled(inputs).await;
    let CheckedInputs {
        tables,
        rejects_place,
    } = checked.ok_or_else(interrupted)??;
    let started = clock.now();
    let target = CheckTarget {
        location: &location,
        options: &s3,
        id: &run_id(started),
        started,
        now: env::wall_clock(),
        tables: &tables,
        has_marks: !job.marks.is_empty(),
        stop: &stop,
    };
    if let Err(error) = unless_silent(&stop, check_destination(&target, &mut list)).await {
        list.error(CheckArea::Destination, "open", &error);
    }
    if let Some(place) = rejects_place.filter(|_| !stop.is_cancelled()) {
        let retry_timeout = s3.retry_timeout;
        match rejects_to::open(&place, job, retry_timeout, Access::ReadWrite).await {
            Ok(place) => check_rejected_lines(&place, target.id, &mut list).await,
            Err(error) => list.error(CheckArea::RejectedLines, "open", &error),
        }
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

/// What is known after the check of definitions and sources.
#[derive(Default)]
struct CheckedInputs {
    /// The tables that compile.
    tables: Vec<DefinedTable>,
    /// The operator's place for malformed lines, which is apart from the sources and the destination.
    rejects_place: Option<Location>,
}

/// Checks definitions and sources.
async fn check_inputs(
    job: &JobArguments,
    to: &Location,
    cycle: Cycle,
    now: DateTime<Utc>,
    list: &mut CheckList,
) -> Result<CheckedInputs> {
    let Some((definitions, sources, engine)) = open_inputs(job, list).await? else {
        return Ok(CheckedInputs::default());
    };
    let from = config::source_root(&job.engine)?;
    let rejects_place = rejects_to::place(job, &sources, from.as_ref(), to)?;
    let bound = bind(job, &engine, &definitions, cycle, list).await?;
    let read = read_sources(job, &definitions, &bound)?;
    let max_rejects = job::max_rejects(&job.rejects)?;
    let max_misplaced = job::max_misplaced(job)?;
    let is_read = |name: &&str| read.as_ref().is_none_or(|read| read.contains(*name));
    let names = sources.table_names().filter(is_read);
    check_sources(&engine, names, cycle, now, max_rejects, max_misplaced, list).await;
    Ok(CheckedInputs {
        tables: bound.into_iter().map(|(table, _)| table).collect(),
        rejects_place,
    })
}

/// Returns the sources that the named tables read. Returns `None` for all sources: if no tables are
/// named, or if one does not compile, so that its sources are not known.
fn read_sources(
    job: &JobArguments,
    definitions: &[Definition],
    bound: &[(DefinedTable, BoundDefinition)],
) -> Result<Option<BTreeSet<String>>> {
    if job.tables.is_empty() || bound.len() < definitions.len() {
        return Ok(None);
    }
    let mut read = BTreeSet::new();
    for (_, bound) in bound {
        read.extend(bound.source_names()?);
    }
    Ok(Some(read))
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
    let to = Location::parse(&job.to)?;
    let base = source_root.as_ref().map(Location::url);
    sources.check_destination(to.url(), base)?;
    let source_s3 = config::source_store(&job.s3);
    match Engine::open(&sources, source_root.as_ref(), &source_s3, settings).await {
        Ok(engine) => Ok(Some((definitions, sources, engine))),
        Err(error) => {
            list.error(CheckArea::Sources, "declarations", &error);
            Ok(None)
        }
    }
}

/// Compiles each definition over the sources. Returns the tables that compile.
async fn bind(
    job: &JobArguments,
    engine: &Engine,
    definitions: &[Definition],
    cycle: Cycle,
    list: &mut CheckList,
) -> Result<Vec<(DefinedTable, BoundDefinition)>> {
    let parameters = config::parameters(&job.engine)?;
    let format = job.format;
    let mut compiled = Vec::new();
    for definition in definitions {
        match engine.bind(definition, cycle, &parameters, format).await {
            Ok(bound) => {
                note_volatile(definition, &bound, list)?;
                let table = DefinedTable {
                    name: definition.table.clone(),
                    shape: bound.spec.table_shape(definition.sync_mode),
                };
                compiled.push((table, bound));
            }
            Err(error) => list.error(CheckArea::Definitions, definition.table.as_str(), &error),
        }
    }
    if !compiled.is_empty() {
        let detail = match compiled.len() {
            1 => "1 compiles".to_owned(),
            count => format!("{count} compile"),
        };
        list.passed(CheckArea::Definitions, "definitions", detail);
    }
    Ok(compiled)
}

/// Notes the functions of a definition that give a rerun of a cycle other rows.
fn note_volatile(
    definition: &Definition,
    bound: &BoundDefinition,
    list: &mut CheckList,
) -> Result<()> {
    let names = bound.volatile_functions()?;
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "{}: {} gives another value when a cycle is run again",
        definition.sql.name(),
        quoted.join(", ")
    );
    let hint = "write `$window_start` or `$window_end` for the time of the cycle, and a hash such as \
                `md5(…)` of a key for an id";
    list.note(
        CheckArea::Definitions,
        definition.table.as_str(),
        detail,
        hint,
    );
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
                CheckArea::RejectedLines => "malformed lines",
            };
            let _ = writeln!(text, "{heading}");
        }
        let (mark, detail) = match &item.verdict {
            Verdict::Passed { detail } => ("ok     ", detail),
            Verdict::Finding { detail, .. } => ("FINDING", detail),
            Verdict::Note { detail, .. } => ("note   ", detail),
            Verdict::Unknown { detail } => ("unknown", detail),
        };
        let _ = writeln!(
            text,
            "  {mark}  {:<width$}  {}",
            visible_line(&item.name),
            visible_line(detail)
        );
        if let Verdict::Note { hint, .. } = &item.verdict {
            let _ = writeln!(text, "           hint: {}", visible_line(hint));
        }
        if let Verdict::Finding { hint, policy, .. } = &item.verdict {
            if let Some(policy) = policy {
                let _ = writeln!(text, "           grant: {policy}");
            }
            if let Some(hint) = hint {
                let _ = writeln!(text, "           hint: {}", visible_line(hint));
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
