//! `dayport run`: exports what is due, and reports it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::cli::absent_columns::absent_columns;
use crate::cli::access::Access;
use crate::cli::audits::audits;
use crate::cli::cluster::{self, ClusterRunArguments};
use crate::cli::cycle_markers::{MarkersWarning, complaints_of_cycles, text_of_cycles};
use crate::cli::failure_log::FailureReader;
use crate::cli::job::Job;
use crate::cli::passed_over;
use crate::cli::print;
use crate::cli::progress::ProgressBars;
use crate::cli::rejected_lines::rejected_lines;
use crate::cli::schema_files::SchemaFilesWarning;
use crate::cli::shared::{JobArguments, ReportFormat, SelectionArguments};
use crate::cli::signal::{RUN_STOPS, stop_on_signal, unless_silent};
use crate::cycle::Cycle;
use crate::error::{ExitCode, Result};
use crate::human;
use crate::manifest::{RejectsFile, UnreadySource};
use crate::run::{
    LateFiles, NoProgress, ProgressListener, RunReport, Standing, TableOutcome, TableReport,
    run as run_tables,
};
use crate::scan::MissingSource;
use crate::store::Location;
use crate::visible::visible_line;

/// The timeout of the last calls to a cluster, after the run is over.
const LAST_CALLS_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const EXAMPLES: &str = "\
Examples:
  dayport run --from fixtures/raw --to out --date 2026-01-15
      one day, to a local folder
  dayport run --from s3://raw/ --to s3://bucket/prefix/
      every closed day after the last published one
  dayport run --from s3://raw/ --to s3://bucket/prefix/ --since 2026-01-01 pageview_events
      a backfill of one table

Exit codes: 0 done, 1 a table failed, 2 the call or a definition is wrong or a newer dayport wrote
there, 75 try again, or a cycle waits for its source files.";

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
    let stop = stop_on_signal(RUN_STOPS);
    let (context, request) = job.into_run(listener, FailureReader::Report, stop.clone());
    let ran = unless_silent(&stop, run_tables(Arc::new(context), request)).await;
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
    print::message(&complaints(&report));
    print::message(&absent_columns(&report));
    let to = Location::parse(&arguments.job.to)?;
    if let Some(warning) = SchemaFilesWarning::of(&report, &to) {
        let (text, hint) = (visible_line(&warning.text), visible_line(&warning.hint));
        print::message(&format!("warning: {text}\nhint: {hint}\n"));
    }
    if let Some(warning) = MarkersWarning::of(&report, &to) {
        let (text, hint) = (visible_line(&warning.text), visible_line(&warning.hint));
        print::message(&format!("warning: {text}\nhint: {hint}\n"));
    }
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
    let awaited = count(|outcome| matches!(outcome, TableOutcome::Awaited { .. }));
    let skipped = report.tables.len() - failed - published - awaited;
    let awaited = match awaited {
        0 => String::new(),
        count => format!("{count} awaited, "),
    };
    let took = report.finished_at - report.started_at;
    let _ = writeln!(
        text,
        "\n{published} published, {skipped} skipped, {awaited}{failed} failed in {:.1} s to {} (run {})",
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
    let sources = report
        .tables
        .iter()
        .filter_map(|table| match &table.outcome {
            TableOutcome::Published { sources, .. } => Some(sources),
            _ => None,
        });
    let sources = sources.flatten();
    text.push_str(&passed_over::lines(
        sources.map(|source| (source.name.as_str(), &source.passed_over)),
    ));
    text.push_str(&text_of_cycles(report));
    text
}

/// Renders errors and warnings, for stderr.
fn complaints(report: &RunReport) -> String {
    let mut text = String::new();
    for table in &report.tables {
        if let TableOutcome::Published {
            foreign,
            rejects,
            missing,
            changes,
            sources,
            provisional,
            ..
        } = &table.outcome
        {
            for change in changes {
                let change = visible_line(change);
                let _ = writeln!(text, "note: {}: {change}", table.table);
            }
            for source in missing {
                let _ = writeln!(text, "warning: {}: {}", table.table, without_file(source));
            }
            for UnreadySource { name, reason } in provisional {
                let _ = writeln!(
                    text,
                    "warning: {}: the source `{name}` is not ready: {}; the cycle is published as provisional",
                    table.table,
                    visible_line(reason)
                );
            }
            for source in sources {
                if let Some(misplaced) = &source.misplaced {
                    let described = misplaced.describe(&source.name);
                    let _ = writeln!(
                        text,
                        "warning: {}: {}: {}",
                        table.table,
                        visible_line(&described),
                        misplaced.remedy()
                    );
                }
            }
            for of_source in rejects.chunk_by(|file, next| file.source == next.source) {
                text.push_str(&rejects_warning(&table.table, of_source));
            }
            for path in foreign {
                let _ = writeln!(
                    text,
                    "warning: {}: `{}` is in the table's folder, but no manifest names it",
                    table.table,
                    visible_line(path)
                );
            }
        }
        let cycle = table
            .cycle
            .map_or_else(String::new, |cycle| format!(" {cycle}"));
        if let TableOutcome::Late { files, standing } = &table.outcome {
            text.push_str(&late_warning(
                &format!("{}{cycle}", table.table),
                files,
                standing,
            ));
        }
        if let TableOutcome::Awaited { sources, stays_due } = &table.outcome {
            for source in sources {
                let _ = writeln!(
                    text,
                    "warning: {}{cycle}: {}",
                    table.table,
                    awaits_file(source)
                );
            }
            if let Some(cycle) = table.cycle
                && sources.iter().any(|source| source.unready.is_some())
            {
                let hint = unready_hint(cycle, report.finished_at, *stays_due);
                let _ = writeln!(text, "hint: {hint}");
                continue;
            }
            let when = match stays_due {
                true => "run again when the files are there".to_owned(),
                false => format!("when the files are there, run again with --date{cycle}"),
            };
            let check = match sources.iter().any(|source| source.folders.is_none()) {
                true => ", or check LOCATION and --from",
                false => "",
            };
            let _ = writeln!(
                text,
                "hint: {when}{check}; --allow-empty publishes the cycle without rows"
            );
        }
        if let TableOutcome::Failed(failure) = &table.outcome {
            let _ = writeln!(
                text,
                "error: {}{cycle}: {}",
                table.table,
                visible_line(&failure.error)
            );
            if let Some(hint) = &failure.hint {
                let _ = writeln!(text, "hint: {}", visible_line(hint));
            }
        }
        text.push_str(&audits(&format!("{}{cycle}", table.table), table));
        if let Some(copied) = &table.rejected_lines {
            text.push_str(&rejected_lines(&format!("{}{cycle}", table.table), copied));
        }
    }
    text.push_str(&complaints_of_cycles(report));
    text
}

/// Renders the warning of the malformed lines of one source. `files` are the files that record them.
fn rejects_warning(table: &str, files: &[RejectsFile]) -> String {
    let Some(first) = files.first() else {
        return String::new();
    };
    let rows = files.iter().map(|file| file.rows).sum();
    let more = match files.len() as u64 - 1 {
        0 => String::new(),
        more => format!(" and {}", human::counted(more, "more file")),
    };
    format!(
        "warning: {table}: {} of the source `{}` {} set aside in `{}`{more}\n",
        human::counted(rows, "malformed line"),
        visible_line(&first.source),
        if rows == 1 { "is" } else { "are" },
        visible_line(&first.path)
    )
}

/// Says what arrived late, and why the cycle is not published again.
pub(super) fn late_warning(name: &str, files: &LateFiles, standing: &Standing) -> String {
    let (why, hint) = match standing {
        Standing::Due | Standing::SameRows => return String::new(),
        Standing::Final { since } => (
            format!(
                "the cycle has been final since {}",
                since.format("%Y-%m-%d %H:%M UTC")
            ),
            "--rerun with --date publishes the cycle with them",
        ),
        Standing::SourceGone { first } => (
            format!("`{}`, which it was read from, is gone", visible_line(first)),
            "if their rows are in other files now, --rerun with --date publishes the cycle; else it would \
             lose them",
        ),
        Standing::Awaited { sources } => {
            return awaited_warning(name, files, sources);
        }
        Standing::NotComparable => (
            "its query gives other rows each time, and it was published again once".to_owned(),
            "--rerun with --date publishes the cycle with them",
        ),
    };
    let late = late_files(files);
    format!(
        "warning: {name}: {late} after it was published, first `{}`; it is not published again: {why}\n\
         hint: {hint}\n",
        visible_line(files.files.first().map_or("", String::as_str))
    )
}

/// Says that a cycle with late files is published again once its sources are ready.
fn awaited_warning(name: &str, files: &LateFiles, sources: &[MissingSource]) -> String {
    let reasons = sources.iter().map(|source| match &source.unready {
        Some(reason) => format!(
            "the source `{}` is not ready: {}",
            visible_line(&source.name),
            visible_line(reason)
        ),
        None => format!(
            "the source `{}` has no file in `{}`",
            visible_line(&source.name),
            visible_line(&source.url())
        ),
    });
    let reasons: Vec<String> = reasons.collect();
    format!(
        "warning: {name}: {} after it was published, first `{}`; it is not published again yet: {}\n\
         hint: run again later\n",
        late_files(files),
        visible_line(files.files.first().map_or("", String::as_str)),
        reasons.join("; ")
    )
}

/// Says how many files arrived late.
fn late_files(files: &LateFiles) -> String {
    let count = |number, what| {
        (number > 0).then(|| format!("{} {what}", human::counted(number, "source file")))
    };
    let parts = [
        count(files.added, "arrived"),
        count(files.changed, "changed"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" and ")
}

/// Says since when a cycle waits, which is its end, and what to do.
fn unready_hint(cycle: Cycle, now: DateTime<Utc>, stays_due: bool) -> String {
    let end = cycle.end();
    let age = human::age(now - end);
    let again = match stays_due {
        true => "run again later".to_owned(),
        false => format!("run again later with --date {cycle}"),
    };
    format!(
        "it is awaited since {} ({age}): {again}; --ready-timeout ends the wait",
        end.format("%Y-%m-%d %H:%M UTC")
    )
}

/// Says that a cycle is not published for want of a file, or since a source is not ready.
pub(super) fn awaits_file(source: &MissingSource) -> String {
    if let Some(reason) = &source.unready {
        return format!(
            "the source `{}` is not ready: {}; the cycle is awaited, and nothing of it is published",
            visible_line(&source.name),
            visible_line(reason)
        );
    }
    format!(
        "the source `{}` has no file in `{}`; the cycle is awaited, and nothing of it is published{}",
        visible_line(&source.name),
        visible_line(&source.url()),
        and_passed_over(source)
    )
}

/// Says that a cycle is published although a source has no file.
pub(super) fn without_file(source: &MissingSource) -> String {
    format!(
        "the source `{}` has no file in `{}`; the cycle is published without it{}",
        visible_line(&source.name),
        visible_line(&source.url()),
        and_passed_over(source)
    )
}

fn and_passed_over(source: &MissingSource) -> String {
    let record = source.passed_over.as_ref();
    record.map_or_else(String::new, |record| {
        format!("; {}", visible_line(&record.describe()))
    })
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
        TableOutcome::Published {
            revision,
            provisional,
            ..
        } if !provisional.is_empty() => match revision {
            0 => "published, provisional".to_owned(),
            revision => format!("published as revision {revision}, provisional"),
        },
        TableOutcome::Published {
            revision,
            cause: Some(_),
            ..
        } => format!("published as revision {revision}, late files"),
        TableOutcome::Published { revision: 0, .. } => "published".to_owned(),
        TableOutcome::Published { revision, .. } => format!("published as revision {revision}"),
        TableOutcome::AlreadyPublished { run_id, .. } => {
            format!("already published by run {run_id}")
        }
        TableOutcome::Awaited { sources, .. } => format!("awaits {}", MissingSource::list(sources)),
        TableOutcome::Late { standing, .. } => match standing {
            Standing::SameRows => "late files, same rows".to_owned(),
            Standing::Awaited { sources } => {
                format!("late files, awaits {}", MissingSource::list(sources))
            }
            _ => "late files, not published".to_owned(),
        },
        TableOutcome::Superseded { by } => format!("superseded by the snapshot of {by}"),
        TableOutcome::Failed(_) => "failed".to_owned(),
    }
}
