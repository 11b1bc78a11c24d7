//! Defines the argument groups that several commands share, and the values of their options.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::layout::FileFormat;

/// The arguments that open an engine: sources, definitions, parameters and memory.
#[derive(Debug, Args)]
pub(super) struct EngineArguments {
    /// The folder or s3://bucket/prefix/ that relative LOCATIONs of the sources start from
    #[arg(long, env = "DAYPORT_FROM", value_name = "PATH|URL")]
    pub from: Option<String>,

    /// The folder of the definitions; sources are declared in its `sources` folder
    #[arg(long, env = "DAYPORT_SQL", value_name = "DIR", default_value = "sql")]
    pub sql: PathBuf,

    /// The value of a parameter $NAME of a definition; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,

    /// Memory for queries, sorts and open files, for example 512MiB [default: half of the machine, at most 4GiB]
    #[arg(long, env = "DAYPORT_MEMORY_LIMIT", value_name = "SIZE")]
    pub memory_limit: Option<String>,
}

/// The arguments of S3 clients: retries, encryption and an assumed role.
#[derive(Debug, Args)]
pub(super) struct S3Arguments {
    /// The maximum time to retry requests to a store that does not respond, in seconds
    #[arg(
        long,
        env = "DAYPORT_RETRY_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 120
    )]
    pub retry_timeout: u64,

    /// The server-side encryption of every object written [default: the bucket's own]
    #[arg(long, env = "DAYPORT_SSE", value_name = "KIND")]
    pub sse: Option<SseKind>,

    /// The KMS key for --sse kms
    #[arg(long, env = "DAYPORT_SSE_KMS_KEY", value_name = "ARN")]
    pub sse_kms_key: Option<String>,

    /// The role to assume for the destination
    #[arg(long, env = "DAYPORT_ROLE_ARN", value_name = "ARN")]
    pub role_arn: Option<String>,

    /// The external id that the role's owner requires
    #[arg(
        long,
        env = "DAYPORT_EXTERNAL_ID",
        value_name = "ID",
        requires = "role_arn"
    )]
    pub external_id: Option<String>,
}

/// The values of `--sse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SseKind {
    /// SSE-S3
    Aes256,
    /// SSE-KMS
    Kms,
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
    #[arg(long, env = "DAYPORT_TO", value_name = "PATH|URL")]
    pub to: String,

    /// The maximum number or percentage of malformed lines per source; 0 accepts none
    #[arg(
        long,
        env = "DAYPORT_MAX_REJECTS",
        value_name = "N|P%",
        default_value = "0.1%"
    )]
    pub max_rejects: String,

    /// The maximum percentage of rows that a snapshot or a rerun may lose against what it replaces
    #[arg(long, env = "DAYPORT_MAX_SHRINK", value_name = "PERCENT", default_value_t = 50,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_shrink: u8,

    /// Replace what is published even if that loses more rows than --max-shrink
    #[arg(long)]
    pub allow_shrink: bool,

    /// The file format of tables whose definition does not set one
    #[arg(
        long,
        env = "DAYPORT_FORMAT",
        value_name = "FORMAT",
        default_value = "parquet"
    )]
    pub format: FileFormat,

    /// The target size of files, for example 100MiB [default: 256MiB for Parquet, 128MiB for JSON]
    #[arg(long, env = "DAYPORT_TARGET_FILE_SIZE", value_name = "SIZE")]
    pub target_file_size: Option<String>,

    /// The compression level of JSON files, 1 (largest files) to 12 (smallest); 4 is the fastest
    #[arg(long, env = "DAYPORT_GZIP_LEVEL", value_name = "LEVEL", default_value_t = 4,
          value_parser = clap::value_parser!(u8).range(1..=12))]
    pub gzip_level: u8,

    /// The maximum number of tables exported concurrently; they share scans of their sources [default: 32]
    #[arg(long, env = "DAYPORT_JOBS", value_name = "N")]
    pub jobs: Option<usize>,

    #[command(flatten)]
    pub s3: S3Arguments,
}

/// The arguments that select the cycles of a run.
#[derive(Debug, Args)]
pub(super) struct SelectionArguments {
    /// The one cycle to export, a UTC day
    #[arg(long, value_name = "DAY", conflicts_with_all = ["since", "through"])]
    pub date: Option<String>,

    /// The first cycle of a backfill
    #[arg(long, value_name = "DAY", requires = "through")]
    pub since: Option<String>,

    /// The last cycle of a backfill, inclusive
    #[arg(long, value_name = "DAY", requires = "since")]
    pub through: Option<String>,

    /// Replace cycles that are already published by a new revision
    #[arg(long)]
    pub rerun: bool,

    /// The maximum number of cycles per table when a run catches up
    #[arg(long, env = "DAYPORT_MAX_CYCLES", value_name = "N", conflicts_with_all = ["date", "since"])]
    pub max_cycles: Option<usize>,
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
