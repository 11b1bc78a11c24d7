//! `dayport query`.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::WriterBuilder as CsvWriter;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use crate::catalog::Sources;
use crate::cli::args::{PlaceArguments, QueryArguments, RowForm};
use crate::cli::shell::shell;
use crate::cli::{config, render};
use crate::cycle::Cycle;
use crate::definition::{self, Definition};
use crate::engine::Engine;
use crate::engine_error::from_datafusion;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::query::{Workbench, open, split};
use crate::store::{Destination, Location};

pub async fn query(arguments: QueryArguments) -> Result<ExitCode> {
    let places = &arguments.places;
    let cycle = match &arguments.date {
        Some(date) => date
            .parse()
            .map_err(|error: Error| error.context("--date"))?,
        None => Cycle::last_closed(Clock::from_environment()?.now())?,
    };
    let from = config::from(places)?;
    let destination = match &arguments.to {
        Some(to) => Some(
            Destination::open(
                &Location::parse(to)?,
                &config::destination_store(&arguments.s3)?,
            )
            .await?,
        ),
        None => None,
    };
    let (sources, definitions) = match load(places, from.as_ref()) {
        Ok(loaded) => loaded,
        // A receiver has neither sources nor definitions: what is published is enough.
        Err(_) if from.is_none() && destination.is_some() => (Sources::none(), Vec::new()),
        Err(error) => return Err(error),
    };
    let settings = config::engine(places)?;
    let engine = Engine::open(
        &sources,
        from.as_ref(),
        &config::source_store(&arguments.s3),
        settings,
    )
    .await?;
    let workbench = Workbench {
        engine: &engine,
        sources: &sources,
        definitions: &definitions,
        parameters: config::parameters(places)?,
        cycle,
        destination: destination.as_ref(),
    };
    let printing = Printing {
        form: arguments.output,
        limit: arguments.limit,
        explain: arguments.explain,
    };
    match &arguments.query {
        Some(query) => run_statement(&workbench, query, printing).await?,
        None if io::stdin().is_terminal() => shell(&workbench, printing).await?,
        None => {
            let text = io::read_to_string(io::stdin())
                .map_err(|error| Error::invalid("stdin is not readable text").with_source(error))?;
            run_script(&workbench, &text, printing).await?;
        }
    }
    Ok(ExitCode::Done)
}

/// How rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printing {
    pub form: RowForm,
    /// Rows at most.
    pub limit: Option<usize>,
    /// The plan instead of the rows.
    pub explain: bool,
}

/// One statement after the other, up to the first that fails.
async fn run_script(workbench: &Workbench<'_>, text: &str, printing: Printing) -> Result<()> {
    let statements = split(text);
    let last = Some(statements.open).filter(|open| !open.is_empty());
    let statements: Vec<&str> = statements.ended.into_iter().chain(last).collect();
    if statements.is_empty() {
        return Err(
            Error::invalid("there is no SQL, as an argument or on stdin")
                .with_hint("`dayport query --help` shows examples"),
        );
    }
    for statement in statements {
        run_statement(workbench, statement, printing).await?;
    }
    Ok(())
}

/// Runs an SQL query, or a table given by its name, and prints its rows.
pub async fn run_statement(
    workbench: &Workbench<'_>,
    statement: &str,
    printing: Printing,
) -> Result<()> {
    let rows = open(workbench, statement).await?;
    let rows = match printing.limit {
        Some(limit) => rows.limit(0, Some(limit)).map_err(from_datafusion)?,
        None => rows,
    };
    let rows = if printing.explain {
        rows.explain(false, false).map_err(from_datafusion)?
    } else {
        rows
    };
    print_rows(rows, printing.form).await
}

/// The sources and definitions of a folder.
pub fn load(
    places: &PlaceArguments,
    from: Option<&Location>,
) -> Result<(Sources, Vec<Definition>)> {
    let sources = Sources::load(&places.sql.join("sources"))?;
    sources.locations(from.map(Location::url))?;
    Ok((sources, definition::load(&places.sql)?))
}

async fn print_rows(rows: DataFrame, form: RowForm) -> Result<()> {
    let unprintable =
        |error| Error::data("these rows cannot be printed that way").with_source(error);
    if form == RowForm::Table {
        let schema = Arc::clone(rows.schema().inner());
        let mut batches = rows.collect().await.map_err(from_datafusion)?;
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let table = pretty_format_batches(&batches).map_err(unprintable)?;
        render::print(&format!("{table}\n"));
        eprintln!("{count} row{}", if count == 1 { "" } else { "s" });
        return Ok(());
    }
    let schema = Arc::clone(rows.schema().inner());
    let mut stream = rows.execute_stream().await.map_err(from_datafusion)?;
    let stdout = render::Rows::default();
    let mut csv = CsvWriter::new().with_header(true).build(stdout.clone());
    let mut json = LineDelimitedWriter::new(stdout.clone());
    if form == RowForm::Csv {
        // The header, even if there are no rows.
        csv.write(&RecordBatch::new_empty(schema))
            .map_err(unprintable)?;
    }
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(from_datafusion)?;
        match form {
            RowForm::Csv => csv.write(&batch).map_err(unprintable)?,
            RowForm::Json => json.write(&batch).map_err(unprintable)?,
            RowForm::Table => {}
        }
        if stdout.is_closed() {
            break;
        }
    }
    Ok(())
}
