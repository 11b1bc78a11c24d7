//! `dayport status`: shows a calendar of what is published.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::shared::{ReportFormat, S3Arguments};
use crate::cli::{config, print};
use crate::cycle::Cycle;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::status::{DayStatus, Status, TableStatus, page};
use crate::store::{Destination, Location};

pub(super) const EXAMPLES: &str = "\
Reads manifests only: needs no definitions, writes nothing to the destination, and needs only the
rights List and Get.

  #  published      0  published, empty    r  published again, as a later revision
  !  missing        ~  committed but not finished: the next run finishes it
  ^  more than twice, v less than half of the median of the 14 publications before
  .  not due: before the first publication, or a snapshot that a later one supersedes

Examples:
  dayport status --to s3://bucket/prefix/
  dayport status --to out --days 90 --html status.html
      a page with the calendar, rows, bytes and durations, which needs no network

Exit codes: 0 shown, 2 the call is wrong, 75 try again.";

/// The arguments of `dayport status`.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// The destination: a folder or s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: String,

    /// The number of days to show, up to the last closed one
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub days: u32,

    /// Also write an HTML page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// Runs the command.
pub(super) async fn status(arguments: StatusArguments) -> Result<ExitCode> {
    let clock = Clock::from_environment()?;
    let location = Location::parse(&arguments.to)?;
    let s3 = config::destination_store(&arguments.s3)?;
    let destination = Destination::open_read_only(&location, &s3).await?;
    let status = Status::load(&destination, clock.now(), arguments.days).await?;
    if let Some(file) = &arguments.html {
        std::fs::write(file, page(&status)).map_err(|error| {
            Error::invalid(format!("cannot write `{}`", file.display())).with_source(error)
        })?;
    }
    match arguments.output {
        ReportFormat::Text => print::text(&text(&status)),
        ReportFormat::Json => print::json(&status)?,
    }
    Ok(ExitCode::Done)
}

/// True for the columns that are aligned to the right: figures.
const ALIGN_RIGHT: [bool; 6] = [false, false, false, true, true, true];

fn text(status: &Status) -> String {
    if status.tables.is_empty() {
        return format!("nothing is published in {}\n", status.destination);
    }
    let days = format!("{} to {}", status.first, status.last);
    let heading = ["table", &days, "newest", "rows", "median", "trend"];
    let mut lines = vec![heading.map(str::to_owned)];
    lines.extend(status.tables.iter().map(line));
    let mut text = print::table(&lines, ALIGN_RIGHT);
    text.push('\n');
    for table in &status.tables {
        let missing_cycles: Vec<Cycle> = table
            .days
            .iter()
            .filter(|day| matches!(day, DayStatus::Missing { .. }))
            .map(DayStatus::cycle)
            .collect();
        if let [first, .., last] = missing_cycles.as_slice() {
            let _ = writeln!(
                text,
                "missing: {}: {} cycles from {first} to {last}",
                table.table,
                missing_cycles.len()
            );
        } else if let [only] = missing_cycles.as_slice() {
            let _ = writeln!(text, "missing: {}: {only}", table.table);
        }
        for day in table.published() {
            if let Some(times) = day.outlier {
                let rows = human::counted(day.rows, "row");
                let _ = writeln!(
                    text,
                    "outlier: {} {}: {rows}, {times:.2} times the median before",
                    table.table, day.cycle
                );
            }
        }
    }
    for incident in status.incidents.iter().take(10) {
        let cycle = incident
            .cycle
            .map_or_else(String::new, |cycle| format!(" {cycle}"));
        let _ = writeln!(
            text,
            "incident: {}{cycle}: {}",
            incident.table, incident.text
        );
    }
    let missing: u64 = status.tables.iter().map(|table| table.missing).sum();
    let _ = writeln!(
        text,
        "{} in {}, {} missing",
        human::counted(status.tables.len() as u64, "table"),
        status.destination,
        human::counted(missing, "cycle")
    );
    text
}

fn line(table: &TableStatus) -> [String; 6] {
    let none = || "-".to_owned();
    let newest = table.published().next_back();
    [
        table.table.to_string(),
        table.days.iter().map(mark).collect(),
        table.newest.map_or_else(none, |cycle| cycle.to_string()),
        newest.map_or_else(none, |day| human::count(day.rows).to_string()),
        table
            .median_rows
            .map_or_else(none, |rows| human::count(rows).to_string()),
        table
            .trend_percent
            .map_or_else(none, |trend| format!("{trend:+.0} %")),
    ]
}

fn mark(day: &DayStatus) -> char {
    match day {
        DayStatus::None { .. } => '.',
        DayStatus::Missing { .. } => '!',
        DayStatus::Unfinished { .. } => '~',
        DayStatus::Published(day) => match (day.outlier, day.rows, day.revision) {
            (_, 0, _) => '0',
            (Some(times), _, _) if times > 1.0 => '^',
            (Some(_), _, _) => 'v',
            (None, _, 0) => '#',
            (None, _, _) => 'r',
        },
    }
}
