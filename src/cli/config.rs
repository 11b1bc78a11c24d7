//! Turns arguments as they were typed into settings as they are meant.

use std::collections::BTreeMap;

use tracing::debug;

use crate::cli::days::cycle_range;
use crate::cli::shared::{EngineArguments, JobArguments, S3Arguments, SelectionArguments, SseKind};
use crate::cli::units::size;
use crate::codec::deflate::GzipLevel;
use crate::cycle::Cycle;
use crate::engine::EngineSettings;
use crate::env;
use crate::error::{Error, Result};
use crate::human;
use crate::layout::TableName;
use crate::memory_budget::{MIN_LIMIT, MemoryBudget};
use crate::run::{self, CycleSelection};
use crate::store::{AssumedRole, Encryption, Location, S3Options, StoreOptions};

/// The default maximum of tables exported concurrently: more tables share a scan, fewer have more
/// memory each.
const DEFAULT_JOBS: usize = 32;

/// The minimum target size of a file, in bytes: a smaller one is a mistake.
const MIN_FILE_SIZE: u64 = 1 << 10;

/// Returns the location that relative `LOCATION`s of the sources start from, if one is given.
pub(super) fn source_root(arguments: &EngineArguments) -> Result<Option<Location>> {
    arguments.from.as_deref().map(Location::parse).transpose()
}

/// Parses the values of `--param`, by the names of the parameters.
pub(super) fn parameters(arguments: &EngineArguments) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for text in &arguments.parameters {
        let (name, value) = run::parameter(text)?;
        if parameters.insert(name.clone(), value).is_some() {
            return Err(Error::invalid(format!(
                "the parameter `{name}` is given twice"
            )));
        }
    }
    Ok(parameters)
}

/// Returns the settings of an engine that reads; without `--memory-limit` it gets half of the
/// memory that the process may use, within limits.
pub(super) fn engine(arguments: &EngineArguments) -> Result<EngineSettings> {
    if let Some(folder) = &arguments.spill_dir {
        // For files without a name: rejects, and what is read back. Later calls of a process change nothing.
        let _ = tempfile::env::override_temp_dir(folder);
    }
    let memory = match &arguments.memory_limit {
        Some(text) => size("--memory-limit", text, MIN_LIMIT)?,
        None => MemoryBudget::default_limit(env::usable_memory()),
    };
    debug!(memory_limit = %human::bytes(memory), "the memory is divided");
    Ok(EngineSettings {
        memory_limit: usize::try_from(memory).unwrap_or(usize::MAX),
        parallelism: env::processors(),
        gzip_level: GzipLevel::default(),
        spill_dir: arguments.spill_dir.clone(),
        spill_id: env::random_suffix(),
    })
}

/// Returns the settings of an engine that writes files.
pub(super) fn job_engine(arguments: &JobArguments) -> Result<EngineSettings> {
    Ok(EngineSettings {
        gzip_level: gzip_level(arguments)?,
        ..engine(&arguments.engine)?
    })
}

/// Returns the options of the store of the sources. They belong to the operator, so neither the role nor
/// the encryption of the destination applies to them.
pub(super) fn source_store(arguments: &S3Arguments) -> StoreOptions {
    StoreOptions {
        retry_timeout: arguments.retry_timeout,
        ..StoreOptions::default()
    }
}

/// Returns the options of the store of the destination.
pub(super) fn destination_store(arguments: &S3Arguments) -> Result<StoreOptions> {
    let encryption = match (arguments.sse, &arguments.sse_kms_key) {
        (None, None) => Encryption::Bucket,
        (Some(SseKind::Aes256), None) => Encryption::Aes256,
        (Some(SseKind::Kms), key) => Encryption::Kms { key: key.clone() },
        (None | Some(SseKind::Aes256), Some(_)) => {
            return Err(Error::invalid("--sse-kms-key without --sse kms"));
        }
    };
    let role = arguments.role_arn.clone().map(|arn| AssumedRole {
        arn,
        external_id: arguments.external_id.clone(),
    });
    Ok(StoreOptions {
        s3: S3Options {
            encryption,
            role,
            opaque_etags: arguments.opaque_etags,
        },
        ..source_store(arguments)
    })
}

/// Returns the cycles to export: those of the given dates, or those that are due.
pub(super) fn selection(arguments: &SelectionArguments) -> Result<CycleSelection> {
    let range = cycle_range(
        arguments.date.as_deref(),
        arguments.since.as_deref(),
        arguments.through.as_deref(),
    )?;
    Ok(match range {
        Some(range) => CycleSelection::Cycles(Cycle::range(*range.start(), *range.end())),
        None => CycleSelection::Due,
    })
}

/// Parses the target size of files, in bytes; `None` stands for the default of the format.
pub(super) fn target_file_size(arguments: &JobArguments) -> Result<Option<u64>> {
    let text = arguments.target_file_size.as_deref();
    text.map(|text| size("--target-file-size", text, MIN_FILE_SIZE))
        .transpose()
}

fn gzip_level(arguments: &JobArguments) -> Result<GzipLevel> {
    let level = arguments.gzip_level;
    GzipLevel::new(level)
        .ok_or_else(|| Error::invalid(format!("--gzip-level: {level} is not 1 to 12")))
}

/// Returns the maximum of tables exported concurrently.
pub(super) fn jobs(arguments: &JobArguments) -> Result<usize> {
    match arguments.jobs {
        Some(0) => Err(Error::invalid("--jobs 0 would do nothing")),
        Some(jobs) => Ok(jobs),
        None => Ok(DEFAULT_JOBS),
    }
}

/// Parses names of tables.
pub(super) fn tables(names: &[String]) -> Result<Vec<TableName>> {
    names.iter().map(|name| name.parse()).collect()
}
