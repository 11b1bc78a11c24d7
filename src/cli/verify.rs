//! `dayport verify`: compares what is published with its manifests.

use std::fmt::Write;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::shared::{ReportFormat, S3Arguments};
use crate::cli::{config, days, print};
use crate::env;
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::store::{Destination, Location};
use crate::verify::{
    NoProgress, VerifyCycles, VerifyDepth, VerifyProgress, VerifyReport, VerifyScope,
    verify as verify_tables,
};
use crate::visible::visible_line;

/// The limits of the default number of files read concurrently: enough to keep a network busy on
/// few processors, and few enough for the memory of many.
const DEFAULT_JOBS: std::ops::RangeInclusive<usize> = 4..=16;

pub(super) const EXAMPLES: &str = "\
Reads manifests, markers and data only: needs no definitions, and only the rights List and Get.

Findings: missing, extra, size, etag, sha256, rows, schema, partition, duplicate, sum, window,
manifest, marker, log, unreadable, unpublished; unfinished is a commit, or a marker, that the operator's
next run finishes.
Checks the newest revision of each cycle, and only the newest cycle of a snapshot: the files of
earlier ones are replaced. With dates, foreign objects are searched only in the partitions of these
cycles, and each cycle without a manifest is a finding: of the tables that are named, and of all
others since their first cycle.

Examples:
  dayport verify --to out
      every byte of everything published
  dayport verify --to s3://bucket/prefix/ --quick
      names, sizes and ETags only
  dayport verify --to s3://bucket/prefix/ --date 2026-01-15 pageview_events
      one cycle of one table
  dayport verify --to restored/ --ignore etag
      every byte of a copy

Exit codes: 0 everything is as published, 1 there are findings, 2 the call is wrong, 75 try again.";

/// The arguments of `dayport verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    /// The tables to verify [default: all that are published]
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

    /// The one cycle to verify, a UTC day [default: all cycles]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true, conflicts_with_all = ["since", "through"])]
    pub date: Option<String>,

    /// The first cycle of a range
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub since: Option<String>,

    /// The last cycle of a range, inclusive
    #[arg(
        long,
        value_name = "DAY",
        allow_hyphen_values = true,
        requires = "since"
    )]
    pub through: Option<String>,

    /// Compare only names, sizes and ETags with the manifests, and open no file
    #[arg(long)]
    pub quick: bool,

    /// Do not compare this: `etag` after the export was copied, since a copy has ETags of its own
    #[arg(long, value_name = "KIND")]
    pub ignore: Option<IgnoredKind>,

    /// The number of files read concurrently [default: the processors, between 4 and 16]
    #[arg(long, env = "DAYPORT_JOBS", value_name = "N")]
    pub jobs: Option<usize>,

    #[command(flatten)]
    pub s3: S3Arguments,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,

    /// Print only errors: no progress and no report
    #[arg(short, long)]
    pub quiet: bool,
}

/// The values of `--ignore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum IgnoredKind {
    /// The ETags that the store gives
    Etag,
}

/// Runs the command.
pub(super) async fn verify(arguments: VerifyArguments) -> Result<ExitCode> {
    let scope = VerifyScope {
        tables: config::tables(&arguments.tables)?,
        cycles: cycles(&arguments)?,
        depth: if arguments.quick {
            VerifyDepth::Quick
        } else {
            VerifyDepth::Full
        },
        ignores_etags: arguments.ignore == Some(IgnoredKind::Etag),
        jobs: match arguments.jobs {
            Some(0) => return Err(Error::invalid("--jobs 0 would do nothing")),
            Some(jobs) => jobs,
            None => env::processors().clamp(*DEFAULT_JOBS.start(), *DEFAULT_JOBS.end()),
        },
    };
    let location = Location::parse(&arguments.to)?;
    if !location.may_exist() {
        return Err(Error::invalid(format!("there is no folder `{location}`")));
    }
    let destination =
        Destination::open(&location, &config::destination_store(&arguments.s3)?).await?;
    let report = if arguments.quiet || arguments.quick {
        verify_tables(&destination, &scope, &NoProgress).await?
    } else {
        verify_tables(&destination, &scope, &BytesBar::new()).await?
    };
    if report.tables == 0 && report.findings.is_empty() {
        return Err(
            Error::invalid(format!("nothing is published in `{destination}`"))
                .with_hint("is the prefix right? run dayport on it first"),
        );
    }
    if !arguments.quiet {
        match arguments.output {
            ReportFormat::Text => print::text(&text(&report)),
            ReportFormat::Json => print::json(&report)?,
        }
    }
    if report.cycles == 0 && report.findings.is_empty() {
        print::message("error: no cycle of these tables and days is part of the export now\n");
    }
    Ok(report.exit_code())
}

fn cycles(arguments: &VerifyArguments) -> Result<VerifyCycles> {
    let range = days::cycle_range(
        arguments.date.as_deref(),
        arguments.since.as_deref(),
        arguments.through.as_deref(),
    )?;
    Ok(
        range.map_or(VerifyCycles::All, |range| VerifyCycles::Range {
            first: *range.start(),
            last: *range.end(),
        }),
    )
}

/// Renders the report for people: a line for each finding, and a summary.
fn text(report: &VerifyReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let cycle = finding.cycle.map(|cycle| format!(" {cycle}"));
        let _ = writeln!(
            text,
            "{:<10} {}{}: `{}`: {}",
            finding.kind,
            finding.table,
            cycle.unwrap_or_default(),
            visible_line(&finding.key),
            visible_line(&finding.detail)
        );
    }

    let depth = if report.quick {
        "names, sizes and ETags of "
    } else {
        ""
    };
    let rejects = match report.rejects {
        0 => String::new(),
        rejects => format!("{}, ", human::counted(rejects, "rejected line")),
    };
    let _ = writeln!(
        text,
        "checked {depth}{} of {}: {}, {}, {rejects}{}; {}",
        human::counted(report.cycles, "cycle"),
        human::counted(report.tables, "table"),
        human::counted(report.files, "file"),
        human::counted(report.rows, "row"),
        human::bytes(report.bytes),
        match report.findings.len() {
            0 if report.cycles == 0 => "nothing to compare".to_owned(),
            0 => "all as published".to_owned(),
            findings => human::counted(findings as u64, "finding").to_string(),
        },
    );
    text
}

/// Shows the bytes read so far on stderr; hidden unless that is a terminal.
struct BytesBar(ProgressBar);

impl BytesBar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = "{spinner} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl VerifyProgress for BytesBar {
    fn planned(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for BytesBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
