//! `dayport test`: runs definitions over the cases of `sql/tests`.

mod github;
mod junit;
mod text;

pub(super) use text::summary;

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};

use crate::cases::{
    Case, CaseName, CaseOutcome, CaseRequest, CutRequest, RowsOf, TestReport, cut, load_cases,
    run_cases,
};
use crate::catalog::Sources;
use crate::cli::shared::{EngineArguments, S3Arguments};
use crate::cli::{config, days, print};
use crate::definition::{self, Definition, SOURCES};
use crate::engine::Engine;
use crate::error::{Error, ExitCode, Result};
use crate::human;
use crate::layout::FileFormat;
use crate::query::QueryContext;
use crate::scan::rejects::MaxRejects;
use crate::trace::TraceRequest;

pub(super) const EXAMPLES: &str = "\
A case is a folder sql/tests/<table>/<case>/. It has a few lines of each source in <source>.jsonl, the
rows that the definition must export of them in expected.jsonl, and maybe the lines that must be
rejected in expected_rejects.jsonl, and case.toml with date, [parameters] and ignore.

A member that a line of a source leaves out is NULL. A column that must have a value gets one: the
start of the day, 0, false, [], or its own name and the number of the line; a folder column gets the
first hour of the day. A line of expected.jsonl has every column, and null for NULL. The order of rows
does not matter. Nothing is written but by --update, --from-query and --from-trace.

Examples:
  dayport test
      all cases of sql/tests
  dayport test pageview_events domains/newest_dump
      those of one table, and one case of another
  dayport test --update pageview_events
      write what is exported now as what is expected
  dayport test pageview_events/one_user --from fixtures/raw --date 2026-01-15 \\
      --from-query \"SELECT * FROM events WHERE user_id = 'u1' AND date = '2026-01-15'\"
      a new case of real rows
  dayport test pageview_events/lost --from fixtures/raw --date 2026-01-15 --from-trace 5f2b8c1e
      a new case of one event, as it is in its files

Exit codes: 0 every case passed, 1 a case failed, 2 the call, a definition or a file of a case is wrong
and no case was run, 75 a store is unavailable.";

/// The options that make a new case.
const NEW_CASE: &str = "new_case";

/// The arguments of `dayport test`.
#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// The tables, or the cases, to test [default: all]
    #[arg(value_name = "TABLE[/CASE]")]
    pub cases: Vec<String>,

    #[command(flatten)]
    pub engine: EngineArguments,

    /// The file format of definitions without STORED AS: what it cannot hold fails a case
    #[arg(
        long,
        env = "DAYPORT_FORMAT",
        value_name = "FORMAT",
        default_value = "parquet",
        help_heading = "What"
    )]
    pub format: FileFormat,

    /// Write what is exported now into expected.jsonl and expected_rejects.jsonl
    #[arg(long, help_heading = "Writing")]
    pub update: bool,

    /// Write a new case of the rows of this query over one source
    #[arg(
        long,
        value_name = "SQL",
        group = NEW_CASE,
        conflicts_with = "from_trace",
        help_heading = "Writing"
    )]
    pub from_query: Option<String>,

    /// Write a new case of the lines with this id, as they are in the files of the sources
    #[arg(
        long,
        value_name = "EVENT_ID",
        group = NEW_CASE,
        help_heading = "Writing"
    )]
    pub from_trace: Option<String>,

    /// The column that holds the id of --from-trace
    #[arg(
        long,
        value_name = "NAME",
        default_value = "event_id",
        requires = "from_trace",
        help_heading = "Writing"
    )]
    pub column: String,

    /// The day of the new case, and the cycle that is searched for --from-trace [default: the last closed day]
    #[arg(
        long,
        value_name = "DAY",
        allow_hyphen_values = true,
        requires = NEW_CASE,
        help_heading = "Writing"
    )]
    pub date: Option<String>,

    #[command(flatten)]
    pub s3: S3Arguments,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: TestFormat,
}

/// The values of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TestFormat {
    Text,
    Json,
    /// XML as JUnit writes it, which most CI servers read
    Junit,
    /// Annotations of GitHub Actions
    Github,
}

/// Runs the command.
pub(super) async fn test(arguments: TestArguments) -> Result<ExitCode> {
    let sql = arguments.engine.sql.as_path();
    let definitions = definition::load(sql)?;
    let sources = Sources::load(&sql.join(SOURCES))?;
    let names: BTreeSet<&str> = sources.table_names().collect();
    let selected = arguments.cases.iter().map(|name| name.parse());
    let selected: Vec<CaseName> = selected.collect::<Result<_>>()?;
    let is_new = arguments.from_query.is_some() || arguments.from_trace.is_some();
    let cases = match is_new {
        true => new_case(&arguments, &definitions, &sources, &names, selected).await?,
        false => load_cases(sql, &definitions, &names, &selected)?,
    };
    if cases.is_empty() {
        let folder = sql.join(definition::TESTS);
        let what = format!("there is no case in `{}`", folder.display());
        return Err(Error::invalid(what).with_hint(
            "a case is a folder such as sql/tests/pageview_events/article; `dayport test --help` describes it",
        ));
    }
    let request = CaseRequest {
        sources: &sources,
        definitions: &definitions,
        settings: config::engine(&arguments.engine)?,
        parameters: config::parameters(&arguments.engine)?,
        format: arguments.format,
        update: arguments.update || is_new,
    };
    let mut report = run_cases(&request, cases).await?;
    if !arguments.cases.is_empty() {
        // Of those that were not named, nothing is known.
        report.without_cases.clear();
    }
    match arguments.output {
        TestFormat::Text => print::text(&text::render(&report)),
        TestFormat::Json => print::json(&report)?,
        TestFormat::Junit => print::raw(&junit::render(&report)),
        TestFormat::Github => print::raw(&github::render(&report)),
    }
    warn_of_empty(&report);
    Ok(match report.failed().next() {
        Some(_) => ExitCode::Failed,
        None => ExitCode::Done,
    })
}

/// Says which expectations that were written have no row: nobody sees that in an empty file.
fn warn_of_empty(report: &TestReport) {
    for case in &report.cases {
        let is_empty = case.exported_rows == 0 && case.rejected_lines == 0;
        if is_empty && matches!(&case.outcome, CaseOutcome::Updated { files } if !files.is_empty())
        {
            let name = case.full_name();
            print::message(&format!(
                "warning: {name}: no row is exported; is `date` in case.toml the day of its lines?\n"
            ));
        }
    }
}

/// Cuts a case out of real data.
async fn new_case(
    arguments: &TestArguments,
    definitions: &[Definition],
    sources: &Sources,
    names: &BTreeSet<&str>,
    selected: Vec<CaseName>,
) -> Result<Vec<Case>> {
    let mut selected = selected.into_iter();
    let (Some(name), None) = (selected.next(), selected.next()) else {
        return Err(Error::invalid("name the new case, and no other")
            .with_hint("dayport test pageview_events/my_case --from-query …"));
    };
    let cycle = days::date_or_last_closed(arguments.date.as_deref())?;
    let root = config::source_root(&arguments.engine)?;
    let store = config::source_store(&arguments.s3);
    let settings = config::engine(&arguments.engine)?;
    let engine = Engine::open(sources, root.as_ref(), &store, settings).await?;
    let parameters = config::parameters(&arguments.engine)?;
    let own: Vec<&Definition> = definitions
        .iter()
        .filter(|definition| definition.table == name.table)
        .collect();
    let rows = match (&arguments.from_query, &arguments.from_trace) {
        (Some(sql), _) => {
            let context = QueryContext {
                engine: &engine,
                sources,
                definitions: &[],
                left_out: None,
                // The query fails at a malformed line, which would be missing in the case.
                max_rejects: MaxRejects::Lines(0),
                parameters,
                cycle,
                destination: None,
            };
            RowsOf::Query(context, sql)
        }
        (None, event) => RowsOf::Event(TraceRequest {
            engine: &engine,
            definitions: &own,
            parameters,
            cycle,
            column: &arguments.column,
            event: event.as_deref().unwrap_or_default(),
            destination: None,
            tables: Vec::new(),
        }),
    };
    let (cases, lines) = cut(CutRequest {
        sql: &arguments.engine.sql,
        definitions,
        sources: names.clone(),
        name,
        rows,
        cycle,
    })
    .await?;
    print::message(&format!(
        "note: the case has {} of real data: replace what is personal before it is committed\n",
        human::counted(lines as u64, "line")
    ));
    Ok(cases)
}
