//! `dayport plan`.

use std::fmt::Write;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use crate::cli::args::{JobArguments, ReportForm, SelectionArguments};
use crate::cli::job::{Job, To};
use crate::cli::render;
use crate::error::{ExitCode, Result};
use crate::run::{NoProgress, PlannedStep, PlannedTable, RunPlan, plan as plan_tables};

pub const EXAMPLES: &str = "\
Takes the arguments of `run`, decides as `run` does, lists the sources, and writes nothing. Source
rows are told for Parquet, whose footers count them. What is expected is the newest publication of
the table, in proportion to the bytes of the sources.

Examples:
  dayport plan --from s3://raw/ --to s3://bucket/prefix/
      what the next run is going to do
  dayport plan --from fixtures/raw --to out --date 2026-01-15 --rerun --output json
      what a rerun would replace, file by file

Exit codes: 0 a run can begin, 1 a table would fail, 2 the call or a definition is wrong, 75 try again.";

#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub selection: SelectionArguments,

    #[command(flatten)]
    pub job: JobArguments,

    /// The form of the plan
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ReportForm,
}

pub async fn plan(arguments: PlanArguments) -> Result<ExitCode> {
    let job = Job::open(&arguments.job, &arguments.selection, To::Look).await?;
    let (context, request) = job.with(Box::new(NoProgress), CancellationToken::new());
    let plan = plan_tables(&context, &request).await?;
    match arguments.output {
        ReportForm::Text => render::print(&text(&plan)),
        ReportForm::Json => render::json(&plan)?,
    }
    eprint!("{}", complaints(&plan));
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

/// Columns whose figures stand at the right.
const RIGHT: [bool; 8] = [false, false, false, true, true, true, true, false];

fn text(plan: &RunPlan) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(plan.tables.iter().map(line));
    let mut text = render::table(&lines, RIGHT);
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
    text
}

fn is_publication(step: &PlannedStep) -> bool {
    matches!(step, PlannedStep::Publish { .. })
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
        files = HumanCount(sum(|source| source.files)).to_string();
        bytes = HumanBytes(sum(|source| source.bytes)).to_string();
        let counted: Option<u64> = sources.iter().map(|source| source.rows).sum();
        rows = counted.map_or_else(none, |rows| HumanCount(rows).to_string());
        expected_rows = expected.as_ref().map_or_else(none, |expected| {
            format!("about {}", HumanCount(expected.rows))
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
                let (count, unit) = match replaced.files.len() {
                    1 => (1, "file"),
                    count => (count, "files"),
                };
                let rows = HumanCount(replaced.rows);
                let _ = write!(text, ", replacing {count} {unit} with {rows} rows");
            }
            text
        }
        PlannedStep::AlreadyPublished { run_id, .. } => {
            format!("already published by run {run_id}")
        }
        PlannedStep::Superseded { by } => format!("superseded by the snapshot of {by}"),
        PlannedStep::UpToDate => "nothing is due".to_owned(),
        PlannedStep::Failed(_) => "would fail".to_owned(),
    }
}

/// What would stop it, for stderr.
fn complaints(plan: &RunPlan) -> String {
    let mut text = String::new();
    for table in &plan.tables {
        let cycle = table.cycle.map(|cycle| format!(" {cycle}"));
        let name = format!("{}{}", table.table, cycle.unwrap_or_default());
        match &table.step {
            PlannedStep::Publish {
                guards, finishes, ..
            } => {
                for guard in guards {
                    let _ = writeln!(text, "warning: {name}: {guard}");
                }
                if let Some(finishes) = finishes {
                    let _ = writeln!(text, "note: {name}: first finishes {finishes}");
                }
            }
            PlannedStep::Failed(failure) => {
                let _ = writeln!(text, "error: {name}: {}", failure.error);
                if let Some(hint) = &failure.hint {
                    let _ = writeln!(text, "hint: {hint}");
                }
            }
            _ => {}
        }
    }
    text
}
