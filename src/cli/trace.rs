//! `dayport trace`.

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};

use crate::catalog::Sources;
use crate::cli::args::{PlaceArguments, ReportForm, S3Arguments};
use crate::cli::query::load;
use crate::cli::verify::{day, tables};
use crate::cli::{config, render};
use crate::definition::Definition;
use crate::engine::Engine;
use crate::error::{Error, ExitCode, Result};
use crate::layout::{self, TableName};
use crate::store::{Destination, Location};
use crate::trace::{
    Occurrence, Outcome, Published, Report, Request, RowPosition, Seen, TableTrace, Truth,
    trace as trace_event,
};

/// Values are cut to this many characters in text.
const LONGEST_VALUE: usize = 60;

pub const EXAMPLES: &str = "\
Searches the source files that the cycle reads, runs each definition over the row that is found
there, and looks it up in the published files. Writes nothing. Without --to only the sources are
searched; a receiver, who has neither --from nor --sql, searches the export alone.

Examples:
  dayport trace 5f2b8c1e --date 2026-01-15 --from fixtures/raw --to out
      why the event is in the export of that day, or is not
  dayport trace user@example.com --column id --date 2026-01-15 --from fixtures/raw aliases
      by another column, through one table

Exit codes: 0 found, 1 not found, 2 the call is wrong, 75 a store is unavailable.";

#[derive(Debug, Args)]
pub struct TraceArguments {
    /// The event's id
    #[arg(value_name = "EVENT_ID")]
    pub event: String,

    /// The tables to look at [default: all]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// The cycle, a UTC day
    #[arg(long, value_name = "DAY")]
    pub date: String,

    /// The column that holds the id, in sources and in published files
    #[arg(long, value_name = "NAME", default_value = "event_id")]
    pub column: String,

    #[command(flatten)]
    pub places: PlaceArguments,

    /// The destination, to look at what was published
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: Option<String>,

    #[command(flatten)]
    pub s3: S3Arguments,

    /// The form of the report
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ReportForm,
}

pub async fn trace(arguments: TraceArguments) -> Result<ExitCode> {
    let places = &arguments.places;
    let cycle = day("--date", &arguments.date)?;
    let wanted: BTreeSet<TableName> = tables(&arguments.tables)?.into_iter().collect();
    let from = config::from(places)?;
    let destination = destination(&arguments).await?;
    let (sources, definitions) = match load(places, from.as_ref()) {
        Ok(loaded) => loaded,
        Err(_) if from.is_none() && destination.is_some() => (Sources::none(), Vec::new()),
        Err(error) => return Err(error),
    };
    let is_wanted = |table: &TableName| wanted.is_empty() || wanted.contains(table);
    let definitions: Vec<&Definition> = definitions
        .iter()
        .filter(|definition| is_wanted(&definition.table))
        .collect();
    let mut others = published(destination.as_ref()).await?;
    others.retain(|table| {
        let mut definitions = definitions.iter();
        is_wanted(table) && definitions.all(|definition| definition.table != *table)
    });
    check_tables(&wanted, &definitions, &others)?;

    let engine = Engine::open(
        &sources,
        from.as_ref(),
        &config::source_store(&arguments.s3),
        config::engine(places)?,
    )
    .await?;
    let report = trace_event(&Request {
        engine: &engine,
        definitions: &definitions,
        parameters: config::parameters(places)?,
        cycle,
        column: &arguments.column,
        event: &arguments.event,
        destination: destination.as_ref(),
        tables: others,
    })
    .await?;
    for failure in report
        .searched
        .iter()
        .filter_map(|source| source.failure.as_ref())
    {
        eprintln!("warning: not searched: {failure}");
    }
    match arguments.output {
        ReportForm::Text => render::print(&text(&report)),
        ReportForm::Json => {
            let text = serde_json::to_string_pretty(&report)
                .map_err(|error| Error::internal("cannot print the report").with_source(error))?;
            render::print(&format!("{text}\n"));
        }
    }
    if report.is_found() {
        return Ok(ExitCode::Done);
    }
    eprintln!("hint: is it of another day? only what the cycle of --date reads is searched");
    Ok(ExitCode::Failed)
}

async fn destination(arguments: &TraceArguments) -> Result<Option<Destination>> {
    let Some(to) = &arguments.to else {
        return Ok(None);
    };
    let location = Location::parse(to)?;
    if !location.may_exist() {
        return Err(Error::invalid(format!("there is no folder `{location}`")));
    }
    let destination =
        Destination::open(&location, &config::destination_store(&arguments.s3)?).await;
    destination.map(Some)
}

/// The tables that have manifests.
async fn published(destination: Option<&Destination>) -> Result<Vec<TableName>> {
    let Some(destination) = destination else {
        return Ok(Vec::new());
    };
    let folders = destination.folders(&layout::manifests_folder()).await?;
    Ok(folders
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect())
}

fn check_tables(
    wanted: &BTreeSet<TableName>,
    definitions: &[&Definition],
    others: &[TableName],
) -> Result<()> {
    let defined = definitions.iter().map(|definition| &definition.table);
    let known: BTreeSet<&TableName> = defined.chain(others).collect();
    let unknown = wanted.iter().filter(|table| !known.contains(table));
    let unknown = unknown.map(|table| {
        Error::invalid(format!(
            "the table `{table}` is neither defined nor published"
        ))
    });
    Error::all(unknown.collect())
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for (index, occurrence) in report.occurrences.iter().enumerate() {
        let _ = writeln!(text, "{}{}", number(report, index), place(occurrence));
    }
    if report.occurrences.is_empty() {
        for searched in report
            .searched
            .iter()
            .filter(|source| source.failure.is_none())
        {
            let (source, event) = (&searched.source, &report.event);
            let files = HumanCount(searched.files as u64);
            let bytes = HumanBytes(searched.bytes);
            let _ = writeln!(text, "{source}: not in {files} files ({bytes}): {event}");
        }
    }
    for table in &report.tables {
        let verdict = verdict(report, table);
        if verdict.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{}: {verdict}", table.table);
        for seen in &table.seen {
            text += &reasons(seen, &number(report, seen.occurrence));
        }
        for note in &table.notes {
            let _ = writeln!(text, "  note: {note}");
        }
    }
    text
}

/// In front of what is said of an occurrence, where there are several.
fn number(report: &Report, index: usize) -> String {
    match report.occurrences.len() {
        0 | 1 => String::new(),
        _ => format!("[{}] ", index + 1),
    }
}

fn place(occurrence: &Occurrence) -> String {
    let (source, file) = (&occurrence.source, &occurrence.file);
    match occurrence.position {
        RowPosition::Line { line, offset } => {
            format!("{source}: line {line} of {file} (byte {offset})")
        }
        RowPosition::Row { row } => format!("{source}: row {row} of {file}"),
    }
}

fn verdict(report: &Report, table: &TableTrace) -> String {
    let seen = table.seen.iter().map(|seen| {
        let word = match &seen.outcome {
            Outcome::Kept => "kept",
            Outcome::Dropped => "dropped",
            Outcome::Rejected { .. } => "malformed",
        };
        format!("{}{word}", number(report, seen.occurrence))
    });
    let mut words: Vec<String> = seen.collect();
    if words.is_empty() && !report.occurrences.is_empty() {
        words.push("not read".to_owned());
    }
    match &table.published {
        Published::NotAsked => {}
        Published::NoManifest => words.push(format!("{} is not published", report.cycle)),
        Published::NoColumn => {
            words.push(format!("its files have no column `{}`", report.column));
        }
        Published::Searched { files, .. } if files.is_empty() => {
            words.push("not in the published files".to_owned());
        }
        Published::Searched { files, .. } => words.extend(files.iter().map(|file| {
            let rows = match file.rows {
                1 => String::new(),
                rows => format!(" ({rows} rows)"),
            };
            format!("published in {}{rows}", file.path)
        })),
    }
    words.join(", ")
}

fn reasons(seen: &Seen, number: &str) -> String {
    let mut text = String::new();
    if let Outcome::Rejected { reason, recorded } = &seen.outcome {
        let _ = writeln!(text, "  {number}{reason}");
        if let Some(path) = recorded {
            let _ = writeln!(text, "  {number}set aside in {path}");
        }
    }
    let widths = seen.conditions.iter();
    let widths = widths.map(|condition| condition.condition.chars().count());
    let width = widths.max().unwrap_or(0);
    for condition in &seen.conditions {
        let truth = match condition.holds {
            Truth::True => "true",
            Truth::False => "FALSE",
            Truth::Null => "NULL",
            Truth::Unknown => "?",
        };
        let values = condition.values.iter();
        let values: Vec<String> = values
            .map(|operand| format!("{}: {}", operand.expression, shortened(&operand.value)))
            .collect();
        let line = format!(
            "  {number}{truth:<5}  {:<width$}  {}",
            condition.condition,
            values.join(", ")
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
