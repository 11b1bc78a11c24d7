//! `dayport changes`: lists what a receiver has to load again.

use chrono::{DateTime, NaiveDateTime, Utc};
use clap::Args;

use crate::changes::{ChangedCycle, Changes, changes as changes_since};
use crate::cli::shared::{ReportFormat, S3Arguments};
use crate::cli::{config, days, print};
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::store::{Destination, Location};

pub(super) const EXAMPLES: &str = "\
Lists the cycles whose newest manifest appeared at --since or later, by the clock of the store: load
each in place of what you have of that table and cycle, a snapshot in place of the whole table. Reads
manifests only; needs no definitions, and only the rights List and Get.

The last line names the instant for the next call. What appears in the same second is listed twice,
so that nothing is left out.

Examples:
  dayport changes --to s3://bucket/prefix/ --since 2026-01-15T03:00Z
  dayport changes --to s3://bucket/prefix/ --since 2026-01-15 --output json pageview_events
      with the files that are new, replaced and removed, for a script

Exit codes: 0 listed, also if nothing changed; 2 the call is wrong; 75 try again.";

/// The arguments of `dayport changes`.
#[derive(Debug, Args)]
pub(super) struct ChangesArguments {
    /// The tables to list [default: all]
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

    /// The instant from which on changes are listed, such as 2026-01-15T03:00Z, or the start of a UTC day
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: String,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// Runs the command.
pub(super) async fn changes(arguments: ChangesArguments) -> Result<ExitCode> {
    let since = instant(&arguments.since)?;
    let tables = config::tables(&arguments.tables)?;
    let location = Location::parse(&arguments.to)?;
    if !location.may_exist() {
        return Err(Error::invalid(format!("there is no folder `{location}`")));
    }
    let s3 = config::destination_store(&arguments.s3)?;
    let destination = Destination::open_read_only(&location, &s3).await?;
    let changes = changes_since(&destination, since, &tables).await?;
    match arguments.output {
        ReportFormat::Text => print::text(&text(&changes)),
        ReportFormat::Json => print::json(&changes)?,
    }
    Ok(ExitCode::Done)
}

/// Parses `--since`: an instant with its zone, or a day.
fn instant(text: &str) -> Result<DateTime<Utc>> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.to_utc());
    }
    if let Ok(instant) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ") {
        return Ok(instant.and_utc());
    }
    let day = days::day("--since", text).map_err(|error| {
        error.with_hint("write an instant like 2026-01-15T03:00Z, or a day like 2026-01-15")
    })?;
    Ok(day.start())
}

const HEADINGS: [&str; 8] = [
    "table", "cycle", "revision", "rows", "new", "replaced", "removed", "manifest",
];

/// True for the columns that are aligned to the right: figures.
const ALIGN_RIGHT: [bool; 8] = [false, false, true, true, true, true, true, false];

fn text(changes: &Changes) -> String {
    let since = time(changes.since);
    if changes.changes.is_empty() {
        return format!("nothing was published since {since}\n");
    }
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(changes.changes.iter().map(line));
    let table = print::table(&lines, ALIGN_RIGHT);
    let count = match changes.changes.len() {
        1 => "1 cycle of a table".to_owned(),
        count => format!("{} cycles of tables", human::count(count as u64)),
    };
    let through = time(changes.through);
    format!("{table}\n{count} to load since {since}; next: --since {through}\n")
}

fn line(change: &ChangedCycle) -> [String; 8] {
    let count = |count: usize| human::count(count as u64).to_string();
    [
        change.table.to_string(),
        change.cycle.to_string(),
        change.revision.to_string(),
        human::count(change.rows).to_string(),
        count(change.added.len()),
        count(change.replaced.len()),
        count(change.removed.len()),
        change.manifest.clone(),
    ]
}

/// Formats an instant as `--since` takes it, without losing a part of a second.
fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_may_lack_its_seconds_and_never_its_zone() {
        let of = |text: &str| instant(text).map(time).ok();
        let three = Some("2026-01-15T03:00:00Z".to_owned());
        for text in [
            "2026-01-15T03:00Z",
            "2026-01-15T03:00:00Z",
            "2026-01-15T04:00:00+01:00",
        ] {
            assert_eq!(of(text), three, "{text}");
        }
        assert_eq!(of("2026-01-15"), Some("2026-01-15T00:00:00Z".to_owned()));
        let exact = "2026-01-15T03:00:00.123456789Z";
        assert_eq!(of(exact), Some(exact.to_owned()));
        for text in ["2026-01-15T03:00", "03:00Z", "soon", ""] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
