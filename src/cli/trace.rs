//! `dayport trace`: explains why an event is in the export, or is not.

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::Args;

use crate::cli::job;
use crate::cli::shared::{EngineArguments, ReportFormat, S3Arguments};
use crate::cli::{config, days, print};
use crate::definition::Definition;
use crate::engine::Engine;
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::layout::{self, TableName};
use crate::store::{Destination, Location};
use crate::trace::{
    Evaluation, ExportState, Occurrence, RowOutcome, RowPosition, TableTrace, TraceReport,
    TraceRequest, Truth, trace as trace_event,
};
use crate::visible::visible_line;

/// The maximum length of a value in the text report, in characters.
const MAX_VALUE_LENGTH: usize = 60;

pub(super) const EXAMPLES: &str = "\
Searches the source files that the cycle reads, runs each definition over the row that it finds
there, and searches the published files for the event. Writes nothing. Without --to, only the
sources are searched. A receiver, who has neither --from nor --sql, searches the export alone.

Examples:
  dayport trace 5f2b8c1e --date 2026-01-15 --from fixtures/raw --to out
      why the event is in the export of that day, or is not
  dayport trace user@example.com --column id --date 2026-01-15 --from fixtures/raw aliases
      by another column, through one table

Exit codes: 0 found, 1 not found, 2 the call is wrong, 75 a store is unavailable.";

/// The arguments of `dayport trace`.
#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    /// The event's id
    #[arg(value_name = "EVENT_ID")]
    pub event: String,

    /// The tables to trace [default: all]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// The cycle to search, a UTC day
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub date: String,

    /// The column that holds the id, in sources and in published files
    #[arg(long, value_name = "NAME", default_value = "event_id")]
    pub column: String,

    #[command(flatten)]
    pub engine: EngineArguments,

    /// The destination whose published files are searched
    #[arg(
        long,
        env = "DAYPORT_TO",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub to: Option<String>,

    #[command(flatten)]
    pub s3: S3Arguments,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,
}

/// Runs the command.
pub(super) async fn trace(arguments: TraceArguments) -> Result<ExitCode> {
    let inputs = &arguments.engine;
    let cycle = days::day("--date", &arguments.date)?;
    let requested: BTreeSet<TableName> = config::tables(&arguments.tables)?.into_iter().collect();
    let source_root = config::source_root(inputs)?;
    let destination = destination(&arguments).await?;
    let (sources, loaded) = job::load_or_none(inputs, source_root.as_ref(), destination.is_some())?;
    let is_requested = |table: &TableName| requested.is_empty() || requested.contains(table);
    let definitions: Vec<&Definition> = loaded
        .iter()
        .filter(|definition| is_requested(&definition.table))
        .collect();
    let mut undefined = published(destination.as_ref()).await?;
    undefined.retain(|table| {
        let is_defined = definitions
            .iter()
            .any(|definition| definition.table == *table);
        is_requested(table) && !is_defined
    });
    check_tables(&requested, &definitions, &undefined)?;

    let engine = Engine::open(
        &sources,
        source_root.as_ref(),
        &config::source_store(&arguments.s3),
        config::engine(inputs)?,
    )
    .await?;
    let report = trace_event(&TraceRequest {
        engine: &engine,
        definitions: &definitions,
        parameters: config::parameters(inputs)?,
        cycle,
        column: &arguments.column,
        event: &arguments.event,
        destination: destination.as_ref(),
        tables: undefined,
    })
    .await?;
    for failure in report
        .searched
        .iter()
        .filter_map(|source| source.failure.as_ref())
    {
        print::message(&format!(
            "warning: not searched: {}\n",
            visible_line(failure)
        ));
    }
    match arguments.output {
        ReportFormat::Text => print::text(&text(&report)),
        ReportFormat::Json => print::json(&report)?,
    }
    if report.is_found() {
        return Ok(ExitCode::Done);
    }
    print::message(
        "hint: is it of another day? only the files that the cycle of --date reads are searched\n",
    );
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

/// Lists the tables that have manifests.
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

/// Checks that every requested table is defined or published.
fn check_tables(
    requested: &BTreeSet<TableName>,
    definitions: &[&Definition],
    undefined: &[TableName],
) -> Result<()> {
    let defined = definitions.iter().map(|definition| &definition.table);
    let known: BTreeSet<&TableName> = defined.chain(undefined).collect();
    let errors = requested
        .iter()
        .filter(|table| !known.contains(table))
        .map(|table| {
            Error::invalid(format!(
                "the table `{table}` is neither defined nor published"
            ))
        })
        .collect();
    Error::all(errors)
}

/// Renders the report for people.
fn text(report: &TraceReport) -> String {
    let mut text = String::new();
    for (index, occurrence) in report.occurrences.iter().enumerate() {
        let _ = writeln!(text, "{}{}", number(report, index), location(occurrence));
    }
    if report.occurrences.is_empty() {
        for searched in report
            .searched
            .iter()
            .filter(|source| source.failure.is_none())
        {
            let (source, event) = (&searched.source, visible_line(&report.event));
            let files = human::counted(searched.files as u64, "file");
            let bytes = human::bytes(searched.bytes);
            let _ = writeln!(text, "{source}: not in {files} ({bytes}): {event}");
        }
    }
    for table in &report.tables {
        let verdict = verdict(report, table);
        if verdict.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{}: {verdict}", table.table);
        for evaluation in &table.evaluations {
            text += &reasons(evaluation, &number(report, evaluation.occurrence));
        }
        for note in &table.notes {
            let _ = writeln!(text, "  note: {}", visible_line(note));
        }
    }
    text
}

/// Returns the number that stands before lines about an occurrence, if there are several.
fn number(report: &TraceReport, index: usize) -> String {
    match report.occurrences.len() {
        0 | 1 => String::new(),
        _ => format!("[{}] ", index + 1),
    }
}

/// Formats the source, file and line or row of an occurrence.
fn location(occurrence: &Occurrence) -> String {
    let (source, file) = (&occurrence.source, visible_line(&occurrence.file));
    match occurrence.position {
        RowPosition::Line { line, offset } => {
            format!("{source}: line {line} of {file} (byte {offset})")
        }
        RowPosition::Record { record, offset } => {
            format!("{source}: record {record} of {file} (byte {offset})")
        }
        RowPosition::Row { row } => format!("{source}: row {row} of {file}"),
    }
}

/// Renders the outcomes of one table in one line.
fn verdict(report: &TraceReport, table: &TableTrace) -> String {
    let outcomes = table.evaluations.iter().map(|evaluation| {
        let word = match &evaluation.outcome {
            RowOutcome::Kept => "kept",
            RowOutcome::Dropped => "dropped",
            RowOutcome::Rejected { .. } => "malformed",
        };
        format!("{}{word}", number(report, evaluation.occurrence))
    });
    let mut words: Vec<String> = outcomes.collect();
    if words.is_empty() && !report.occurrences.is_empty() {
        words.push("not read".to_owned());
    }
    match &table.published {
        ExportState::NoDestination => {}
        ExportState::NoManifest => words.push(format!("{} is not published", report.cycle)),
        ExportState::NoColumn => {
            words.push(format!("its files have no column `{}`", report.column));
        }
        ExportState::Searched { files, .. } if files.is_empty() => {
            words.push("not in the published files".to_owned());
        }
        ExportState::Searched { files, .. } => words.extend(files.iter().map(|file| {
            let rows = match file.rows {
                1 => String::new(),
                rows => format!(" ({})", human::counted(rows, "row")),
            };
            format!("published in {}{rows}", visible_line(&file.path))
        })),
    }
    words.join(", ")
}

/// Renders the reasons for an outcome: the conditions with their values, or why a line is malformed.
fn reasons(evaluation: &Evaluation, number: &str) -> String {
    let mut text = String::new();
    if let RowOutcome::Rejected { reason, recorded } = &evaluation.outcome {
        let _ = writeln!(text, "  {number}{}", visible_line(reason));
        if let Some(path) = recorded {
            let _ = writeln!(text, "  {number}set aside in {}", visible_line(path));
        }
    }
    let conditions = &evaluation.conditions;
    let widths = conditions
        .iter()
        .map(|condition| condition.condition.chars().count());
    let width = widths.max().unwrap_or(0);
    for condition in conditions {
        let truth = match condition.holds {
            Truth::True => "true",
            Truth::False => "FALSE",
            Truth::Null => "NULL",
            Truth::Unknown => "?",
        };
        let values: Vec<String> = condition
            .values
            .iter()
            .map(|operand| {
                let value = visible_line(&operand.value);
                format!("{}: {}", operand.expression, shortened(&value))
            })
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

/// Cuts a value to the maximum length.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE_LENGTH) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
