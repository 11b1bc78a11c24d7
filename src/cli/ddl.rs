//! `dayport ddl`: prints the statements that let a receiver read the export.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, ValueEnum};

use crate::cli::job::load_sources;
use crate::cli::shared::{EngineArguments, S3Arguments};
use crate::cli::{config, print};
use crate::cycle::Cycle;
use crate::ddl::{DdlTable, Dialect, script};
use crate::definition::{self, Definition};
use crate::delivery::History;
use crate::engine::Engine;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::layout::{self, FileFormat, TableName};
use crate::store::{Destination, Location};

pub(super) const EXAMPLES: &str = "\
The columns of published tables come from their manifests. The columns of other tables come from
their definitions in --sql; no source is read. Writes nothing.

Examples:
  dayport ddl --dialect duckdb --to out | duckdb export.db
      views over a local folder
  dayport ddl --dialect athena --to s3://bucket/prefix/ pageview_events
      one table, with partition projection";

/// The arguments of `dayport ddl`.
#[derive(Debug, Args)]
pub(super) struct DdlArguments {
    /// The tables to declare [default: all that are published or defined]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// The SQL dialect of the receiver
    #[arg(long, value_name = "DIALECT")]
    pub dialect: DialectKind,

    #[command(flatten)]
    pub engine: EngineArguments,

    /// The destination, as the receiver addresses it: a folder or s3://bucket/prefix/
    #[arg(
        long,
        env = "DAYPORT_TO",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub to: String,

    /// The file format of tables that are not published yet and whose definition does not set one
    #[arg(
        long,
        env = "DAYPORT_FORMAT",
        value_name = "FORMAT",
        default_value = "parquet"
    )]
    pub format: FileFormat,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// The values of `--dialect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DialectKind {
    Athena,
    Bigquery,
    Duckdb,
    Snowflake,
    Spark,
}

/// Runs the command.
pub(super) async fn ddl(arguments: DdlArguments) -> Result<ExitCode> {
    let location = Location::parse(&arguments.to)?;
    let dialect = dialect(arguments.dialect);
    // Fails before anything is read if the dialect cannot read this location.
    script(dialect, &location, &[])?;
    // A receiver has no definitions: the published tables are enough.
    let definitions = if arguments.engine.sql.is_dir() {
        definition::load(&arguments.engine.sql)?
    } else {
        Vec::new()
    };
    let mut by_name = if location.may_exist() {
        let destination =
            Destination::open(&location, &config::destination_store(&arguments.s3)?).await?;
        published(&destination, &arguments.tables).await?
    } else {
        BTreeMap::new()
    };
    let unpublished: Vec<Definition> = definitions
        .into_iter()
        .filter(|definition| is_requested(&arguments.tables, definition.table.as_str()))
        .filter(|definition| !by_name.contains_key(&definition.table))
        .collect();
    if !unpublished.is_empty() {
        for table in defined(&arguments, &unpublished, &location).await? {
            by_name.insert(table.name.clone(), table);
        }
    }
    check_found(&arguments, &location, &by_name)?;
    let tables: Vec<DdlTable> = by_name.into_values().collect();
    print::raw(&script(dialect, &location, &tables)?);
    Ok(ExitCode::Done)
}

fn dialect(kind: DialectKind) -> Dialect {
    match kind {
        DialectKind::Athena => Dialect::Athena,
        DialectKind::Bigquery => Dialect::BigQuery,
        DialectKind::Duckdb => Dialect::DuckDb,
        DialectKind::Snowflake => Dialect::Snowflake,
        DialectKind::Spark => Dialect::Spark,
    }
}

/// Returns true if the table is named, or if no table is named.
fn is_requested(tables: &[String], name: &str) -> bool {
    tables.is_empty() || tables.iter().any(|table| table == name)
}

/// Describes the requested tables that have manifests.
async fn published(
    destination: &Destination,
    requested: &[String],
) -> Result<BTreeMap<TableName, DdlTable>> {
    let mut tables = BTreeMap::new();
    for folder in destination.folders(&layout::manifests_folder()).await? {
        let Ok(name) = folder.parse::<TableName>() else {
            continue;
        };
        if !is_requested(requested, name.as_str()) {
            continue;
        }
        // Does not finish pending commits: a receiver reads only what the manifests list.
        let history = History::load(destination, &name, None).await?;
        if let Some(table) = DdlTable::published(&history.manifests(destination).await?) {
            tables.insert(name, table);
        }
    }
    Ok(tables)
}

/// Describes the tables of definitions, bound to the cycle that a first run would export. Reads no
/// source.
async fn defined(
    arguments: &DdlArguments,
    definitions: &[Definition],
    location: &Location,
) -> Result<Vec<DdlTable>> {
    let inputs = &arguments.engine;
    // Only the declared types of the sources matter, so any location serves as `--from`.
    let source_root = config::source_root(inputs)?.unwrap_or_else(|| location.clone());
    let engine = Engine::open(
        &load_sources(inputs)?,
        Some(&source_root),
        &config::source_store(&arguments.s3),
        config::engine(inputs)?,
    )
    .await?;
    let cycle = Cycle::last_closed(Clock::from_environment()?.now())?;
    let parameters = config::parameters(inputs)?;
    let mut tables = Vec::new();
    for definition in definitions {
        let bound = engine
            .bind(definition, cycle, &parameters, arguments.format)
            .await?;
        tables.push(DdlTable::defined(definition, &bound.spec, cycle));
    }
    Ok(tables)
}

/// Checks that every requested table, or any table at all, is published or defined.
fn check_found(
    arguments: &DdlArguments,
    location: &Location,
    tables: &BTreeMap<TableName, DdlTable>,
) -> Result<()> {
    let known: BTreeSet<&str> = tables.keys().map(TableName::as_str).collect();
    let (sql, hint) = (
        arguments.engine.sql.display(),
        "is --to the prefix that holds manifests/, and --sql the folder of the definitions?",
    );
    if known.is_empty() && arguments.tables.is_empty() {
        return Err(Error::invalid(format!(
            "nothing is published at `{location}`, and nothing is defined in `{sql}`"
        ))
        .with_hint(hint));
    }
    let errors = arguments
        .tables
        .iter()
        .filter(|table| !known.contains(table.as_str()))
        .map(|table| {
            Error::invalid(format!(
                "the table `{table}` is neither published at `{location}` nor defined in `{sql}`"
            ))
            .with_hint(hint)
        })
        .collect();
    Error::all(errors)
}
