//! `dayport query`: runs SQL statements over sources, definitions and published tables.

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;

use crate::cli::available::load_available;
use crate::cli::config;
use crate::cli::days;
use crate::cli::job;
use crate::cli::rows_table::Expanded;
use crate::cli::shared::{EngineArguments, MaxRejectsArgument, RowFormat, S3Arguments};
use crate::cli::shell::shell;
use crate::cli::statement::{PrintOptions, run_statement};
use crate::engine::Engine;
use crate::error::{Error, ExitCode, Result};
use crate::query::{QueryContext, split};
use crate::store::{Destination, Location};

pub(super) const EXAMPLES: &str = "\
Tables: each source by its name; each definition as definition.<table>, and also by its name unless
a source has that name, over the cycle of --date; with --to, each published table as
exported.<table>. Plain SQL needs none of them. Without SQL on a terminal, a shell opens, with
history and completion; \\? prints help, \\d lists the tables, \\x prints a line for each column.

Malformed lines are set aside as by a run: stderr tells their number and the first ones. Above
--max-rejects the query fails. A query writes and creates nothing.

NULL is NULL in a table, nothing in CSV (an empty string is \"\"), and no member in JSON.

Examples:
  dayport query --from fixtures/raw --date 2026-01-15 pageview_events
      the rows that a run would export
  dayport query --from fixtures/raw \"SELECT name, count(*) FROM events GROUP BY name\"
      a source
  dayport query --to out \"SELECT day, count(*) FROM exported.pageview_events GROUP BY day\"
      what was published";

/// The arguments of `dayport query`.
#[derive(Debug, Args)]
pub(super) struct QueryArguments {
    /// SQL, or the name of a table [default: a shell on a terminal, otherwise SQL from stdin]
    #[arg(value_name = "SQL|TABLE")]
    pub query: Option<String>,

    #[command(flatten)]
    pub engine: EngineArguments,

    #[command(flatten)]
    pub rejects: MaxRejectsArgument,

    /// The destination whose published tables can be queried; a folder must exist
    #[arg(
        long,
        env = "DAYPORT_TO",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub to: Option<String>,

    /// The cycle that definitions are bound to [default: the last closed day]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub date: Option<String>,

    /// The maximum number of rows to print
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// The format of the rows; json prints one object per line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub output: RowFormat,

    /// Print the query's plan instead of its rows
    #[arg(long)]
    pub explain: bool,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// Runs the command.
pub(super) async fn query(arguments: QueryArguments) -> Result<ExitCode> {
    let inputs = &arguments.engine;
    let cycle = days::date_or_last_closed(arguments.date.as_deref())?;
    let source_root = config::source_root(inputs)?;
    let max_rejects = job::max_rejects(&arguments.rejects)?;
    let destination = match &arguments.to {
        Some(to) => Some(published(to, &arguments.s3).await?),
        None => None,
    };
    let available = load_available(inputs, source_root.as_ref())?;
    let sources = &available.sources;
    let settings = config::engine(inputs)?;
    check_spill_dir(settings.spill_dir.as_deref())?;
    let engine = Engine::open(
        sources,
        source_root.as_ref(),
        &config::source_store(&arguments.s3),
        settings,
    )
    .await?;
    let context = QueryContext {
        engine: &engine,
        sources,
        definitions: &available.definitions,
        left_out: available.left_out.as_ref(),
        max_rejects,
        parameters: config::parameters(inputs)?,
        cycle,
        destination: destination.as_ref(),
    };
    let options = PrintOptions {
        format: arguments.output,
        expanded: Expanded::Off,
        limit: arguments.limit,
        explain: arguments.explain,
    };
    match &arguments.query {
        Some(query) => run_statement(&context, query, options).await?,
        None if io::stdin().is_terminal() => shell(&context, options).await?,
        None => {
            let text = io::read_to_string(io::stdin())
                .map_err(|error| Error::invalid("stdin is not readable text").with_source(error))?;
            run_script(&context, &text, options).await?;
        }
    }
    Ok(ExitCode::Done)
}

/// Opens the destination whose tables are queried.
///
/// # Errors
/// [`Error::invalid`] if it is a folder that does not exist: a query creates nothing.
async fn published(to: &str, s3: &S3Arguments) -> Result<Destination> {
    let location = Location::parse(to)?;
    if !location.may_exist() {
        return Err(Error::invalid(format!("there is no folder `{location}`"))
            .with_hint("--to of a query is where a run has published"));
    }
    Destination::open_read_only(&location, &config::destination_store(s3)?).await
}

/// Checks that the folder for spill files exists: a run would create it, and a query creates nothing that
/// stays.
fn check_spill_dir(folder: Option<&Path>) -> Result<()> {
    match folder {
        Some(folder) if !folder.is_dir() => {
            let shown = folder.display();
            Err(Error::invalid(format!("there is no folder `{shown}`"))
                .with_hint("create it, or leave out --spill-dir"))
        }
        _ => Ok(()),
    }
}

/// Runs the statements of a script in order, up to the first one that fails. The last one needs no
/// semicolon.
async fn run_script(context: &QueryContext<'_>, text: &str, options: PrintOptions) -> Result<()> {
    let mut statements = split(text);
    if !statements.incomplete.is_empty() {
        statements.complete.push(statements.incomplete);
    }
    if statements.complete.is_empty() {
        return Err(
            Error::invalid("there is no SQL, as an argument or on stdin")
                .with_hint("`dayport query --help` shows examples"),
        );
    }
    for statement in statements.complete {
        run_statement(context, statement, options).await?;
    }
    Ok(())
}
