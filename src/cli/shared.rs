//! Defines the argument groups that several commands share, and the values of their options.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::cli::units;
use crate::layout::FileFormat;
use crate::run::{MAX_CATCH_UP, Mark};

/// The folder of the definitions, unless another one is named.
pub(super) const DEFAULT_SQL: &str = "sql";

/// The arguments that open an engine: sources, definitions, parameters and memory.
#[derive(Debug, Args)]
pub(super) struct EngineArguments {
    /// The folder or s3://bucket/prefix/ that relative LOCATIONs of the sources start from
    #[arg(
        long,
        env = "DAYPORT_FROM",
        value_name = "PATH|URL",
        hide_env_values = true,
        help_heading = "Where"
    )]
    pub from: Option<String>,

    /// The folder of the definitions; sources are declared in its `sources` folder
    #[arg(
        long,
        env = "DAYPORT_SQL",
        value_name = "DIR",
        default_value = DEFAULT_SQL,
        help_heading = "What"
    )]
    pub sql: PathBuf,

    /// The value of a parameter $NAME of a definition; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", help_heading = "What")]
    pub parameters: Vec<String>,

    /// Memory for queries, sorts and open files, for example 512MiB [default: half of the memory of the machine or container, at most 4GiB]
    #[arg(
        long,
        env = "DAYPORT_MEMORY_LIMIT",
        value_name = "SIZE",
        help_heading = "Resources"
    )]
    pub memory_limit: Option<String>,

    /// The folder for what does not fit into memory [default: the system's temporary folder]
    #[arg(
        long,
        env = "DAYPORT_SPILL_DIR",
        value_name = "DIR",
        help_heading = "Resources"
    )]
    pub spill_dir: Option<PathBuf>,
}

/// The arguments of S3 clients: retries, encryption and an assumed role.
#[derive(Debug, Args)]
pub(super) struct S3Arguments {
    /// The maximum time to retry requests to a store that does not respond, for example 90s or 2m
    #[arg(
        long,
        env = "DAYPORT_RETRY_TIMEOUT",
        value_name = "DURATION",
        default_value = "75s",
        value_parser = units::duration, help_heading = "S3")]
    pub retry_timeout: Duration,

    /// The server-side encryption of every object written [default: the bucket's own]
    #[arg(long, env = "DAYPORT_SSE", value_name = "KIND", help_heading = "S3")]
    pub sse: Option<SseKind>,

    /// The KMS key for --sse kms
    #[arg(
        long,
        env = "DAYPORT_SSE_KMS_KEY",
        value_name = "ARN",
        help_heading = "S3"
    )]
    pub sse_kms_key: Option<String>,

    /// The role to assume for the destination
    #[arg(
        long,
        env = "DAYPORT_ROLE_ARN",
        value_name = "ARN",
        help_heading = "S3"
    )]
    pub role_arn: Option<String>,

    /// The external id that the role's owner requires
    #[arg(
        long,
        env = "DAYPORT_EXTERNAL_ID",
        value_name = "ID",
        requires = "role_arn",
        help_heading = "S3"
    )]
    pub external_id: Option<String>,

    /// The ETags of the server of AWS_ENDPOINT_URL are no MD5: do not compare them with what is sent
    #[arg(long, env = "DAYPORT_OPAQUE_ETAGS", help_heading = "S3")]
    pub opaque_etags: bool,
}

/// The values of `--sse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SseKind {
    /// SSE-S3
    Aes256,
    /// SSE-KMS
    Kms,
}

/// The limit of malformed lines, which is the same for a run and for a query.
#[derive(Debug, Args)]
pub(super) struct MaxRejectsArgument {
    /// The maximum number of malformed lines per source, or the maximum percentage of its lines and
    /// of their bytes; 0 accepts none. Files without a good line fail, except with 100%
    #[arg(
        long,
        env = "DAYPORT_MAX_REJECTS",
        value_name = "N|P%",
        default_value = "0.1%",
        help_heading = "Guards"
    )]
    pub max_rejects: String,
}

/// The arguments of an export: its tables, sources and destination, its limits and file format.
#[derive(Debug, Args)]
pub(super) struct JobArguments {
    /// The tables to export [default: all definitions]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,

    #[command(flatten)]
    pub engine: EngineArguments,

    /// The destination: a folder or s3://bucket/prefix/
    #[arg(
        long,
        env = "DAYPORT_TO",
        value_name = "PATH|URL",
        hide_env_values = true,
        help_heading = "Where"
    )]
    pub to: String,

    /// A table whose definition was removed, so that complete cycles no longer wait for it; may be given
    /// several times
    #[arg(
        long,
        env = "DAYPORT_WITHOUT",
        value_name = "TABLE",
        value_delimiter = ',',
        help_heading = "What"
    )]
    pub without: Vec<String>,

    #[command(flatten)]
    pub rejects: MaxRejectsArgument,

    /// Your own folder or s3://bucket/prefix/ for the malformed lines themselves, which the destination
    /// never gets: it has their places and reasons. Rows that break audits go there, too. With it, sources are
    /// read to their end although lines are malformed
    #[arg(
        long,
        env = "DAYPORT_REJECTS_TO",
        value_name = "DIR|URL",
        hide_env_values = true,
        help_heading = "Where"
    )]
    pub rejects_to: Option<String>,

    /// The maximum number or percentage of rows per source that lie outside of the time of their folder, so
    /// that no cycle exports them; any number by default, with a warning
    #[arg(
        long,
        env = "DAYPORT_MAX_MISPLACED",
        value_name = "N|P%",
        help_heading = "Guards"
    )]
    pub max_misplaced: Option<String>,

    /// The maximum percentage of rows that a snapshot or a rerun may lose against what it replaces
    #[arg(long, env = "DAYPORT_MAX_SHRINK", value_name = "PERCENT", default_value_t = 50,
          value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Guards")]
    pub max_shrink: u8,

    /// Replace what is published even if that loses more rows than --max-shrink
    #[arg(long, help_heading = "Guards")]
    pub allow_shrink: bool,

    /// Publish cycles without source files as empty, instead of waiting for the files
    #[arg(long, env = "DAYPORT_ALLOW_EMPTY", help_heading = "Guards")]
    pub allow_empty: bool,

    /// The time after the end of a cycle for which it waits for sources that are not ready (OPTIONS
    /// ('ready' …)) [default: no limit]
    #[arg(
        long,
        env = "DAYPORT_READY_TIMEOUT",
        value_name = "DURATION",
        value_parser = units::duration,
        help_heading = "Guards"
    )]
    pub ready_timeout: Option<Duration>,

    /// What becomes of a cycle whose sources are still not ready after --ready-timeout
    #[arg(
        long,
        env = "DAYPORT_WHEN_NOT_READY",
        value_name = "ACTION",
        default_value = "fail",
        requires = "ready_timeout",
        help_heading = "Guards"
    )]
    pub when_not_ready: WhenNotReady,

    /// The number of published days whose source files a run without dates looks at again; 0 looks at none.
    /// Files that arrived late make a new revision
    #[arg(
        long,
        env = "DAYPORT_LOOKBACK",
        value_name = "DAYS",
        default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(0..=366),
        help_heading = "When"
    )]
    pub lookback: u32,

    /// The time after the end of a cycle from which it is final: late files are reported, and make no new
    /// revision; at most the lookback
    #[arg(
        long = "final",
        env = "DAYPORT_FINAL",
        value_name = "DURATION",
        default_value = "3d",
        value_parser = units::duration,
        help_heading = "When"
    )]
    pub time_to_final: Duration,

    /// Publish a table whose sync mode, format or partitioning differs from what is published
    #[arg(long, help_heading = "Guards")]
    pub accept_change: bool,

    /// Publish a table whose columns differ from what is published so that receivers may break
    #[arg(long, help_heading = "Guards")]
    pub accept_schema: bool,

    /// Publish a cycle although it breaks this audit, NAME or TABLE.NAME; repeatable
    #[arg(
        long = "accept-audit",
        value_name = "NAME",
        env = "DAYPORT_ACCEPT_AUDIT",
        help_heading = "Guards"
    )]
    pub accept_audits: Vec<String>,

    /// The file format of tables whose definition does not set one
    #[arg(
        long,
        env = "DAYPORT_FORMAT",
        value_name = "FORMAT",
        default_value = "parquet",
        help_heading = "Files"
    )]
    pub format: FileFormat,

    /// The target size of files, for example 100MiB [default: 256MiB for Parquet, 128MiB for JSON]
    #[arg(
        long,
        env = "DAYPORT_TARGET_FILE_SIZE",
        value_name = "SIZE",
        help_heading = "Files"
    )]
    pub target_file_size: Option<String>,

    /// Other signs of a complete cycle, below marks/: success writes _SUCCESS in a folder of the cycle, symlink
    /// the lists of files that Hive's SymlinkTextInputFormat reads; several are separated by commas
    #[arg(
        long,
        env = "DAYPORT_MARKS",
        value_name = "MARK",
        value_delimiter = ',',
        help_heading = "Files"
    )]
    pub marks: Vec<MarkArgument>,

    /// The compression level of JSON files, 1 (largest files) to 12 (smallest); 4 is the fastest
    #[arg(long, env = "DAYPORT_GZIP_LEVEL", value_name = "LEVEL", default_value_t = 4,
          value_parser = clap::value_parser!(u8).range(1..=12), help_heading = "Files")]
    pub gzip_level: u8,

    /// The maximum number of tables exported concurrently; they share scans of their sources [default: 32]
    #[arg(
        long,
        env = "DAYPORT_JOBS",
        value_name = "N",
        help_heading = "Resources"
    )]
    pub jobs: Option<usize>,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// The values of `--marks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum MarkArgument {
    /// marks/success/CYCLE/_SUCCESS, while the cycle is complete
    Success,
    /// marks/symlink/TABLE/PARTITION/CYCLE.txt, the addresses of its files
    Symlink,
}

impl From<MarkArgument> for Mark {
    fn from(mark: MarkArgument) -> Self {
        match mark {
            MarkArgument::Success => Mark::Success,
            MarkArgument::Symlink => Mark::Symlink,
        }
    }
}

/// The values of `--when-not-ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WhenNotReady {
    /// Its tables fail
    Fail,
    /// It is published, and its manifest says that it is provisional
    Publish,
}

/// The arguments that select the cycles of a run.
#[derive(Debug, Args)]
pub(super) struct SelectionArguments {
    /// The one cycle to export: a UTC day such as 2026-01-15, `yesterday`, or `-3d` for three days ago
    #[arg(long, value_name = "DAY", allow_hyphen_values = true, conflicts_with_all = ["since", "through"], help_heading = "When")]
    pub date: Option<String>,

    /// The first cycle of a backfill; without --through, it ends with the last closed day
    #[arg(
        long,
        value_name = "DAY",
        allow_hyphen_values = true,
        help_heading = "When"
    )]
    pub since: Option<String>,

    /// The last cycle of a backfill, inclusive
    #[arg(
        long,
        value_name = "DAY",
        allow_hyphen_values = true,
        requires = "since",
        help_heading = "When"
    )]
    pub through: Option<String>,

    /// Replace cycles that are already published by a new revision
    #[arg(long, help_heading = "When")]
    pub rerun: bool,

    /// The maximum number of cycles per table when a run catches up
    #[arg(long, env = "DAYPORT_MAX_CYCLES", value_name = "N", conflicts_with_all = ["date", "since"], help_heading = "When")]
    pub max_cycles: Option<usize>,

    /// The maximum number of due cycles per table; if more are due, nothing is attempted
    #[arg(long, env = "DAYPORT_MAX_CATCH_UP", value_name = "N", default_value_t = MAX_CATCH_UP, help_heading = "When")]
    pub max_catch_up: usize,
}

impl ValueEnum for FileFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[FileFormat::Parquet, FileFormat::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// The values of `--output` of commands that report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    Text,
    Json,
}

/// The values of `--output` of `dayport query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RowFormat {
    Table,
    Json,
    Csv,
}
