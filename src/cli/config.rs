//! Turns arguments as they were typed into settings as they are meant.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::cli::shared::{EngineArguments, JobArguments, S3Arguments, SelectionArguments, SseKind};
use crate::codec::deflate::GzipLevel;
use crate::cycle::Cycle;
use crate::engine::EngineSettings;
use crate::env;
use crate::error::{Error, Result};
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
/// machine's memory, within limits.
pub(super) fn engine(arguments: &EngineArguments) -> Result<EngineSettings> {
    let memory = match &arguments.memory_limit {
        Some(text) => size("--memory-limit", text, MIN_LIMIT)?,
        None => MemoryBudget::default_limit(env::machine_memory()),
    };
    Ok(EngineSettings {
        memory_limit: usize::try_from(memory).unwrap_or(usize::MAX),
        parallelism: env::processors(),
        gzip_level: GzipLevel::default(),
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
        retry_timeout: Duration::from_secs(arguments.retry_timeout),
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
        s3: S3Options { encryption, role },
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

/// Returns the cycles from the first to the last one that `--date`, or `--since` and `--through`,
/// select; `None` if none of these options is given.
pub(super) fn cycle_range(
    date: Option<&str>,
    since: Option<&str>,
    through: Option<&str>,
) -> Result<Option<RangeInclusive<Cycle>>> {
    match (date, since, through) {
        (Some(date), _, _) => {
            let cycle = day("--date", date)?;
            Ok(Some(cycle..=cycle))
        }
        (None, Some(since), Some(through)) => {
            let (first, last) = (day("--since", since)?, day("--through", through)?);
            if first > last {
                return Err(Error::invalid(format!(
                    "--since {first} is later than --through {last}"
                )));
            }
            Ok(Some(first..=last))
        }
        _ => Ok(None),
    }
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

/// Parses a size in bytes such as `512MiB`, `4GiB` or `1000000`; units are binary only.
///
/// # Errors
/// `text` is not a size, or is less than `min` bytes. `option` names the argument in the message.
pub(super) fn size(option: &str, text: &str, min: u64) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: Option<u64> = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .ok_or_else(|| {
            Error::invalid(format!("{option}: `{text}` is not a size"))
                .with_hint("write it like 512MiB or 4GiB")
        })?;
    if bytes < min {
        return Err(Error::invalid(format!(
            "{option}: `{text}` is less than {min} bytes"
        )));
    }
    Ok(bytes)
}

/// Parses names of tables.
pub(super) fn tables(names: &[String]) -> Result<Vec<TableName>> {
    names.iter().map(|name| name.parse()).collect()
}

/// Parses the day that is given to `option`.
pub(super) fn day(option: &str, text: &str) -> Result<Cycle> {
    text.parse().map_err(|error: Error| error.context(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("1024", 1 << 10),
            ("64KiB", 64 << 10),
            ("512MiB", 512 << 20),
            ("4GiB", 4 << 30),
        ] {
            assert_eq!(size("--x", text, 1).unwrap(), bytes);
        }
        for text in ["", "4GB", "MiB", "-1", "1.5GiB", "99999999999GiB", "1"] {
            assert!(size("--x", text, 2).is_err(), "{text}");
        }
    }
}
