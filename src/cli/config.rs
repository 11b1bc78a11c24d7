//! What was typed → what is meant.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::args::{JobArguments, PlaceArguments, S3Arguments, SelectionArguments, SseKind};
use crate::codec::deflate::GzipLevel;
use crate::cycle::Cycle;
use crate::engine::EngineSettings;
use crate::env;
use crate::error::{Error, Result};
use crate::run::{self, CycleSelection};
use crate::store::{AssumedRole, Encryption, Location, S3Options, StoreOptions};

/// The default memory limit is at most this, in bytes.
pub const MOST_DEFAULT_MEMORY: u64 = 4 << 30;

/// Below this nothing useful fits, in bytes.
pub const LEAST_MEMORY: u64 = 64 << 20;

/// Tables at work at once, unless it is said: more share a pass, fewer have more memory each.
const DEFAULT_JOBS: usize = 32;

/// Shards smaller than this are never meant, in bytes.
const LEAST_FILE_SIZE: u64 = 1 << 10;

pub fn from(places: &PlaceArguments) -> Result<Option<Location>> {
    places.from.as_deref().map(Location::parse).transpose()
}

pub fn parameters(places: &PlaceArguments) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for text in &places.parameters {
        let (name, value) = run::parameter(text)?;
        if parameters.insert(name.clone(), value).is_some() {
            return Err(Error::invalid(format!(
                "the parameter `{name}` is given twice"
            )));
        }
    }
    Ok(parameters)
}

pub fn engine(places: &PlaceArguments) -> Result<EngineSettings> {
    let memory = match &places.memory_limit {
        Some(text) => size("--memory-limit", text, LEAST_MEMORY)?,
        None => env::machine_memory().map_or(MOST_DEFAULT_MEMORY, |machine| {
            (machine / 2).clamp(LEAST_MEMORY, MOST_DEFAULT_MEMORY)
        }),
    };
    Ok(EngineSettings {
        memory_limit: usize::try_from(memory).unwrap_or(usize::MAX),
        parallelism: env::processors(),
        gzip_level: GzipLevel::default(),
    })
}

/// As [`engine`], with what a run writes.
pub fn job_engine(arguments: &JobArguments) -> Result<EngineSettings> {
    Ok(EngineSettings {
        gzip_level: gzip_level(arguments)?,
        ..engine(&arguments.places)?
    })
}

/// Returns the options of the sources, which need neither the role nor the encryption of the
/// destination.
pub fn source_store(arguments: &S3Arguments) -> StoreOptions {
    StoreOptions {
        retry_timeout: Duration::from_secs(arguments.retry_timeout),
        ..StoreOptions::default()
    }
}

/// Returns the options of the destination.
pub fn destination_store(arguments: &S3Arguments) -> Result<StoreOptions> {
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

pub fn selection(arguments: &SelectionArguments) -> Result<CycleSelection> {
    let day = |option: &str, text: &str| -> Result<Cycle> {
        text.parse().map_err(|error: Error| error.context(option))
    };
    match (&arguments.date, &arguments.since, &arguments.through) {
        (Some(date), _, _) => Ok(CycleSelection::Cycles(vec![day("--date", date)?])),
        (None, Some(since), Some(through)) => {
            let (first, last) = (day("--since", since)?, day("--through", through)?);
            let cycles = Cycle::range(first, last);
            if cycles.is_empty() {
                return Err(Error::invalid(format!(
                    "--since {first} is later than --through {last}"
                )));
            }
            Ok(CycleSelection::Cycles(cycles))
        }
        _ => Ok(CycleSelection::Due),
    }
}

pub fn target_file_size(arguments: &JobArguments) -> Result<Option<u64>> {
    let text = arguments.target_file_size.as_deref();
    text.map(|text| size("--target-file-size", text, LEAST_FILE_SIZE))
        .transpose()
}

fn gzip_level(arguments: &JobArguments) -> Result<GzipLevel> {
    let level = arguments.gzip_level;
    GzipLevel::new(level)
        .ok_or_else(|| Error::invalid(format!("--gzip-level: {level} is not 1 to 12")))
}

pub fn jobs(arguments: &JobArguments) -> Result<usize> {
    match arguments.jobs {
        Some(0) => Err(Error::invalid("--jobs 0 would do nothing")),
        Some(jobs) => Ok(jobs),
        None => Ok(DEFAULT_JOBS),
    }
}

/// Parses `512MiB`, `4GiB`, `1000000`; binary units only.
pub fn size(option: &str, text: &str, least: u64) -> Result<u64> {
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
    if bytes < least {
        return Err(Error::invalid(format!(
            "{option}: `{text}` is less than {least} bytes"
        )));
    }
    Ok(bytes)
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
