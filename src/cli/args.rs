//! What may be typed.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::check::{self, CheckArguments};
use crate::cli::cluster::{self, ClusterArguments, OnCluster};
use crate::cli::ddl::{self, DdlArguments};
use crate::cli::log::LogArguments;
use crate::cli::manual::{self, CompletionsArguments, ManArguments};
use crate::cli::plan::{self, PlanArguments};
use crate::cli::policy::{self, PolicyArguments};
use crate::cli::serve::{self, ServeArguments};
use crate::cli::status::{self, StatusArguments};
use crate::cli::trace::{self, TraceArguments};
use crate::cli::verify::{self, VerifyArguments};
use crate::cli::wait::{self, WaitArguments};
use crate::layout::FileFormat;

/// Exports tables, defined in SQL, to S3 or a folder: complete days, exactly once, with proof.
#[derive(Debug, Parser)]
#[command(name = "dayport", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,

    #[command(flatten)]
    pub log: LogArguments,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Export the cycles that are due
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// Tell what `run` would do, and write nothing
    #[command(after_help = plan::EXAMPLES)]
    Plan(PlanArguments),
    /// Find out whether a run can succeed, by trying what it does
    #[command(after_help = check::EXAMPLES)]
    Check(CheckArguments),
    /// Print the policies that grant what `run` needs, for the bucket's owner
    #[command(after_help = policy::EXAMPLES)]
    Policy(PolicyArguments),
    /// Run SQL over sources, definitions and published tables, for debugging
    #[command(after_help = QUERY_EXAMPLES)]
    Query(QueryArguments),
    /// Stay, and run what is due every day
    #[command(after_help = serve::EXAMPLES)]
    Serve(Box<ServeArguments>),
    /// Show what is published, day by day
    #[command(after_help = status::EXAMPLES)]
    Status(StatusArguments),
    /// Read what was published again and hold it against the manifests
    #[command(after_help = verify::EXAMPLES)]
    Verify(VerifyArguments),
    /// Wait until a cycle is published
    #[command(after_help = wait::EXAMPLES)]
    Wait(WaitArguments),
    /// Print the statements that let a receiver read the export
    #[command(after_help = ddl::EXAMPLES)]
    Ddl(DdlArguments),
    /// Tell why an event is in the export of a day, or is not
    #[command(after_help = trace::EXAMPLES)]
    Trace(TraceArguments),
    /// Run the scheduler or an executor of a cluster, for `run --cluster`
    #[command(after_help = cluster::EXAMPLES)]
    Cluster(ClusterArguments),
    /// Print what a shell needs to complete the arguments
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
    /// Print the manual
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man(ManArguments),
}

const RUN_EXAMPLES: &str = "\
Examples:
  dayport run --from fixtures/raw --to out --date 2026-01-15
      one day, to a local folder
  dayport run --from s3://raw/ --to s3://bucket/prefix/
      every closed day after the last published one
  dayport run --from s3://raw/ --to s3://bucket/prefix/ --since 2026-01-01 --through 2026-01-31 pageview_events
      a backfill of one table

Exit codes: 0 done, 1 a table failed, 2 the call or a definition is wrong, 75 try again.";

const QUERY_EXAMPLES: &str = "\
Tables: each source by its name; each definition as definition.<table>, or by its name where no
source has it, over the cycle of --date; with --to, each published table as exported.<table>.
Without SQL on a terminal: a shell, with history and completion; \\? helps, \\d lists the tables.

Examples:
  dayport query --from fixtures/raw --date 2026-01-15 pageview_events
      the rows that a run would export
  dayport query --from fixtures/raw \"SELECT name, count(*) FROM events GROUP BY name\"
      a source
  dayport query --to out \"SELECT day, count(*) FROM exported.pageview_events GROUP BY day\"
      what was published";

/// Where things are.
#[derive(Debug, Args)]
pub struct PlaceArguments {
    /// Where relative LOCATIONs of the sources are: a folder or s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_FROM", value_name = "PATH|URL")]
    pub from: Option<String>,

    /// The folder with the definitions; sources are in its `sources` folder
    #[arg(long, env = "DAYPORT_SQL", value_name = "DIR", default_value = "sql")]
    pub sql: PathBuf,

    /// A value for a parameter $NAME of a definition; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,

    /// Memory for queries, sorts and open files, for example 512MiB [default: half of the machine, at most 4GiB]
    #[arg(long, env = "DAYPORT_MEMORY_LIMIT", value_name = "SIZE")]
    pub memory_limit: Option<String>,
}

/// How S3 is spoken to.
#[derive(Debug, Args)]
pub struct S3Arguments {
    /// Seconds to try again while a store does not answer
    #[arg(
        long,
        env = "DAYPORT_RETRY_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 120
    )]
    pub retry_timeout: u64,

    /// Server-side encryption of every object written [default: the bucket's own]
    #[arg(long, env = "DAYPORT_SSE", value_name = "KIND")]
    pub sse: Option<SseKind>,

    /// The KMS key, with --sse kms
    #[arg(long, env = "DAYPORT_SSE_KMS_KEY", value_name = "ARN")]
    pub sse_kms_key: Option<String>,

    /// A role to assume for the destination
    #[arg(long, env = "DAYPORT_ROLE_ARN", value_name = "ARN")]
    pub role_arn: Option<String>,

    /// The external id that the role's owner asks for
    #[arg(
        long,
        env = "DAYPORT_EXTERNAL_ID",
        value_name = "ID",
        requires = "role_arn"
    )]
    pub external_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SseKind {
    /// SSE-S3
    Aes256,
    /// SSE-KMS
    Kms,
}

#[derive(Debug, Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub selection: SelectionArguments,

    #[command(flatten)]
    pub job: JobArguments,

    #[command(flatten)]
    pub on: OnCluster,

    /// The form of the report
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ReportForm,

    /// No progress and no report, only errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// What is exported, from where to where, and how.
#[derive(Debug, Args)]
pub struct JobArguments {
    /// The tables to export [default: all definitions]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    #[command(flatten)]
    pub places: PlaceArguments,

    /// The destination: a folder or s3://bucket/prefix/
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: String,

    /// Malformed lines that a source may have, as a number or a percentage; 0 takes none
    #[arg(
        long,
        env = "DAYPORT_MAX_REJECTS",
        value_name = "N|P%",
        default_value = "0.1%"
    )]
    pub max_rejects: String,

    /// Rows that a snapshot or a rerun may lose, in percent of what it replaces
    #[arg(long, env = "DAYPORT_MAX_SHRINK", value_name = "PERCENT", default_value_t = 50,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_shrink: u8,

    /// Replace what is published even if most rows would be gone
    #[arg(long)]
    pub allow_shrink: bool,

    /// The format of tables whose definition pins none
    #[arg(
        long,
        env = "DAYPORT_FORMAT",
        value_name = "FORMAT",
        default_value = "parquet"
    )]
    pub format: FileFormat,

    /// Files end soon after this size, for example 100MiB [default: 256MiB Parquet, 128MiB JSON]
    #[arg(long, env = "DAYPORT_TARGET_FILE_SIZE", value_name = "SIZE")]
    pub target_file_size: Option<String>,

    /// How hard JSON files are compressed, 1 (least) to 12 (most); 4 is the fastest
    #[arg(long, env = "DAYPORT_GZIP_LEVEL", value_name = "LEVEL", default_value_t = 4,
          value_parser = clap::value_parser!(u8).range(1..=12))]
    pub gzip_level: u8,

    /// Tables at work at once, which share the reading of their sources [default: 32]
    #[arg(long, env = "DAYPORT_JOBS", value_name = "N")]
    pub jobs: Option<usize>,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// Which cycles.
#[derive(Debug, Args)]
pub struct SelectionArguments {
    /// One cycle, a UTC day
    #[arg(long, value_name = "DAY", conflicts_with_all = ["since", "through"])]
    pub date: Option<String>,

    /// The first cycle of a backfill
    #[arg(long, value_name = "DAY", requires = "through")]
    pub since: Option<String>,

    /// The last cycle of a backfill, included
    #[arg(long, value_name = "DAY", requires = "since")]
    pub through: Option<String>,

    /// Replace cycles that are published already, as a new revision
    #[arg(long)]
    pub rerun: bool,

    /// Cycles of one table at most, when a run catches up
    #[arg(long, env = "DAYPORT_MAX_CYCLES", value_name = "N", conflicts_with_all = ["date", "since"])]
    pub max_cycles: Option<usize>,
}

/// The values of `--format`, the default first.
impl ValueEnum for FileFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[FileFormat::Parquet, FileFormat::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportForm {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct QueryArguments {
    /// SQL, or the name of a table [default: a shell on a terminal, else SQL from stdin]
    #[arg(value_name = "SQL|TABLE")]
    pub query: Option<String>,

    #[command(flatten)]
    pub places: PlaceArguments,

    /// A destination, to read what was published there
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: Option<String>,

    /// The cycle that definitions are bound to [default: the last closed day]
    #[arg(long, value_name = "DAY")]
    pub date: Option<String>,

    /// Rows to print at most
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// The form of the rows; json is one object a line
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub output: RowForm,

    /// Print how the query would be run instead of its rows
    #[arg(long)]
    pub explain: bool,

    #[command(flatten)]
    pub s3: S3Arguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowForm {
    Table,
    Json,
    Csv,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_of_each_command_has_examples_and_exit_codes() {
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            assert!(
                help.contains(&format!("Examples:\n  dayport {name}")),
                "{name}"
            );
            let prints = ["query", "ddl", "completions", "man"].contains(&name);
            assert!(prints || help.contains("Exit codes:"), "{name}");
        }
    }
}
