//! Compares manifests with listings: findings, and the files that remain to be read. The module does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::path::Path;

use crate::cycle::{Cycle, SyncMode};
use crate::format::FileFormat;
use crate::layout::{self, Partition, Shard};
use crate::manifest::{DataFile, Manifest};
use crate::schema::ExportSchema;
use crate::verify::published::{PublishedTable, RecordedManifest};
use crate::verify::report::{Finding, FindingKind, VerifyTotals};
use crate::verify::scope::VerifyCycles;

/// Objects by their keys, relative to the prefix.
pub(super) type Listing = BTreeMap<String, ObjectState>;

/// The state of one object, by its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ObjectState {
    Present {
        bytes: u64,
        /// The ETag as the store spells it, which may be in quotes.
        etag: Option<String>,
    },
    /// The credentials may not read the metadata of the object.
    Forbidden,
}

/// The record of one file in a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RecordedFile {
    pub table: String,
    pub cycle: Cycle,
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub etag: Option<String>,
    pub sha256: String,
    pub content: FileContent,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FileContent {
    Rows {
        format: FileFormat,
        schema: Arc<ExportSchema>,
    },
    /// Malformed source lines: JSON lines of no fixed schema.
    Rejects,
}

impl RecordedFile {
    /// Returns the amounts of the file, of which `rows` and `bytes` were read.
    pub(super) fn totals(&self, rows: u64, bytes: u64) -> VerifyTotals {
        let (rows, rejects) = match self.content {
            FileContent::Rows { .. } => (rows, 0),
            FileContent::Rejects => (0, rows),
        };
        VerifyTotals {
            cycles: 0,
            files: 1,
            rows,
            rejects,
            bytes,
        }
    }

    /// Makes a finding about this file.
    pub(super) fn finding(&self, kind: FindingKind, detail: impl Into<String>) -> Finding {
        Finding {
            table: self.table.clone(),
            cycle: Some(self.cycle),
            key: self.path.clone(),
            kind,
            detail: detail.into(),
        }
    }

    /// Describes the difference if `actual` is another ETag than the recorded one; `None` also without
    /// an ETag.
    pub(super) fn etag_difference(&self, actual: Option<&str>) -> Option<String> {
        let recorded = self.etag.as_deref()?;
        let actual = actual?.trim_matches('"');
        (recorded != actual).then(|| format!("ETag {actual}, recorded as {recorded}"))
    }

    /// Describes the difference if `actual` is another size than the recorded one.
    pub(super) fn size_difference(&self, actual: u64) -> Option<String> {
        (self.bytes != actual).then(|| format!("{actual} bytes, recorded as {}", self.bytes))
    }
}

/// The remaining work for one table.
#[derive(Debug, Default, PartialEq)]
pub(super) struct VerifyPlan {
    pub findings: Vec<Finding>,
    /// The existing files, with their state.
    pub files: Vec<(RecordedFile, ObjectState)>,
    /// The number of manifests in the scope.
    pub cycles: u64,
}

/// Returns the paths of the malformed lines that manifests in the scope name; no listing of the table
/// has them.
pub(super) fn rejects<'a>(
    published: &'a PublishedTable,
    cycles: &'a VerifyCycles,
) -> impl Iterator<Item = &'a str> {
    let manifests = manifests(published, cycles);
    manifests.flat_map(|m| m.rejects.iter().map(|rejects| rejects.path.as_str()))
}

/// Compares the manifests of a table with the listing.
pub(super) fn plan(
    published: &PublishedTable,
    cycles: &VerifyCycles,
    listing: &Listing,
) -> VerifyPlan {
    let mut plan = VerifyPlan::default();
    for record in &published.current {
        if let RecordedManifest::Broken { name, reason } = record
            && cycles.contains(name.cycle)
        {
            plan.findings.push(Finding {
                table: name.table.to_string(),
                cycle: Some(name.cycle),
                key: name.path().to_string(),
                kind: FindingKind::Manifest,
                detail: reason.clone(),
            });
        }
    }
    plan.findings
        .extend(published.log_fault.as_ref().map(|fault| Finding {
            table: published.table.to_string(),
            cycle: None,
            key: layout::log_folder(&published.table).to_string(),
            kind: FindingKind::Log,
            detail: format!("{fault}; whether a commit is unfinished is not known"),
        }));
    let unfinished = published.unfinished.as_ref();
    if let Some(unfinished) = unfinished
        && cycles.contains(unfinished.cycle)
    {
        plan.findings.push(Finding {
            table: published.table.to_string(),
            cycle: Some(unfinished.cycle),
            key: unfinished.key.clone(),
            kind: FindingKind::Unfinished,
            detail: unfinished.detail.clone(),
        });
    }
    for manifest in manifests(published, cycles) {
        plan.cycles += 1;
        plan.findings.extend(sums(manifest));
        for file in &manifest.files {
            plan.findings.extend(window(manifest, file));
            plan.findings.extend(partition(manifest, file));
        }
        for recorded in recorded(manifest) {
            if unfinished.is_some_and(|commit| commit.files.contains(&recorded.path)) {
                continue;
            }
            match listing.get(&recorded.path) {
                None => plan.findings.push(recorded.finding(
                    FindingKind::Missing,
                    format!("named by `{}`, not there", manifest.name().path()),
                )),
                Some(ObjectState::Forbidden) => plan.findings.push(
                    recorded.finding(FindingKind::Unreadable, "these credentials may not read it"),
                ),
                Some(listed) => plan.files.push((recorded, listed.clone())),
            }
        }
    }
    plan.findings.extend(duplicates(published, cycles));
    plan.findings.extend(extra(published, cycles, listing));
    plan
}

/// Returns a finding for each cycle of a range that is not published. The cycles before the first one of
/// a table were never due, unless the table `is_named`; a snapshot has those that a later one superseded.
pub(super) fn unpublished(
    published: &PublishedTable,
    cycles: &VerifyCycles,
    is_named: bool,
) -> Vec<Finding> {
    let VerifyCycles::Range { first, last } = cycles else {
        return Vec::new();
    };
    let names = || published.names.iter().map(|name| name.cycle);
    let is_snapshot = published
        .current
        .last()
        .is_some_and(|record| record.sync_mode() == Some(SyncMode::Snapshot));
    let is_published = |cycle: Cycle| match is_snapshot {
        true => names().any(|name| name >= cycle),
        false => names().any(|name| name == cycle),
    };
    let is_unfinished = |cycle| {
        let unfinished = published.unfinished.as_ref();
        unfinished.is_some_and(|commit| commit.cycle == cycle)
    };
    let first_due = match is_named {
        true => Some(*first),
        false => names().min(),
    };
    Cycle::range(*first, *last)
        .into_iter()
        .filter(|cycle| first_due.is_some_and(|first| first <= *cycle))
        .filter(|cycle| !is_published(*cycle) && !is_unfinished(*cycle))
        .map(|cycle| Finding {
            table: published.table.to_string(),
            cycle: Some(cycle),
            key: layout::manifest_folder(&published.table).to_string(),
            kind: FindingKind::Unpublished,
            detail: "the cycle has no manifest".to_owned(),
        })
        .collect()
}

fn manifests<'a>(
    published: &'a PublishedTable,
    cycles: &'a VerifyCycles,
) -> impl Iterator<Item = &'a Manifest> {
    all_manifests(published).filter(|manifest| cycles.contains(manifest.cycle.id))
}

fn all_manifests(published: &PublishedTable) -> impl Iterator<Item = &Manifest> {
    published.current.iter().filter_map(|record| match record {
        RecordedManifest::Read(manifest) => Some(manifest.as_ref()),
        RecordedManifest::Broken { .. } => None,
    })
}

fn recorded(manifest: &Manifest) -> Vec<RecordedFile> {
    let schema = Arc::new(manifest.schema.clone());
    let table = manifest.table.to_string();
    let cycle = manifest.cycle.id;
    let data = manifest.files.iter().map(|file| RecordedFile {
        table: table.clone(),
        cycle,
        path: file.path.clone(),
        rows: file.rows,
        bytes: file.bytes,
        etag: file.etag.clone(),
        sha256: file.sha256.clone(),
        content: FileContent::Rows {
            format: manifest.format,
            schema: Arc::clone(&schema),
        },
    });
    let rejects = manifest.rejects.iter().map(|file| RecordedFile {
        table: table.clone(),
        cycle,
        path: file.path.clone(),
        rows: file.rows,
        bytes: file.bytes,
        etag: file.etag.clone(),
        sha256: file.sha256.clone(),
        content: FileContent::Rejects,
    });
    data.chain(rejects).collect()
}

/// Makes a finding about an object of a manifest.
fn of_manifest(manifest: &Manifest, kind: FindingKind, key: String, detail: String) -> Finding {
    Finding {
        table: manifest.table.to_string(),
        cycle: Some(manifest.cycle.id),
        key,
        kind,
        detail,
    }
}

fn sums(manifest: &Manifest) -> Option<Finding> {
    // Not `sum()`: numbers of a damaged manifest must not overflow.
    let sum = |of: fn(&DataFile) -> u64| {
        let files = manifest.files.iter();
        files.map(|file| u128::from(of(file))).sum::<u128>()
    };
    let (rows, bytes) = (sum(|file| file.rows), sum(|file| file.bytes));
    let balance = manifest.balance.as_ref();
    let contradiction = balance.and_then(|balance| balance.contradiction(manifest.rows));
    let wrong: Vec<String> = [
        ("rows", manifest.rows, rows),
        ("bytes", manifest.bytes, bytes),
    ]
    .into_iter()
    .filter(|(_, total, sum)| u128::from(*total) != *sum)
    .map(|(of, total, sum)| format!("{of} is {total}, the sum over its files is {sum}"))
    .chain(contradiction)
    .collect();
    (!wrong.is_empty()).then(|| {
        let key = manifest.name().path().to_string();
        of_manifest(manifest, FindingKind::Sum, key, wrong.join("; "))
    })
}

/// Checks that the instants of a file are in the window of its cycle; those of a snapshot may be any.
fn window(manifest: &Manifest, file: &DataFile) -> Option<Finding> {
    if manifest.sync_mode == SyncMode::Snapshot {
        return None;
    }
    let column = manifest.window_column.as_ref()?;
    let (start, end) = (manifest.cycle.start, manifest.cycle.end);
    let outside = [file.window_min, file.window_max]
        .into_iter()
        .flatten()
        .find(|instant| *instant < start || *instant >= end)?;
    let detail = format!("`{column}` has {outside}, outside the cycle");
    Some(of_manifest(
        manifest,
        FindingKind::Window,
        file.path.clone(),
        detail,
    ))
}

fn partition(manifest: &Manifest, file: &DataFile) -> Option<Finding> {
    let finding = |detail: String| {
        let path = file.path.clone();
        Some(of_manifest(manifest, FindingKind::Partition, path, detail))
    };
    let shard = Path::parse(&file.path)
        .ok()
        .and_then(|path| Shard::parse(&path));
    let Some(shard) = shard else {
        return finding("the path is not one of a data file".to_owned());
    };
    if shard.table != manifest.table {
        return finding(format!("the path is one of the table `{}`", shard.table));
    }
    if shard.format != manifest.format {
        return finding(format!("the manifest says format `{}`", manifest.format));
    }
    // The members of a JSON object have no order; the folders of a path have one.
    let in_any_order = |partition: &Partition| {
        let values = partition.values().iter().cloned();
        values.collect::<BTreeMap<String, String>>()
    };
    if in_any_order(&shard.partition) != in_any_order(&file.partition) {
        return finding(format!("recorded as partition `{}`", file.partition));
    }
    let partition_by = manifest.partition_by.columns().iter();
    let columns: Vec<&str> = partition_by.map(|column| column.name.as_str()).collect();
    let values = shard.partition.values().iter();
    let folders: Vec<&str> = values.map(|(column, _)| column.as_str()).collect();
    if folders != columns {
        let by = columns.join(", ");
        return finding(format!("the table is partitioned by ({by})"));
    }
    None
}

/// Returns the paths that two current manifests name, at least one of them in the scope.
fn duplicates(published: &PublishedTable, cycles: &VerifyCycles) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &Manifest> = BTreeMap::new();
    let mut findings = Vec::new();
    for manifest in all_manifests(published) {
        for file in &manifest.files {
            let Some(earlier) = first.insert(&file.path, manifest) else {
                continue;
            };
            let in_scope = [earlier, manifest]
                .into_iter()
                .any(|manifest| cycles.contains(manifest.cycle.id));
            if in_scope {
                let detail = format!("named by `{}` too", earlier.name().path());
                let path = file.path.clone();
                findings.push(of_manifest(manifest, FindingKind::Duplicate, path, detail));
            }
        }
    }
    findings
}

/// Returns the objects that no manifest or commit names.
///
/// With a range of cycles only the folders of the files of these cycles are searched: the cycle of an
/// object in another folder is unknown.
fn extra(published: &PublishedTable, cycles: &VerifyCycles, listing: &Listing) -> Vec<Finding> {
    let is_broken = |record: &RecordedManifest| matches!(record, RecordedManifest::Broken { .. });
    if published.current.iter().any(is_broken) {
        // Its files are unknown, and would all be extra.
        return Vec::new();
    }
    let named: BTreeSet<&str> = all_manifests(published)
        .flat_map(|manifest| &manifest.files)
        .map(|file| file.path.as_str())
        .collect();
    let unfinished = published.unfinished.iter();
    let committed: BTreeSet<&str> = unfinished
        .flat_map(|commit| &commit.files)
        .map(String::as_str)
        .collect();
    let searched: BTreeSet<&str> = manifests(published, cycles)
        .flat_map(|manifest| &manifest.files)
        .map(|file| folder(&file.path))
        .collect();
    let table_folder = layout::table_folder(&published.table);
    listing
        .keys()
        .map(String::as_str)
        // The listing also has rejects.
        .filter(|key| is_below(key, table_folder.as_ref()))
        .filter(|key| !named.contains(key) && !committed.contains(key))
        .filter(|key| *cycles == VerifyCycles::All || searched.contains(folder(key)))
        .map(|key| Finding {
            table: published.table.to_string(),
            cycle: None,
            key: key.to_owned(),
            kind: FindingKind::Extra,
            detail: "no current manifest names it".to_owned(),
        })
        .collect()
}

fn folder(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn is_below(key: &str, folder: &str) -> bool {
    key.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
pub(crate) mod tests;
