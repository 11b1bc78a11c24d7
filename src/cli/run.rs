//! `dayport run`: exports what is due, and reports it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::cluster::{self, ClusterRunArguments};
use crate::cli::job::{Access, Job};
use crate::cli::print;
use crate::cli::progress::ProgressBars;
use crate::cli::shared::{JobArguments, ReportFormat, SelectionArguments};
use crate::cli::signal::{RUN_STOPS, stop_on_signal};
use crate::error::{ExitCode, Result};
use crate::human;
use crate::run::{
    NoProgress, ProgressListener, RunReport, TableOutcome, TableReport, run as run_tables,
};

/// The timeout of the last calls to a cluster, after the run is over.
const LAST_CALLS_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const EXAMPLES: &str = "\
Examples:
  dayport run --from fixtures/raw --to out --date 2026-01-15
      one day, to a local folder
  dayport run --from s3://raw/ --to s3://bucket/prefix/
      every closed day after the last published one
  dayport run --from s3://raw/ --to s3://bucket/prefix/ --since 2026-01-01 --through 2026-01-31 pageview_events
      a backfill of one table

Exit codes: 0 done, 1 a table failed, 2 the call or a definition is wrong, 75 try again.";

/// The arguments of `dayport run`.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub selection: SelectionArguments,

    #[command(flatten)]
    pub job: JobArguments,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,

    /// Print only errors: no progress and no report
    #[arg(short, long)]
    pub quiet: bool,

    // The last one: its heading holds for every argument after it.
    #[command(flatten)]
    pub distribution: ClusterRunArguments,
}

/// Runs the command.
pub(super) async fn run(arguments: RunArguments) -> Result<ExitCode> {
    let listener: Box<dyn ProgressListener> = if arguments.quiet {
        Box::new(NoProgress)
    } else {
        Box::new(ProgressBars::default())
    };
    let mut job = Job::open(&arguments.job, &arguments.selection, Access::ReadWrite).await?;
    let mut last_calls = None;
    if let Some(address) = &arguments.distribution.cluster {
        let (distributed, calls) =
            cluster::distribute(job, address, &arguments.distribution, &arguments.job).await?;
        job = distributed;
        last_calls = Some(calls);
    }
    let (context, request) = job.into_run(listener, stop_on_signal(RUN_STOPS));
    let ran = run_tables(Arc::new(context), request).await;
    if let Some(calls) = last_calls {
        calls.close();
        // A cluster that does not respond must not hold up the report.
        let _ = tokio::time::timeout(LAST_CALLS_TIMEOUT, calls.wait()).await;
    }
    let report = ran?;
    if !arguments.quiet {
        match arguments.output {
            ReportFormat::Text => print::text(&text(&report)),
            ReportFormat::Json => print::json(&report)?,
        }
    }
    eprint!("{}", complaints(&report));
    Ok(report.exit_code())
}

const HEADINGS: [&str; 8] = [
    "table", "mode", "cycle", "rows", "files", "bytes", "time", "result",
];

/// True for the columns that are aligned to the right: figures.
const ALIGN_RIGHT: [bool; 8] = [false, false, false, true, true, true, true, false];

/// Renders the report for people: a line for each table and cycle, and a summary.
fn text(report: &RunReport) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(report.tables.iter().map(line));
    let mut text = print::table(&lines, ALIGN_RIGHT);
    let count = |is_counted: fn(&TableOutcome) -> bool| {
        let outcomes = report.tables.iter().map(|table| &table.outcome);
        outcomes.filter(|outcome| is_counted(outcome)).count()
    };
    let failed = count(|outcome| matches!(outcome, TableOutcome::Failed(_)));
    let published = count(|outcome| matches!(outcome, TableOutcome::Published { .. }));
    let skipped = report.tables.len() - failed - published;
    let took = report.finished_at - report.started_at;
    let _ = writeln!(
        text,
        "\n{published} published, {skipped} skipped, {failed} failed in {:.1} s to {} (run {})",
        took.as_seconds_f64(),
        report.destination,
        report.run_id
    );
    if report.tables.is_empty() {
        text.push_str("nothing is due\n");
    }
    if report.scans > 0 {
        let scans = human::counted(report.scans, "scan");
        let passes = human::counted(report.passes, "pass");
        let _ = writeln!(text, "{scans} of sources in {passes}");
    }
    text
}

/// Renders errors and warnings, for stderr.
fn complaints(report: &RunReport) -> String {
    let mut text = String::new();
    for table in &report.tables {
        if let TableOutcome::Published {
            foreign, rejects, ..
        } = &table.outcome
        {
            for rejects in rejects {
                let lines = human::counted(rejects.rows, "malformed line");
                let _ = writeln!(
                    text,
                    "warning: {}: {lines} of the source `{}` {} set aside in `{}`",
                    table.table,
                    rejects.source,
                    if rejects.rows == 1 { "is" } else { "are" },
                    rejects.path
                );
            }
            for path in foreign {
                let _ = writeln!(
                    text,
                    "warning: {}: `{path}` is in the table's folder, but no manifest names it",
                    table.table
                );
            }
        }
        if let TableOutcome::Failed(failure) = &table.outcome {
            let cycle = table
                .cycle
                .map_or_else(String::new, |cycle| format!(" {cycle}"));
            let _ = writeln!(text, "error: {}{cycle}: {}", table.table, failure.error);
            if let Some(hint) = &failure.hint {
                let _ = writeln!(text, "hint: {hint}");
            }
        }
    }
    text
}

fn line(report: &TableReport) -> [String; 8] {
    let none = || "-".to_owned();
    let (rows, files, bytes) = match &report.outcome {
        TableOutcome::Published {
            rows, files, bytes, ..
        } => (
            human::count(*rows).to_string(),
            human::count(*files).to_string(),
            human::bytes(*bytes).to_string(),
        ),
        _ => (none(), none(), none()),
    };
    [
        report.table.clone(),
        report.sync_mode.map_or_else(none, |mode| mode.to_string()),
        report.cycle.map_or_else(none, |cycle| cycle.to_string()),
        rows,
        files,
        bytes,
        format!("{:.1} s", report.seconds),
        result(&report.outcome),
    ]
}

fn result(outcome: &TableOutcome) -> String {
    match outcome {
        TableOutcome::Published { revision: 0, .. } => "published".to_owned(),
        TableOutcome::Published { revision, .. } => format!("published as revision {revision}"),
        TableOutcome::AlreadyPublished { run_id, .. } => {
            format!("already published by run {run_id}")
        }
        TableOutcome::Superseded { by } => format!("superseded by the snapshot of {by}"),
        TableOutcome::Failed(_) => "failed".to_owned(),
    }
}
