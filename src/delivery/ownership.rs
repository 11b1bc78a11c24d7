//! Ties the keys that records name to the table of the record.
//!
//! A run deletes, renames and completes what manifests and log entries name. Each of these keys must be
//! one of the record's own table. It is checked before a commit takes it over, and again before an entry
//! of the log is finished, so that a record that was damaged or forged changes nothing.

use object_store::path::Path;

use crate::delivery::log::{LogAction, LogEntry};
use crate::error::{Error, Result};
use crate::layout::{self, ManifestName, TableName, parse_own, parse_own_staged};
use crate::manifest::Manifest;
use crate::staged::UploadToken;

/// Checks that a published manifest names only files of its own table.
///
/// # Errors
/// [`Error::data`] with the manifest and the first key that is not its own.
pub(crate) fn require_own_files(manifest: &Manifest) -> Result<()> {
    let keys = named(manifest);
    require_own(&manifest.table, &manifest.name().path(), keys)
}

/// Checks that an entry of the log of `table` names only files of this table, and of the staging folder
/// of its own run.
///
/// # Errors
/// [`Error::data`] with the entry and the first key that is not its own.
pub(crate) fn require_own_keys(table: &TableName, entry: &LogEntry) -> Result<()> {
    let record = layout::log_entry(table, entry.sequence);
    match &entry.action {
        LogAction::Void { delete, .. } => {
            require_own(table, &record, delete.iter().map(String::as_str))
        }
        LogAction::Publish { manifest, uploads } => {
            let key = manifest.name().path();
            if ManifestName::parse(&key).is_none() {
                let error = Error::data(format!("`{key}` is no key of a manifest"));
                return Err(refused(&record, error));
            }
            let finals = uploads.iter().map(|upload| upload.path.as_str());
            require_own(table, &record, named(manifest).chain(finals))?;
            let staging = layout::staging_name(&entry.run_id, table, manifest.cycle.id);
            for upload in uploads {
                if let UploadToken::Rename { staged, .. } = &upload.token {
                    parse_own_staged(&staging, staged).map_err(|error| refused(&record, error))?;
                }
            }
            Ok(())
        }
    }
}

/// Returns the keys of all files that a manifest names.
fn named(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let data = manifest.files.iter().map(|file| file.path.as_str());
    let rejects = manifest.rejects.iter().map(|file| file.path.as_str());
    let replaced = manifest.replaced.iter().map(String::as_str);
    data.chain(rejects).chain(replaced)
}

fn require_own<'a>(
    table: &TableName,
    record: &Path,
    keys: impl Iterator<Item = &'a str>,
) -> Result<()> {
    for key in keys {
        parse_own(table, key).map_err(|error| refused(record, error))?;
    }
    Ok(())
}

fn refused(record: &Path, error: Error) -> Error {
    error
        .context(format!("`{record}` is refused, and nothing was changed"))
        .with_hint(
            "something other than dayport changed the record: restore the object from a copy or from \
             an earlier version of it, then run again",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::entry_text;

    const PUBLISH: &str = include_str!("../../tests/it/version_skew/publish.v1.json");
    const VOID: &str = include_str!("../../tests/it/version_skew/void.v1.json");

    fn check(sequence: u64, text: &str) -> Result<()> {
        let table = "views".parse().unwrap();
        let entry = entry_text::parse(&table, sequence, text.as_bytes()).unwrap();
        require_own_keys(&table, &entry)
    }

    #[test]
    fn each_key_of_an_entry_is_checked() {
        check(1, PUBLISH).unwrap();
        check(2, VOID).unwrap();
        let foreign = "data/sites/data-000000000000.parquet";
        let staged = "_dayport/staging/20261127T032826Z-eae38cdfd347-views-2026-01-14/00000000000";
        let data = "data/views/year=2026/month=1/day=14/data-000000000000.json.gz";
        let rejects = "rejects/views/2026-01-14/views.20261127T032826Z-eae38cdfd347.json.gz";
        let replaced = format!(r#""replaced":["{foreign}"]"#);
        let other_staging = staged.replace("-views-", "-sites-");
        let mut refused = 0;
        for (from, to) in [
            (data, foreign),
            (rejects, foreign),
            (r#""replaced":[]"#, replaced.as_str()),
            (staged, other_staging.as_str()),
            (staged, "data/views/data-00000000000"),
        ] {
            for (at, _) in PUBLISH.match_indices(from) {
                let (start, end) = PUBLISH.split_at(at);
                let forged = format!("{start}{}", end.replacen(from, to, 1));
                let error = check(1, &forged).unwrap_err().render();
                let record = "`_dayport/log/views/00000000000000000001.json` is refused";
                assert!(error.contains(record), "{error}");
                assert!(
                    error.contains("hint: something other than dayport"),
                    "{error}"
                );
                refused += 1;
            }
        }
        assert_eq!(refused, 2 + 2 + 1 + 2 + 2);
        let revision = PUBLISH.replacen(r#""revision":0"#, r#""revision":4294967295"#, 1);
        let error = check(1, &revision).unwrap_err().to_string();
        assert!(error.contains("r4294967295.json` is no key"), "{error}");
        let error = check(2, &VOID.replace("data/views/", "data/sites/")).unwrap_err();
        assert!(error.to_string().contains("data/sites/"), "{error}");
    }
}
