//! `dayport status`: shows a calendar of what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use clap::{Args, ValueEnum};

use crate::cli::shared::{ReportFormat, S3Arguments};
use crate::cli::{config, days, print, units};
use crate::cycle::Cycle;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::manifest::{LateReason, LateRecord};
use crate::status::{CompleteCycles, DayStatus, Status, TableStatus, folded, last_days, page};
use crate::store::{Destination, Location};
use crate::visible::visible_line;

/// The maximum number of incidents that are printed.
const MAX_INCIDENTS: usize = 10;

/// The meaning of each mark of the calendar.
const LEGEND: [(char, &str); 10] = [
    ('#', "published"),
    ('p', "published, provisional: a source was not ready"),
    ('l', "published, lacks source files that came too late"),
    ('0', "published, empty"),
    ('r', "published again, as a later revision"),
    ('!', "missing"),
    ('~', "committed but not finished: the next run finishes it"),
    (
        '^',
        "more than twice the median of the 14 publications before",
    ),
    ('v', "less than half of that median"),
    (
        '.',
        "not due: before the first publication, or a snapshot that a later one supersedes",
    ),
];

pub(super) const EXAMPLES: &str = "\
Reads manifests only: needs no definitions, writes nothing to the destination, and needs only the
rights List and Get. A line below the calendar says what its marks mean.

With --fail-on, the exit code is 1 if there is one of these:
  missing     a day before the last closed one that is due and not published
  late        the last closed day, --late-after its end
  unfinished  a commit that the next run finishes
  outlier     a day with more than twice or less than half of the usual rows
  late-files  a published day that lacks source files that came too late for it

Examples:
  dayport status --to s3://bucket/prefix/
  dayport status --to out --days 90 --html status.html
      a page with the calendar, rows, bytes and durations, which needs no network
  dayport status --to s3://bucket/prefix/ --fail-on missing,late --late-after 4h
      for an alarm

Exit codes: 0 shown, 1 there is something of --fail-on or the log of a table cannot be read, 2 the
call is wrong or nothing is published there, 75 try again.";

/// The arguments of `dayport status`.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// The destination: a folder or s3://bucket/prefix/
    #[arg(
        long,
        env = "DAYPORT_TO",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub to: String,

    /// The number of days to show, up to the last closed one
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub days: u32,

    /// The first day to show, instead of --days
    #[arg(
        long,
        value_name = "DAY",
        allow_hyphen_values = true,
        conflicts_with = "days"
    )]
    pub since: Option<String>,

    /// The last day to show, inclusive
    #[arg(
        long,
        value_name = "DAY",
        allow_hyphen_values = true,
        requires = "since",
        conflicts_with = "days"
    )]
    pub through: Option<String>,

    /// Exit with 1 if there is one of these; several are separated by commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,

    /// The time after the end of a day from which the day is late, for example 90m or 6h
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = units::duration)]
    pub late_after: Duration,

    /// Also write an HTML page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// The values of `--fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// A day before the last closed one is due and not published
    Missing,
    /// The last closed day is not published some time after its end
    Late,
    /// A commit is not finished
    Unfinished,
    /// A day has unusually many or few rows
    Outlier,
    /// A published day lacks source files that came too late
    LateFiles,
}

/// Runs the command.
pub(super) async fn status(arguments: StatusArguments) -> Result<ExitCode> {
    let clock = Clock::from_environment()?;
    let location = Location::parse(&arguments.to)?;
    let s3 = config::destination_store(&arguments.s3)?;
    let destination = Destination::open_read_only(&location, &s3).await?;
    let now = clock.now();
    let range = days::cycle_range(
        None,
        arguments.since.as_deref(),
        arguments.through.as_deref(),
    )?;
    let days = match range {
        Some(range) => range,
        None => last_days(now, arguments.days)?,
    };
    let status = Status::load(&destination, now, days).await?;
    if let Some(file) = &arguments.html {
        std::fs::write(file, page(&status)).map_err(|error| {
            Error::invalid(format!("cannot write `{}`", file.display())).with_source(error)
        })?;
    }
    match arguments.output {
        ReportFormat::Text => print::text(&text(&status)),
        ReportFormat::Json => print::json(&status)?,
    }
    if status.tables.is_empty() {
        return Err(
            Error::invalid(format!("nothing is published in `{destination}`"))
                .with_hint("is the prefix right? run dayport on it first"),
        );
    }
    let mut failures = failures(&status, &arguments)?;
    let unread = status
        .tables
        .iter()
        .filter(|table| table.log_fault.is_some());
    failures.extend(unread.map(|table| {
        format!(
            "the log of `{}` cannot be read, so that days may be unfinished or due again",
            table.table
        )
    }));
    if failures.is_empty() {
        return Ok(ExitCode::Done);
    }
    print::message(&format!("error: {}\n", failures.join(", ")));
    Ok(ExitCode::Failed)
}

/// Returns how many days of each kind of `--fail-on` there are, for each kind that there is.
fn failures(status: &Status, arguments: &StatusArguments) -> Result<Vec<String>> {
    let late_after = TimeDelta::from_std(arguments.late_after).unwrap_or(TimeDelta::MAX);
    let last_closed = Cycle::last_closed(status.at)?;
    let is = |kind: FailOn, day: &DayStatus| match (kind, day) {
        (FailOn::Missing, DayStatus::Missing { cycle }) => *cycle < last_closed,
        (FailOn::Late, DayStatus::Missing { cycle }) => {
            *cycle == last_closed && status.at - cycle.end() >= late_after
        }
        (FailOn::Unfinished, DayStatus::Unfinished { .. }) => true,
        (FailOn::Outlier, DayStatus::Published(day)) => day.outlier.is_some(),
        (FailOn::LateFiles, DayStatus::Published(day)) => day.late.is_some(),
        _ => false,
    };
    let kinds = arguments.fail_on.iter().filter_map(|kind| {
        let days = status.tables.iter().flat_map(|table| &table.days);
        let count = days.filter(|day| is(*kind, day)).count();
        let name = match kind {
            FailOn::Missing => "missing cycle",
            FailOn::Late => "late cycle",
            FailOn::Unfinished => "unfinished cycle",
            FailOn::Outlier => "outlier",
            FailOn::LateFiles => "cycle with late source files",
        };
        (count > 0).then(|| human::counted(count as u64, name).to_string())
    });
    Ok(kinds.collect())
}

/// True for the columns that are aligned to the right: figures.
const ALIGN_RIGHT: [bool; 6] = [false, false, false, true, true, true];

fn text(status: &Status) -> String {
    if status.tables.is_empty() {
        return String::new();
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
        if let Some(day) = table.published().next_back()
            && let Some(balance) = &day.balance
        {
            let (name, cycle) = (&table.table, day.cycle);
            let balance = balance.to_string();
            let _ = writeln!(text, "books: {name} {cycle}: {}", visible_line(&balance));
        }
        for day in table.published() {
            let (name, cycle) = (&table.table, day.cycle);
            if day.provisional {
                let _ = writeln!(text, "provisional: {name} {cycle}: a source was not ready");
            }
            if let Some(late) = &day.late {
                let _ = writeln!(text, "late: {name} {cycle}: {}", late_files(late));
            }
            if let Some(times) = day.outlier {
                let rows = human::counted(day.rows, "row");
                let _ = writeln!(
                    text,
                    "outlier: {name} {cycle}: {rows}, {times:.2} times the median before"
                );
            } else if day.empty_among_full {
                let _ = writeln!(text, "empty: {name} {cycle}: the days around it have rows");
            }
        }
    }
    text.push_str(&final_cycles(status));
    if let Some(complete) = &status.complete {
        text.push_str(&complete_cycles(complete));
    }
    for (incident, count) in folded(&status.incidents).into_iter().take(MAX_INCIDENTS) {
        let cycle = incident
            .cycle
            .map_or_else(String::new, |cycle| format!(" {cycle}"));
        let times = match count {
            1 => String::new(),
            count => format!(" (×{count})"),
        };
        let _ = writeln!(
            text,
            "incident: {}{cycle}: {}{times}",
            incident.table,
            visible_line(&incident.text)
        );
    }
    text.push_str(&legend(status));
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

/// Says which source files a cycle lacks, and why.
fn late_files(late: &LateRecord) -> String {
    let why = match &late.reason {
        LateReason::Final { since } => {
            format!(
                "the cycle was final since {}",
                since.format("%Y-%m-%d %H:%M UTC")
            )
        }
        LateReason::SourceGone { first } => {
            format!("`{}`, which it was read from, is gone", visible_line(first))
        }
        LateReason::NotComparable => "its query gives other rows each time".to_owned(),
    };
    let files = human::counted(late.count(), "source file");
    let first = late.files.first().map_or("", String::as_str);
    format!(
        "{files} came too late, first `{}`: {why}",
        visible_line(first)
    )
}

/// Says up to which cycle late source files change nothing any more; once if it is the same for all tables.
fn final_cycles(status: &Status) -> String {
    let mut through: BTreeMap<Cycle, Vec<&str>> = BTreeMap::new();
    for table in &status.tables {
        if let Some(cycle) = table.final_through {
            through.entry(cycle).or_default().push(table.table.as_str());
        }
    }
    let lines = through.iter().map(|(cycle, tables)| {
        if through.len() == 1 {
            return format!("final: through {cycle}\n");
        }
        format!("final: {}: through {cycle}\n", tables.join(", "))
    });
    lines.collect()
}

/// Renders which cycles are complete, by their markers.
fn complete_cycles(complete: &CompleteCycles) -> String {
    let mut text = format!(
        "complete: newest {} ({})\n",
        complete.newest, complete.marker
    );
    for (state, cycles) in [
        ("not complete", &complete.incomplete),
        ("no longer complete", &complete.withdrawn),
    ] {
        let _ = match cycles.as_slice() {
            [] => Ok(()),
            [only] => writeln!(text, "{state}: {only}"),
            [first, .., last] => {
                let count = human::counted(cycles.len() as u64, "cycle");
                writeln!(text, "{state}: {count} from {first} to {last}")
            }
        };
    }
    for damaged in &complete.damaged {
        let _ = writeln!(
            text,
            "damaged: {}: {}",
            damaged.cycle,
            visible_line(&damaged.reason)
        );
    }
    text
}

/// Returns the meaning of the marks that the calendar has.
fn legend(status: &Status) -> String {
    let days = status.tables.iter().flat_map(|table| &table.days);
    let marks: BTreeSet<char> = days.map(mark).collect();
    let meanings = LEGEND
        .iter()
        .filter(|(mark, _)| marks.contains(mark))
        .map(|(mark, meaning)| format!("{mark} {meaning}"));
    format!("legend: {}\n", meanings.collect::<Vec<_>>().join("; "))
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
        DayStatus::Published(day) if day.provisional => 'p',
        DayStatus::Published(day) if day.late.is_some() => 'l',
        DayStatus::Published(day) => match (day.outlier, day.rows, day.revision) {
            (_, 0, _) => '0',
            (Some(times), _, _) if times > 1.0 => '^',
            (Some(_), _, _) => 'v',
            (None, _, 0) => '#',
            (None, _, _) => 'r',
        },
    }
}
