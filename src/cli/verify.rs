//! `dayport verify`.

use std::fmt::Write;

use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::cli::args::{ReportForm, S3Arguments};
use crate::cli::{config, render};
use crate::cycle::Cycle;
use crate::env;
use crate::error::{Error, ExitCode, Result};
use crate::layout::TableName;
use crate::store::{Destination, Location};
use crate::verify::{
    NoProgress, VerifyCycles, VerifyDepth, VerifyProgress, VerifyReport, VerifyScope,
    verify as verify_tables,
};

/// Files read at once: enough to keep a network busy on few processors, and few enough for memory.
const JOBS: std::ops::RangeInclusive<usize> = 4..=16;

pub const EXAMPLES: &str = "\
Reads manifests and data alone: needs no definitions, and no rights but List and Get.

Findings: missing, extra, size, etag, sha256, rows, schema, partition, duplicate, sum, window,
manifest, unreadable; unfinished is a commit that the operator's next run finishes.
Of a snapshot the newest cycle is checked, of a cycle the newest revision: files of others are
replaced. With dates, foreign objects are looked for only in the partitions of these cycles.

Examples:
  dayport verify --to out
      every byte of everything published
  dayport verify --to s3://bucket/prefix/ --quick
      names, sizes and ETags only
  dayport verify --to s3://bucket/prefix/ --date 2026-01-15 pageview_events
      one cycle of one table

Exit codes: 0 all is as published, 1 there are findings, 2 the call is wrong, 75 try again.";

#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The tables to verify [default: all that are there]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// Where the tables were exported to: a folder or s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: String,

    /// One cycle, a UTC day [default: all cycles]
    #[arg(long, value_name = "DAY", conflicts_with_all = ["since", "through"])]
    pub date: Option<String>,

    /// The first cycle of a range
    #[arg(long, value_name = "DAY", requires = "through")]
    pub since: Option<String>,

    /// The last cycle of a range, included
    #[arg(long, value_name = "DAY", requires = "since")]
    pub through: Option<String>,

    /// Hold names, sizes and ETags against the manifests, and open no file
    #[arg(long)]
    pub quick: bool,

    /// Files read at once [default: the processors, at least 4, at most 16]
    #[arg(long, env = "DAYPORT_JOBS", value_name = "N")]
    pub jobs: Option<usize>,

    #[command(flatten)]
    pub s3: S3Arguments,

    /// The form of the report
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ReportForm,

    /// No progress and no report, only the exit code and errors
    #[arg(short, long)]
    pub quiet: bool,
}

pub async fn verify(arguments: VerifyArguments) -> Result<ExitCode> {
    let scope = VerifyScope {
        tables: tables(&arguments.tables)?,
        cycles: cycles(&arguments)?,
        depth: if arguments.quick {
            VerifyDepth::Quick
        } else {
            VerifyDepth::Full
        },
        jobs: match arguments.jobs {
            Some(0) => return Err(Error::invalid("--jobs 0 would do nothing")),
            Some(jobs) => jobs,
            None => env::processors().clamp(*JOBS.start(), *JOBS.end()),
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
        verify_tables(&destination, &scope, &Bar::new()).await?
    };
    if report.tables == 0 && report.findings.is_empty() {
        return Err(
            Error::invalid(format!("nothing is published in `{destination}`"))
                .with_hint("is the prefix right? a run has to come first"),
        );
    }
    if !arguments.quiet {
        match arguments.output {
            ReportForm::Text => render::print(&text(&report)),
            ReportForm::Json => render::json(&report)?,
        }
        if report.cycles == 0 {
            eprintln!("warning: no cycle of these tables and days makes up a table now");
        }
    }
    Ok(report.exit_code())
}

pub fn tables(names: &[String]) -> Result<Vec<TableName>> {
    names.iter().map(|name| name.parse()).collect()
}

/// A day given to an option.
pub fn day(option: &str, text: &str) -> Result<Cycle> {
    text.parse().map_err(|error: Error| error.context(option))
}

fn cycles(arguments: &VerifyArguments) -> Result<VerifyCycles> {
    match (&arguments.date, &arguments.since, &arguments.through) {
        (Some(date), _, _) => {
            let cycle = day("--date", date)?;
            Ok(VerifyCycles::Range {
                first: cycle,
                last: cycle,
            })
        }
        (None, Some(since), Some(through)) => {
            let (first, last) = (day("--since", since)?, day("--through", through)?);
            if first > last {
                return Err(Error::invalid(format!(
                    "--since {first} is later than --through {last}"
                )));
            }
            Ok(VerifyCycles::Range { first, last })
        }
        _ => Ok(VerifyCycles::All),
    }
}

/// A line for each finding, and a line about all of it.
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
            finding.key,
            finding.detail
        );
    }
    let count = |number: u64, one: &str, many: &str| {
        let unit = if number == 1 { one } else { many };
        format!("{} {unit}", HumanCount(number))
    };
    let depth = if report.quick {
        "names, sizes and ETags of "
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "checked {depth}{} of {}: {}, {}, {}; {}",
        count(report.cycles, "cycle", "cycles"),
        count(report.tables, "table", "tables"),
        count(report.files, "file", "files"),
        count(report.rows, "row", "rows"),
        HumanBytes(report.bytes),
        match report.findings.len() {
            0 => "all as published".to_owned(),
            findings => count(findings as u64, "finding", "findings"),
        },
    );
    text
}

/// Bytes read of bytes to read, on stderr; hidden unless that is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = "{spinner} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl VerifyProgress for Bar {
    fn planned(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
