//! `dayport plan`: shows what a run would do.

use std::fmt::Write;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::access::Access;
use crate::cli::failure_log::FailureReader;
use crate::cli::job::Job;
use crate::cli::passed_over;
use crate::cli::print;
use crate::cli::run::{awaits_file, late_warning, without_file};
use crate::cli::shared::{JobArguments, ReportFormat, SelectionArguments};
use crate::error::{ExitCode, Result};
use crate::human;
use crate::run::{NoProgress, PlannedStep, PlannedTable, RunPlan, Standing, plan as plan_tables};
use crate::scan::MissingSource;
use crate::visible::visible_line;

pub(super) const EXAMPLES: &str = "\
Takes the arguments of `run`, decides as `run` does, lists the sources, and writes nothing. Source
rows are shown for Parquet only, whose footers count them. Expected rows are those of the newest
publication of the table, in proportion to the bytes of the sources.

Examples:
  dayport plan --from s3://raw/ --to s3://bucket/prefix/
      what the next run will do
  dayport plan --from fixtures/raw --to out --date 2026-01-15 --rerun --output json
      what a rerun would replace, file by file

Exit codes: 0 a run can start, 1 a table would fail, 2 the call or a definition is wrong or a newer
dayport wrote there, 75 try again, or a cycle waits for its source files.";

/// The arguments of `dayport plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    pub selection: SelectionArguments,

    #[command(flatten)]
    pub job: JobArguments,

    /// The format of the plan
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,
}

/// Runs the command.
pub(super) async fn plan(arguments: PlanArguments) -> Result<ExitCode> {
    let job = Job::open(&arguments.job, &arguments.selection, Access::ReadOnly).await?;
    let (context, request) = job.into_run(
        Box::new(NoProgress),
        FailureReader::Report,
        CancellationToken::new(),
    );
    let plan = plan_tables(&context, &request).await?;
    match arguments.output {
        ReportFormat::Text => print::text(&text(&plan)),
        ReportFormat::Json => print::json(&plan)?,
    }
    print::message(&complaints(&plan));
    Ok(plan.exit_code())
}

const HEADINGS: [&str; 8] = [
    "table",
    "mode",
    "cycle",
    "source files",
    "bytes",
    "rows",
    "expected rows",
    "plan",
];

/// True for the columns that are aligned to the right: figures.
const ALIGN_RIGHT: [bool; 8] = [false, false, false, true, true, true, true, false];

fn text(plan: &RunPlan) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(plan.tables.iter().map(line));
    let mut text = print::table(&lines, ALIGN_RIGHT);
    let due = plan
        .tables
        .iter()
        .filter(|table| is_publication(&table.step));
    let _ = writeln!(
        text,
        "\n{} to publish to {}; nothing was written",
        due.count(),
        plan.destination
    );
    let sources = plan.tables.iter().filter_map(|table| match &table.step {
        PlannedStep::Publish { sources, .. } => Some(sources),
        _ => None,
    });
    let sources = sources.flatten();
    text.push_str(&passed_over::lines(
        sources.map(|source| (source.name.as_str(), &source.passed_over)),
    ));
    text
}

fn is_publication(step: &PlannedStep) -> bool {
    matches!(
        step,
        PlannedStep::Publish { .. }
            | PlannedStep::Late {
                standing: Standing::Due,
                ..
            }
    )
}

fn line(table: &PlannedTable) -> [String; 8] {
    let none = || "-".to_owned();
    let (mut files, mut bytes, mut rows, mut expected_rows) = (none(), none(), none(), none());
    if let PlannedStep::Publish {
        sources, expected, ..
    } = &table.step
    {
        let sum = |figure: fn(&crate::scan::planned::PlannedSource) -> u64| -> u64 {
            sources.iter().map(figure).sum()
        };
        files = human::count(sum(|source| source.files)).to_string();
        bytes = human::bytes(sum(|source| source.bytes)).to_string();
        let counted: Option<u64> = sources.iter().map(|source| source.rows).sum();
        rows = counted.map_or_else(none, |rows| human::count(rows).to_string());
        expected_rows = expected.as_ref().map_or_else(none, |expected| {
            format!("about {}", human::count(expected.rows))
        });
    }
    [
        table.table.clone(),
        table.sync_mode.to_string(),
        table.cycle.map_or_else(none, |cycle| cycle.to_string()),
        files,
        bytes,
        rows,
        expected_rows,
        step(&table.step),
    ]
}

fn step(step: &PlannedStep) -> String {
    match step {
        PlannedStep::Publish {
            revision, replaces, ..
        } => {
            let mut text = match revision {
                0 => "publish".to_owned(),
                revision => format!("publish as revision {revision}"),
            };
            if let Some(replaced) = replaces {
                let files = human::counted(replaced.files.len() as u64, "file");
                let rows = human::counted(replaced.rows, "row");
                let _ = write!(text, ", replacing {files} with {rows}");
            }
            text
        }
        PlannedStep::AlreadyPublished { run_id, .. } => {
            format!("already published by run {run_id}")
        }
        PlannedStep::Awaits { sources } => format!("awaits {}", MissingSource::list(sources)),
        PlannedStep::Late { files, standing } => match standing {
            Standing::Due | Standing::SameRows => {
                format!("publish as revision {}, late files", files.revision + 1)
            }
            _ => "late files, not published".to_owned(),
        },
        PlannedStep::Superseded { by } => format!("superseded by the snapshot of {by}"),
        PlannedStep::UpToDate => "nothing is due".to_owned(),
        PlannedStep::Failed(_) => "would fail".to_owned(),
    }
}

/// Renders warnings, notes and errors, for stderr.
fn complaints(plan: &RunPlan) -> String {
    let mut text = String::new();
    for table in &plan.tables {
        let name = match table.cycle {
            Some(cycle) => format!("{} {cycle}", table.table),
            None => table.table.clone(),
        };
        match &table.step {
            PlannedStep::Publish {
                guards,
                finishes,
                missing,
                doubtful,
                unready,
                changes,
                ..
            } => {
                for source in missing {
                    let _ = writeln!(text, "warning: {name}: {}", without_file(source));
                }
                for source in doubtful {
                    let _ = writeln!(
                        text,
                        "warning: {name}: the source `{}` has no file in `{}`; \
                         if the query yields no row, the cycle is awaited",
                        source.name,
                        source.url()
                    );
                }
                for source in unready {
                    let _ = writeln!(
                        text,
                        "warning: {name}: the source `{}` is not ready: {}; the cycle would be provisional",
                        source.name,
                        visible_line(source.unready.as_deref().unwrap_or_default())
                    );
                }
                for change in changes {
                    let _ = writeln!(text, "note: {name}: {change}");
                }
                for guard in guards {
                    let _ = writeln!(text, "warning: {name}: {}", visible_line(guard));
                }
                if let Some(finishes) = finishes {
                    let _ = writeln!(text, "note: {name}: first finishes {finishes}");
                }
            }
            PlannedStep::Late { files, standing } => {
                text.push_str(&late_warning(&name, files, standing));
            }
            PlannedStep::Awaits { sources } => {
                for source in sources {
                    let _ = writeln!(text, "warning: {name}: {}", awaits_file(source));
                }
            }
            PlannedStep::Failed(failure) => {
                let _ = writeln!(text, "error: {name}: {}", visible_line(&failure.error));
                if let Some(hint) = &failure.hint {
                    let _ = writeln!(text, "hint: {}", visible_line(hint));
                }
            }
            _ => {}
        }
    }
    text
}
