//! `dayport ddl`.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, ValueEnum};

use crate::catalog::Sources;
use crate::cli::args::{PlaceArguments, S3Arguments};
use crate::cli::{config, render};
use crate::cycle::Cycle;
use crate::ddl::{DdlTable, Dialect, script};
use crate::definition::{self, Definition};
use crate::delivery::History;
use crate::engine::Engine;
use crate::env::Clock;
use crate::error::{Error, ExitCode, Result};
use crate::layout::{self, FileFormat, TableName};
use crate::store::{Destination, Location};

pub const EXAMPLES: &str = "\
The manifests say what the columns are. Tables that are not published yet are stated as their
definitions in --sql have them; no source is read. Writes nothing.

Examples:
  dayport ddl --dialect duckdb --to out | duckdb export.db
      views over a local folder
  dayport ddl --dialect athena --to s3://bucket/prefix/ pageview_events
      one table, with partition projection";

#[derive(Debug, Args)]
pub struct DdlArguments {
    /// The tables [default: all that are published or defined]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// What the receiver reads with
    #[arg(long, value_name = "DIALECT")]
    pub dialect: DialectKind,

    #[command(flatten)]
    pub places: PlaceArguments,

    /// The destination, as the receiver addresses it: a folder or s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: String,

    /// The format of tables that are not published yet and whose definition pins none
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DialectKind {
    Athena,
    Bigquery,
    Duckdb,
    Snowflake,
    Spark,
}

pub async fn ddl(arguments: DdlArguments) -> Result<ExitCode> {
    let location = Location::parse(&arguments.to)?;
    let dialect = dialect(arguments.dialect);
    // Complains about what cannot be stated before anything is read.
    script(dialect, &location, &[])?;
    // A receiver has no definitions: what is published is enough.
    let definitions = if arguments.places.sql.is_dir() {
        definition::load(&arguments.places.sql)?
    } else {
        Vec::new()
    };
    let mut tables = if location.may_exist() {
        let destination =
            Destination::open(&location, &config::destination_store(&arguments.s3)?).await?;
        published(&destination, &arguments.tables).await?
    } else {
        BTreeMap::new()
    };
    let unpublished: Vec<Definition> = definitions
        .into_iter()
        .filter(|definition| is_wanted(&arguments.tables, definition.table.as_str()))
        .filter(|definition| !tables.contains_key(&definition.table))
        .collect();
    if !unpublished.is_empty() {
        for table in defined(&arguments, &unpublished, &location).await? {
            tables.insert(table.name.clone(), table);
        }
    }
    check_found(&arguments, &location, &tables)?;
    let tables: Vec<DdlTable> = tables.into_values().collect();
    render::print(&script(dialect, &location, &tables)?);
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

fn is_wanted(tables: &[String], name: &str) -> bool {
    tables.is_empty() || tables.iter().any(|table| table == name)
}

/// The tables that have manifests.
async fn published(
    destination: &Destination,
    wanted: &[String],
) -> Result<BTreeMap<TableName, DdlTable>> {
    let mut tables = BTreeMap::new();
    for folder in destination.folders(&layout::manifests_folder()).await? {
        let Ok(name) = folder.parse::<TableName>() else {
            continue;
        };
        if !is_wanted(wanted, name.as_str()) {
            continue;
        }
        // Nothing is finished here: a receiver follows the manifests that are there.
        let history = History::load(destination, &name, None).await?;
        if let Some(table) = DdlTable::published(&history.manifests(destination).await?) {
            tables.insert(name, table);
        }
    }
    Ok(tables)
}

/// The tables of definitions, bound to the cycle that a first run would export. No source is read.
async fn defined(
    arguments: &DdlArguments,
    definitions: &[Definition],
    location: &Location,
) -> Result<Vec<DdlTable>> {
    let places = &arguments.places;
    // Only the types of the sources are needed, so that any folder will do for `--from`.
    let from = config::from(places)?.unwrap_or_else(|| location.clone());
    let engine = Engine::open(
        &Sources::load(&places.sql.join("sources"))?,
        Some(&from),
        &config::source_store(&arguments.s3),
        config::engine(places)?,
    )
    .await?;
    let cycle = Cycle::last_closed(Clock::from_environment()?.now())?;
    let parameters = config::parameters(places)?;
    let mut tables = Vec::new();
    for definition in definitions {
        let bound = engine
            .bind(definition, cycle, &parameters, arguments.format)
            .await?;
        tables.push(DdlTable::defined(definition, &bound.spec, cycle));
    }
    Ok(tables)
}

fn check_found(
    arguments: &DdlArguments,
    location: &Location,
    tables: &BTreeMap<TableName, DdlTable>,
) -> Result<()> {
    let known: BTreeSet<&str> = tables.keys().map(TableName::as_str).collect();
    let (sql, hint) = (
        arguments.places.sql.display(),
        "is --to the prefix that holds manifests/, and --sql the folder of the definitions?",
    );
    if known.is_empty() && arguments.tables.is_empty() {
        return Err(Error::invalid(format!(
            "nothing is published at `{location}`, and nothing is defined in `{sql}`"
        ))
        .with_hint(hint));
    }
    let missing = arguments.tables.iter();
    let missing = missing.filter(|table| !known.contains(table.as_str()));
    let missing = missing.map(|table| {
        Error::invalid(format!(
            "the table `{table}` is neither published at `{location}` nor defined in `{sql}`"
        ))
        .with_hint(hint)
    });
    Error::all(missing.collect())
}
