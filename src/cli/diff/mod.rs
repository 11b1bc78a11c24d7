//! `dayport diff`: compares the tables of two sides.

mod markdown;
mod side_argument;
mod text;
mod value_text;

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use crate::catalog::Sources;
use crate::cli::diff::side_argument::SideArgument;
use crate::cli::shared::{EngineArguments, MaxRejectsArgument, S3Arguments};
use crate::cli::{config, days, job, print};
use crate::cycle::Cycle;
use crate::diff::report::SideRecord;
use crate::diff::{
    DefinedSide, DiffOptions, DiffReport, DiffSide, DiffSides, KeyChoice, PublishedSide, SqlFiles,
    diff as diff_tables, read_folder, read_revision,
};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, ExitCode, Result};
use crate::layout::TableName;
use crate::scan::rejects::MaxRejects;
use crate::store::{Destination, Location};

pub(super) const EXAMPLES: &str = "\
Sides:
  sql              the definitions in --sql as they are, run over the sources for --date
  git:REVISION     the definitions in --sql at a git revision, run over the sources for --date
  published        what is published at --to for --date
  published:DAY    what is published at --to for another day
  at:PATH|URL      what is published at another destination for --date

Compares columns, counts and rows. Rows match by --key, or by the columns that a definition groups by;
a key that several rows have is reported, and its rows are compared as a whole. Without a key, all rows
are. Values are the same if they are bit by bit: NULL and '' differ, and so do 0.0 and -0.0. The order of
rows, and the files that they are in, do not matter. Published files are compared with the digests of
their manifests before they are read. Writes nothing but temporary files, which take up to the size of
the rows that differ.

Examples:
  dayport diff pageview_events --date 2026-01-15 --from raw --to s3://bucket/prefix/ --key event_id
      what is published, and what the definition would export now
  dayport diff --left git:main --right sql --date 2026-01-15 --from raw --output markdown
      a change of definitions, for the comment of a pull request
  dayport diff domains --left published:2026-01-14 --right published --date 2026-01-15 --to out
      two cycles
  dayport diff --left published --right at:restored/ --date 2026-01-15 --to s3://bucket/prefix/
      two destinations

Exit codes: 0 identical, 1 different or a table failed, 2 the call or a definition is wrong,
75 try again.";

/// The arguments of `dayport diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// The tables to compare [default: all of either side]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    /// The left side, such as before a change; see below
    #[arg(long, value_name = "SIDE", default_value = "published")]
    pub left: String,

    /// The right side, such as after a change
    #[arg(long, value_name = "SIDE", default_value = "sql")]
    pub right: String,

    /// The cycle to compare, a UTC day [default: the last closed day]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub date: Option<String>,

    /// The columns by which rows match: several are separated by commas; a field of a struct is named by
    /// its path; `TABLE:COLUMN` is for one table. May be given several times
    #[arg(long, value_name = "COLUMN")]
    pub key: Vec<String>,

    /// Columns, or fields of structs, that are not compared: several are separated by commas
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub ignore_columns: Vec<String>,

    /// The number of rows to show of each kind: changed, only left, only right
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub samples: u16,

    /// The format of the report
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub output: DiffFormat,

    #[command(flatten)]
    pub engine: EngineArguments,

    #[command(flatten)]
    pub rejects: MaxRejectsArgument,

    /// The destination whose published tables are compared
    #[arg(
        long,
        env = "DAYPORT_TO",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub to: Option<String>,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// The values of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DiffFormat {
    /// For people, on a terminal
    Table,
    /// For programs: docs/diff.schema.json
    Json,
    /// For the comment of a pull request
    Markdown,
}

/// A side that is opened.
enum OpenSide {
    Defined {
        engine: Engine,
        files: SqlFiles,
        record: SideRecord,
    },
    Published {
        engine: Engine,
        destination: Destination,
        cycle: Cycle,
    },
}

/// Runs the command.
pub(super) async fn diff(arguments: DiffArguments) -> Result<ExitCode> {
    let left = SideArgument::parse("--left", &arguments.left)?;
    let right = SideArgument::parse("--right", &arguments.right)?;
    if left == right {
        let side = &arguments.left;
        return Err(Error::invalid(format!("both sides are `{side}`"))
            .with_hint("--left and --right name different sides"));
    }
    let cycle = days::date_or_last_closed(arguments.date.as_deref())?;
    let options = DiffOptions {
        tables: config::tables(&arguments.tables)?.into_iter().collect(),
        key: key(&arguments.key)?,
        ignored: arguments.ignore_columns.clone(),
        samples: usize::from(arguments.samples),
    };
    let parameters = config::parameters(&arguments.engine)?;
    let max_rejects = job::max_rejects(&arguments.rejects)?;
    let left = open("--left", &left, &arguments, cycle).await?;
    let right = open("--right", &right, &arguments, cycle).await?;
    let sides = DiffSides {
        left_record: left.record(),
        right_record: right.record(),
        left: left.side(cycle, &parameters, max_rejects),
        right: right.side(cycle, &parameters, max_rejects),
    };
    let report = diff_tables(&sides, &options, |table| {
        tracing::info!(%table, "comparing");
    })
    .await?;
    match arguments.output {
        DiffFormat::Table => print::text(&text::text(&report)),
        DiffFormat::Json => print::json(&report)?,
        DiffFormat::Markdown => print::text(&markdown::markdown(&report)),
    }
    print::message(&text::warnings(&report));
    Ok(exit_code(&report))
}

fn exit_code(report: &DiffReport) -> ExitCode {
    let mut failures = report.failures().peekable();
    let may_pass_by = |kind: ErrorKind| kind.exit_code() == ExitCode::TryAgain;
    match (failures.peek().is_some(), report.summary.different) {
        (true, _) if failures.all(may_pass_by) => ExitCode::TryAgain,
        (false, 0) => ExitCode::Done,
        _ => ExitCode::Failed,
    }
}

/// Parses the values of `--key`.
fn key(values: &[String]) -> Result<KeyChoice> {
    let mut key = KeyChoice::default();
    for value in values {
        let (table, columns) = match value.split_once(':') {
            Some((table, columns)) => {
                let table = table
                    .parse::<TableName>()
                    .map_err(|error| error.context(format!("--key {value}")))?;
                (Some(table), columns)
            }
            None => (None, value.as_str()),
        };
        let target = match table {
            Some(table) => key.of_table.entry(table).or_default(),
            None => &mut key.of_all,
        };
        for column in columns.split(',').map(str::trim) {
            if column.is_empty() {
                return Err(Error::invalid(format!(
                    "--key {value}: a column has no name"
                )));
            }
            if !target.iter().any(|known| known == column) {
                target.push(column.to_owned());
            }
        }
    }
    Ok(key)
}

async fn open(
    option: &str,
    side: &SideArgument,
    arguments: &DiffArguments,
    cycle: Cycle,
) -> Result<OpenSide> {
    match side {
        SideArgument::Sql | SideArgument::Git(_) => open_definitions(side, arguments, cycle).await,
        SideArgument::Published(day) => {
            let to = arguments.to.as_deref().ok_or_else(|| {
                Error::invalid(format!("{option} published needs --to"))
                    .with_hint("name the destination, or other sides with --left and --right")
            })?;
            let published = match day {
                Some(day) => days::day(option, day)?,
                None => cycle,
            };
            open_published("--to", to, arguments, published).await
        }
        SideArgument::At(place) => open_published(option, place, arguments, cycle).await,
    }
}

async fn open_definitions(
    side: &SideArgument,
    arguments: &DiffArguments,
    cycle: Cycle,
) -> Result<OpenSide> {
    debug_assert!(side.is_defined());
    let inputs = &arguments.engine;
    let folder = inputs.sql.display().to_string();
    let (files, record) = match side {
        SideArgument::Git(revision) => {
            let files = read_revision(&inputs.sql, revision)?;
            let record = SideRecord::Git {
                revision: revision.clone(),
                commit: files.commit.clone().unwrap_or_default(),
                folder,
                cycle,
            };
            (files, record)
        }
        _ => (read_folder(&inputs.sql)?, SideRecord::Sql { folder, cycle }),
    };
    let source_root = config::source_root(inputs)?;
    let engine = Engine::open(
        &files.sources,
        source_root.as_ref(),
        &config::source_store(&arguments.s3),
        config::engine(inputs)?,
    )
    .await?;
    Ok(OpenSide::Defined {
        engine,
        files,
        record,
    })
}

async fn open_published(
    option: &str,
    place: &str,
    arguments: &DiffArguments,
    cycle: Cycle,
) -> Result<OpenSide> {
    let location = Location::parse(place).map_err(|error| error.context(option))?;
    if !location.may_exist() {
        return Err(
            Error::invalid(format!("{option}: there is no folder `{location}`"))
                .with_hint("it is where a run has published"),
        );
    }
    let s3 = config::destination_store(&arguments.s3)?;
    let engine = Engine::open(
        &Sources::none(),
        None,
        &config::source_store(&arguments.s3),
        config::engine(&arguments.engine)?,
    )
    .await?;
    Ok(OpenSide::Published {
        engine,
        destination: Destination::open_read_only(&location, &s3).await?,
        cycle,
    })
}

impl OpenSide {
    fn record(&self) -> SideRecord {
        match self {
            Self::Defined { record, .. } => record.clone(),
            Self::Published {
                destination, cycle, ..
            } => SideRecord::Published {
                destination: destination.to_string(),
                cycle: *cycle,
            },
        }
    }

    fn side<'a>(
        &'a self,
        cycle: Cycle,
        parameters: &'a BTreeMap<String, String>,
        max_rejects: MaxRejects,
    ) -> DiffSide<'a> {
        match self {
            Self::Defined { engine, files, .. } => DiffSide::Defined(DefinedSide {
                engine,
                definitions: &files.definitions,
                sources_digest: files.sources_digest.clone(),
                parameters,
                max_rejects,
                cycle,
            }),
            Self::Published {
                engine,
                destination,
                cycle,
            } => DiffSide::Published(PublishedSide {
                engine,
                destination,
                cycle: *cycle,
            }),
        }
    }
}
