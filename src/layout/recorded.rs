//! Keys in stored records: parsed back, and tied to the table whose record names them.
//!
//! A manifest or an entry of the log may be damaged or forged. What is deleted, renamed or completed
//! because a record names it has to be an object that dayport writes for the record's own table.

use object_store::path::Path;

use crate::cycle::Cycle;
use crate::error::{Error, Result};
use crate::layout::{
    CycleMarkerName, INTERNAL, LATEST, MANIFESTS, ManifestName, REJECTS, SCHEMA, Shard, TableName,
    parse_log_entry, percent_decode, rejects_file, schema_file, staging_folder,
};

/// Parses a key that was recorded in a manifest or in the log. Its escapes are kept.
///
/// # Errors
/// Fails if the text is not a valid key.
pub fn parse_recorded(key: &str) -> Result<Path> {
    Path::parse(key)
        .map_err(|error| Error::data(format!("`{key}` is not a valid key")).with_source(error))
}

/// Parses a recorded key of a data file or a file of rejects of `table`.
///
/// # Errors
/// Fails if the key is that of anything else: of another table, of an internal object, or foreign.
pub fn parse_own(table: &TableName, key: &str) -> Result<Path> {
    let path = Path::parse(key).ok().filter(|path| path.as_ref() == key);
    path.filter(|path| is_data(table, path) || is_rejects(table, path))
        .ok_or_else(|| {
            Error::data(format!(
                "`{key}` is no file of the data or the rejects of the table `{table}`"
            ))
        })
}

/// Parses the recorded key of a file in the staging folder `staging`.
///
/// # Errors
/// Fails if the key is not one that the session with this folder gives to its files.
pub fn parse_own_staged(staging: &str, key: &str) -> Result<Path> {
    let path = Path::parse(key).ok().filter(|path| path.as_ref() == key);
    path.filter(|path| is_staged(staging, path)).ok_or_else(|| {
        Error::data(format!(
            "`{key}` is no file of the staging folder `{}`",
            staging_folder(staging)
        ))
    })
}

fn is_data(table: &TableName, path: &Path) -> bool {
    Shard::parse(path).is_some_and(|shard| shard.table == *table)
}

/// Returns true for keys built by [`rejects_file`] for this table.
fn is_rejects(table: &TableName, path: &Path) -> bool {
    let built = || -> Option<Path> {
        let parts: Vec<_> = path.parts().collect();
        let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let [REJECTS, source, cycle, name] = names.as_slice() else {
            return None;
        };
        let cycle: Cycle = cycle.parse().ok()?;
        let run = name.strip_suffix(".json.gz")?;
        let run = run.strip_prefix(table.as_str())?.strip_prefix('.')?;
        let (run_id, number) = match run.split_once('.') {
            None => (run, 1),
            Some((run_id, number)) => (run_id, number.parse().ok()?),
        };
        let source = percent_decode(source)?;
        is_word(run_id).then(|| rejects_file(&source, cycle, table, run_id, number))
    };
    built().is_some_and(|built| built == *path)
}

fn is_staged(staging: &str, path: &Path) -> bool {
    let folder = staging_folder(staging);
    let Some(rest) = path.as_ref().strip_prefix(folder.as_ref()) else {
        return false;
    };
    let Some(name) = rest.strip_prefix('/') else {
        return false;
    };
    let (attempt, index) = match name.rsplit_once('-') {
        None => (None, name),
        Some((attempt, index)) => (Some(attempt), index),
    };
    let is_index = index.len() >= 12 && index.bytes().all(|byte| byte.is_ascii_digit());
    is_index && attempt.is_none_or(is_word)
}

/// Returns true for what run ids and attempts consist of.
fn is_word(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.chars().all(is_allowed)
}

/// Returns true for the key of a manifest, a log entry, a schema file, a cycle marker or the hint
/// that names the newest one.
pub fn is_record(path: &Path) -> bool {
    let is_schema_file = || -> Option<bool> {
        let parts: Vec<_> = path.parts().collect();
        let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let [SCHEMA, table, name] = names.as_slice() else {
            return None;
        };
        let version = name.strip_prefix('v')?.strip_suffix(".json")?;
        Some(schema_file(&table.parse().ok()?, version.parse().ok()?) == *path)
    };
    ManifestName::parse(path).is_some()
        || parse_log_entry(path).is_some()
        || CycleMarkerName::parse(path).is_some()
        || path.as_ref() == LATEST
        || is_schema_file().unwrap_or(false)
}

/// Returns true for a key like that of a manifest or a log entry, but with a greater number than any of
/// them has. The object is foreign.
pub fn is_beyond_range(path: &Path) -> bool {
    let parts: Vec<_> = path.parts().collect();
    let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    let digits = match names.as_slice() {
        [MANIFESTS, _, name] => name
            .strip_suffix(".json")
            .and_then(|name| name.split_once(".r"))
            .filter(|(cycle, _)| cycle.parse::<Cycle>().is_ok())
            .map(|(_, revision)| revision),
        [INTERNAL, "log", _, name] => {
            let name = name.strip_suffix(".json").filter(|name| name.len() >= 20);
            name.map(|name| match name.len() {
                20 => name.trim_start_matches('0'),
                _ => name,
            })
        }
        _ => None,
    };
    let is_number = |digits: &str| {
        !digits.starts_with('0') && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let is_known = || ManifestName::parse(path).is_some() || parse_log_entry(path).is_some();
    digits.is_some_and(is_number) && !is_known()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{attempt_file, staging_file};

    #[test]
    fn only_data_and_rejects_of_the_table_are_its_own() {
        let table: TableName = "views".parse().unwrap();
        let run = "20261122T170239Z-baae741fe12b";
        let cycle: Cycle = "2026-01-15".parse().unwrap();
        let rejects = [1, 2, 10].map(|number| rejects_file("events", cycle, &table, run, number));
        let odd_source = rejects_file("a b/%", cycle, &table, "run-00001", 1);
        let data = [
            "data/views/data-000000000000.json.gz",
            "data/views/year=2026/day=a=b/data-000000000007.parquet",
        ];
        let own = rejects.iter().chain([&odd_source]).map(Path::as_ref);
        for key in own.chain(data) {
            assert_eq!(parse_own(&table, key).unwrap().as_ref(), key);
        }
        for key in [
            "",
            "/",
            "data/views",
            "data/views/readme.txt",
            "data/views/../sites/data-000000000000.parquet",
            "data/views//data-000000000000.parquet",
            "/data/views/data-000000000000.parquet",
            "data/views/data-000000000000.parquet/",
            "data/views2/data-000000000000.parquet",
            "data/sites/data-000000000000.parquet",
            "manifests/views/2026-01-15.r0.json",
            "_dayport/log/views/00000000000000000001.json",
            "schema/views/v1.json",
            "rejects/events/2026-01-15/sites.run.json.gz",
            "rejects/events/2026-01-15/views2.run.json.gz",
            "rejects/events/2026-01-15/views.json.gz",
            "rejects/events/2026-01-15/views.run.1.json.gz",
            "rejects/events/2026-01-15/views.run.02.json.gz",
            "rejects/events/2026-01-15/views.run.json",
            "rejects/events/2026-1-15/views.run.json.gz",
            "rejects/2026-01-15/views.run.json.gz",
        ] {
            let error = parse_own(&table, key).unwrap_err().to_string();
            assert!(error.contains("of the table `views`"), "{key}: {error}");
        }
    }

    #[test]
    fn only_files_of_the_session_are_its_own() {
        let staging = "run-views-2026-01-15";
        for key in [
            staging_file(staging, 0),
            staging_file(staging, u64::MAX),
            attempt_file(staging, "0123456789ab", 7),
        ] {
            assert_eq!(parse_own_staged(staging, key.as_ref()).unwrap(), key);
        }
        for key in [
            "_dayport/staging/run-sites-2026-01-15/000000000000",
            "_dayport/staging/run-views-2026-01-15x/000000000000",
            "_dayport/staging/run-views-2026-01-15/a/000000000000",
            "_dayport/staging/run-views-2026-01-15/../000000000000",
            "_dayport/staging/run-views-2026-01-15/000000000000#1",
            "_dayport/staging/run-views-2026-01-15",
            "data/sites/data-000000000000.parquet",
        ] {
            assert!(parse_own_staged(staging, key).is_err(), "{key}");
        }
    }

    #[test]
    fn numbers_beyond_the_range_are_foreign() {
        let is_foreign = |key: &str| is_beyond_range(&Path::from(key));
        for key in [
            "manifests/t/2026-01-15.r4294967295.json",
            "manifests/t/2026-01-15.r1000000000.json",
            "manifests/t/2026-01-15.r99999999999999999999999999.json",
            "_dayport/log/t/18446744073709551615.json",
            "_dayport/log/t/99999999999999999999.json",
            "_dayport/log/t/01000000000000000000.json",
            "_dayport/log/t/100000000000000000000.json",
        ] {
            assert!(is_foreign(key), "{key}");
            assert!(!is_record(&Path::from(key)), "{key}");
        }
        for key in [
            "manifests/t/2026-01-15.r999999999.json",
            "_dayport/log/t/00999999999999999999.json",
            "schema/t/v4.json",
            "cycles/2026-01-15.r0.json",
            "latest.json",
        ] {
            assert!(!is_foreign(key), "{key}");
            assert!(is_record(&Path::from(key)), "{key}");
        }
        for key in [
            "manifests/t/readme.r1000000000.json",
            "_dayport/log/t/x.json",
            "cycles/2026-01-15.json",
            "cycles/t/2026-01-15.r0.json",
            "cycles/latest.json",
        ] {
            assert!(!is_foreign(key) && !is_record(&Path::from(key)), "{key}");
        }
    }
}
