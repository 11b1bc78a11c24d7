//! The versions of a table's schema: counted in the commit log, and described by
//! `schema/<table>/v<version>.json`. The module does no I/O.
//!
//! A version is what receivers can rely on: sync mode, format, partitioning and columns. It counts up
//! with each change between publications; a rerun of an older day with that day's schema keeps the
//! day's version.

use serde::{Deserialize, Serialize};

use crate::cycle::Cycle;
use crate::error::{Error, Result};
use crate::layout::TableName;
use crate::manifest::Manifest;
use crate::schema_evolution::{Change, TableShape, changes};

/// The version of the format of schema files.
const FILE_VERSION: u32 = 1;

/// The newest version of a table's schema, as the commit log carries it on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SchemaVersion {
    /// The number, from 1.
    pub version: u32,
    /// The cycle whose publication began it.
    pub cycle: Cycle,
    /// The revision of that publication.
    pub revision: u32,
    /// The version of the publication that the changes are from; absent if there was none, or if it
    /// had no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<u32>,
    /// The changes from that publication.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// The version of a publication, and the newest one after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AssignedVersion {
    pub version: u32,
    pub newest: SchemaVersion,
}

/// Assigns a version to a publication of `shape`. `newest` is the newest version so far, and
/// `published` are the manifests that the publication may continue, the closest one first.
///
/// # Errors
/// [`Error::data`] if the log has the greatest version already.
pub(crate) fn assign(
    newest: Option<&SchemaVersion>,
    published: &[&Manifest],
    shape: &TableShape,
    cycle: Cycle,
    revision: u32,
) -> Result<AssignedVersion> {
    let differences = |manifest: &Manifest| changes(&manifest.into(), shape);
    if let Some(newest) = newest {
        let mut same = published
            .iter()
            .filter(|manifest| differences(manifest).is_empty())
            .filter_map(|manifest| manifest.schema_version);
        if let Some(version) = same.next() {
            return Ok(AssignedVersion {
                version,
                newest: newest.clone(),
            });
        }
    }
    let held = published.first();
    let last = newest.map_or(0, |newest| newest.version);
    let version = last.checked_add(1).ok_or_else(|| {
        Error::data(format!(
            "the newest entry of the log has the schema version {last}, and none comes after it"
        ))
    })?;
    Ok(AssignedVersion {
        version,
        newest: SchemaVersion {
            version,
            cycle,
            revision,
            against: held.and_then(|manifest| manifest.schema_version),
            changes: held.map_or_else(Vec::new, |manifest| differences(manifest)),
        },
    })
}

/// The content of a schema file: [`SchemaVersion`] and the shape that the table has with it.
#[derive(Debug, Serialize)]
struct SchemaFile<'a> {
    version: u32,
    table: &'a TableName,
    schema_version: u32,
    cycle: Cycle,
    revision: u32,
    /// The key of the first manifest of this version.
    manifest: String,
    #[serde(flatten)]
    shape: TableShape,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<u32>,
    changes: &'a [Change],
}

impl SchemaVersion {
    /// Returns true if the schema file `text` describes the schema of `manifest`.
    pub(crate) fn is_of(text: &[u8], manifest: &Manifest) -> bool {
        let stored: Option<TableShape> = serde_json::from_slice(text).ok();
        stored.is_some_and(|stored| stored == manifest.into())
    }

    /// Serializes the schema file of this version. `manifest` is any manifest of it.
    pub(crate) fn to_json(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let mut first = manifest.name();
        (first.cycle, first.revision) = (self.cycle, self.revision);
        let file = SchemaFile {
            version: FILE_VERSION,
            table: &manifest.table,
            schema_version: self.version,
            cycle: self.cycle,
            revision: self.revision,
            manifest: first.path().to_string(),
            shape: manifest.into(),
            against: self.against,
            changes: &self.changes,
        };
        let mut text = serde_json::to_vec_pretty(&file)
            .map_err(|error| Error::internal("cannot write a schema file").with_source(error))?;
        text.push(b'\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(cycle: &str, columns: &[&str], version: Option<u32>) -> Manifest {
        let cycle: Cycle = cycle.parse().unwrap();
        let columns: Vec<_> = columns
            .iter()
            .map(|name| json!({"name": name, "type": "int64", "nullable": true}))
            .collect();
        let mut text = json!({
            "version": 1, "table": "t", "description": "", "sync_mode": "incremental",
            "cycle": {"id": cycle, "start": cycle.start(), "end": cycle.end()}, "revision": 0,
            "run_id": "r", "started_at": cycle.end(), "committed_at": cycle.end(), "writer": "",
            "format": "json", "compression": "gzip", "partition_by": [], "schema": columns,
            "definition": {"file": "t.sql", "sha256": ""}, "sources": [], "rows": 0, "bytes": 0,
            "files": [], "replaced": [],
        });
        if let Some(version) = version {
            text["schema_version"] = json!(version);
        }
        serde_json::from_value(text).unwrap()
    }

    fn assigned(
        newest: Option<&SchemaVersion>,
        published: &[&Manifest],
        columns: &[&str],
    ) -> AssignedVersion {
        let next = manifest("2026-01-20", columns, None);
        assign(newest, published, &(&next).into(), next.cycle.id, 0).unwrap()
    }

    #[test]
    fn versions_count_changes_and_a_rerun_keeps_that_of_its_day() {
        let first = assigned(None, &[], &["a"]);
        assert_eq!((first.version, first.newest.against), (1, None));
        assert!(first.newest.changes.is_empty());

        let old = manifest("2026-01-14", &["a"], Some(1));
        let same = assigned(Some(&first.newest), &[&old], &["a"]);
        assert_eq!(same, first, "nothing changed");

        let second = assigned(Some(&first.newest), &[&old], &["a", "b"]);
        assert_eq!((second.version, second.newest.against), (2, Some(1)));
        assert_eq!(second.newest.changes.len(), 1);

        let new = manifest("2026-01-15", &["a", "b"], Some(2));
        let of_old_day = assigned(Some(&second.newest), &[&old, &new], &["a"]);
        assert_eq!((of_old_day.version, of_old_day.newest.version), (1, 2));
        let like_new_days = assigned(Some(&second.newest), &[&old, &new], &["a", "b"]);
        assert_eq!(like_new_days.version, 2);
        let unlike_both = assigned(Some(&second.newest), &[&old, &new], &["a", "c"]);
        assert_eq!(
            (unlike_both.version, unlike_both.newest.against),
            (3, Some(1))
        );
    }

    #[test]
    fn a_table_without_versions_gets_the_first_one_with_its_changes() {
        let old = manifest("2026-01-14", &["a"], None);
        let first = assigned(None, &[&old], &["a", "b"]);
        assert_eq!((first.version, first.newest.against), (1, None));
        assert_eq!(first.newest.changes.len(), 1);
    }

    #[test]
    fn no_version_comes_after_the_greatest() {
        let mut newest = assigned(None, &[], &["a"]).newest;
        newest.version = u32::MAX;
        let next = manifest("2026-01-20", &["a"], None);
        let assigned = assign(Some(&newest), &[], &(&next).into(), next.cycle.id, 0);
        assert!(assigned.is_err());
    }
}
