//! `dayport status`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;

use crate::cli::args::{ReportForm, S3Arguments};
use crate::cli::{config, render};
use crate::cycle::Cycle;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::status::{DayStatus, Status, TableStatus, page};
use crate::store::{Destination, Location};

pub const EXAMPLES: &str = "\
From manifests alone: needs no definitions, writes nothing there, and no rights but List and Get.

  #  published      0  published, empty    r  published again, as a later revision
  !  missing        ~  committed, not finished yet: the next run does
  ^  more than twice, v less than half of the median of the 14 publications before
  .  not due: before the first publication, or a snapshot of which a later one is there

Examples:
  dayport status --to s3://bucket/prefix/
  dayport status --to out --days 90 --html status.html
      one page with the calendar, rows, bytes and durations; needs no network

Exit codes: 0 shown, 2 the call is wrong, 75 try again.";

#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Where the tables are exported to: a folder or s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: String,

    /// The days shown, up to the last closed one
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub days: u32,

    /// Write a page for browsers too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// The form of the report
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ReportForm,

    #[command(flatten)]
    pub s3: S3Arguments,
}

pub async fn status(arguments: StatusArguments) -> Result<ExitCode> {
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
        ReportForm::Text => render::print(&text(&status)),
        ReportForm::Json => render::json(&status)?,
    }
    Ok(ExitCode::Done)
}

/// Columns whose figures stand at the right.
const RIGHT: [bool; 6] = [false, false, false, true, true, true];

fn text(status: &Status) -> String {
    if status.tables.is_empty() {
        return format!("nothing is published in {}\n", status.destination);
    }
    let days = format!("{} to {}", status.first, status.last);
    let heading = ["table", &days, "newest", "rows", "median", "trend"];
    let mut lines = vec![heading.map(str::to_owned)];
    lines.extend(status.tables.iter().map(line));
    let mut text = render::table(&lines, RIGHT);
    text.push('\n');
    for table in &status.tables {
        let missing: Vec<Cycle> = table
            .days
            .iter()
            .filter(|day| matches!(day, DayStatus::Missing { .. }))
            .map(DayStatus::cycle)
            .collect();
        if let [first, .., last] = missing.as_slice() {
            let _ = writeln!(
                text,
                "missing: {}: {} cycles from {first} to {last}",
                table.table,
                missing.len()
            );
        } else if let [only] = missing.as_slice() {
            let _ = writeln!(text, "missing: {}: {only}", table.table);
        }
        for day in table.published() {
            if let Some(times) = day.outlier {
                let rows = HumanCount(day.rows);
                let _ = writeln!(
                    text,
                    "outlier: {} {}: {rows} rows are {times:.2} times the median before",
                    table.table, day.cycle
                );
            }
        }
    }
    for incident in status.incidents.iter().take(10) {
        let cycle = incident.cycle.map(|cycle| format!(" {cycle}"));
        let cycle = cycle.unwrap_or_default();
        let _ = writeln!(
            text,
            "trouble: {}{cycle}: {}",
            incident.table, incident.text
        );
    }
    let missing: u64 = status.tables.iter().map(|table| table.missing).sum();
    let _ = writeln!(
        text,
        "{} tables in {}, {missing} cycles missing",
        status.tables.len(),
        status.destination
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
        newest.map_or_else(none, |day| HumanCount(day.rows).to_string()),
        table
            .median_rows
            .map_or_else(none, |rows| HumanCount(rows).to_string()),
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
