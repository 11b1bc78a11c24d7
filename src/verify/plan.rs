//! Manifests and listings → findings, and the files that remain to be read. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::path::Path;

use crate::cycle::{Cycle, SyncMode};
use crate::layout::{self, FileFormat, Partition, Shard};
use crate::manifest::{DataFile, Manifest};
use crate::schema::ExportSchema;
use crate::verify::Cycles;
use crate::verify::published::{Published, Record};
use crate::verify::report::{Finding, Kind};

/// Objects by their keys, relative to the prefix.
pub type Listing = BTreeMap<String, Listed>;

/// What a store says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    There {
        bytes: u64,
        /// As the store spells it, perhaps in quotes.
        etag: Option<String>,
    },
    /// The credentials may not look at it.
    Forbidden,
}

/// What a manifest says of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub table: String,
    pub cycle: Cycle,
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub etag: Option<String>,
    pub sha256: String,
    pub content: Content,
}

/// What is inside a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Rows {
        format: FileFormat,
        schema: Arc<ExportSchema>,
    },
    /// Malformed source lines: JSON lines of no fixed schema.
    Rejects,
}

impl Recorded {
    pub fn finding(&self, kind: Kind, detail: impl Into<String>) -> Finding {
        Finding {
            table: self.table.clone(),
            cycle: Some(self.cycle),
            key: self.path.clone(),
            kind,
            detail: detail.into(),
        }
    }

    /// Whether the object has another ETag than the recorded one; stores without ETags cannot tell.
    pub fn etag_differs(&self, there: Option<&str>) -> Option<String> {
        let recorded = self.etag.as_deref()?;
        let there = there?.trim_matches('"');
        (recorded != there).then(|| format!("ETag {there}, recorded as {recorded}"))
    }

    pub fn size_differs(&self, there: u64) -> Option<String> {
        (self.bytes != there).then(|| format!("{there} bytes, recorded as {}", self.bytes))
    }
}

/// What is left to do for one table.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub findings: Vec<Finding>,
    /// Files that are there, with what the store says of them.
    pub files: Vec<(Recorded, Listed)>,
    /// Manifests in the scope.
    pub cycles: u64,
}

/// The malformed lines that manifests in the scope name; they are in no listing of the table.
pub fn rejects<'a>(published: &'a Published, cycles: &'a Cycles) -> impl Iterator<Item = &'a str> {
    let manifests = manifests(published, cycles);
    manifests.flat_map(|m| m.rejects.iter().map(|rejects| rejects.path.as_str()))
}

/// Holds the manifests of a table against what is there.
pub fn plan(published: &Published, cycles: &Cycles, listing: &Listing) -> Plan {
    let mut plan = Plan::default();
    for record in &published.current {
        if let Record::Broken { name, reason } = record
            && cycles.contains(name.cycle)
        {
            plan.findings.push(Finding {
                table: name.table.to_string(),
                cycle: Some(name.cycle),
                key: name.path().to_string(),
                kind: Kind::Manifest,
                detail: reason.clone(),
            });
        }
    }
    if let Some(unfinished) = &published.unfinished
        && cycles.contains(unfinished.cycle)
    {
        plan.findings.push(Finding {
            table: published.table.to_string(),
            cycle: Some(unfinished.cycle),
            key: unfinished.key.clone(),
            kind: Kind::Unfinished,
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
            match listing.get(&recorded.path) {
                None => plan.findings.push(recorded.finding(
                    Kind::Missing,
                    format!("named by `{}`, not there", manifest.name().path()),
                )),
                Some(Listed::Forbidden) => plan.findings.push(
                    recorded.finding(Kind::Unreadable, "these credentials may not look at it"),
                ),
                Some(listed) => plan.files.push((recorded, listed.clone())),
            }
        }
    }
    plan.findings.extend(duplicates(published, cycles));
    plan.findings.extend(extra(published, cycles, listing));
    plan
}

fn manifests<'a>(
    published: &'a Published,
    cycles: &'a Cycles,
) -> impl Iterator<Item = &'a Manifest> {
    all_manifests(published).filter(|manifest| cycles.contains(manifest.cycle.id))
}

fn all_manifests(published: &Published) -> impl Iterator<Item = &Manifest> {
    published.current.iter().filter_map(|record| match record {
        Record::Read(manifest) => Some(manifest.as_ref()),
        Record::Broken { .. } => None,
    })
}

fn recorded(manifest: &Manifest) -> Vec<Recorded> {
    let schema = Arc::new(manifest.schema.clone());
    let table = manifest.table.to_string();
    let cycle = manifest.cycle.id;
    let data = manifest.files.iter().map(|file| Recorded {
        table: table.clone(),
        cycle,
        path: file.path.clone(),
        rows: file.rows,
        bytes: file.bytes,
        etag: file.etag.clone(),
        sha256: file.sha256.clone(),
        content: Content::Rows {
            format: manifest.format,
            schema: Arc::clone(&schema),
        },
    });
    let rejects = manifest.rejects.iter().map(|file| Recorded {
        table: table.clone(),
        cycle,
        path: file.path.clone(),
        rows: file.rows,
        bytes: file.bytes,
        etag: file.etag.clone(),
        sha256: file.sha256.clone(),
        content: Content::Rejects,
    });
    data.chain(rejects).collect()
}

fn of_manifest(manifest: &Manifest, kind: Kind, key: String, detail: String) -> Finding {
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
    let wrong: Vec<String> = [
        ("rows", manifest.rows, rows),
        ("bytes", manifest.bytes, bytes),
    ]
    .into_iter()
    .filter(|(_, total, sum)| u128::from(*total) != *sum)
    .map(|(of, total, sum)| format!("{of} is {total}, the sum over its files is {sum}"))
    .collect();
    (!wrong.is_empty()).then(|| {
        let key = manifest.name().path().to_string();
        of_manifest(manifest, Kind::Sum, key, wrong.join("; "))
    })
}

/// Instants of a snapshot may be any.
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
        Kind::Window,
        file.path.clone(),
        detail,
    ))
}

fn partition(manifest: &Manifest, file: &DataFile) -> Option<Finding> {
    let finding = |detail: String| {
        let path = file.path.clone();
        Some(of_manifest(manifest, Kind::Partition, path, detail))
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
    // The members of a JSON object are in no order; the folders of a path are.
    let in_any_order = |partition: &Partition| {
        let values = partition.values().iter().cloned();
        values.collect::<BTreeMap<String, String>>()
    };
    if in_any_order(&shard.partition) != in_any_order(&file.partition) {
        return finding(format!("recorded as partition `{}`", file.partition));
    }
    let columns = manifest.partition_by.columns().iter();
    let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let folders = shard.partition.values().iter();
    let folders: Vec<&str> = folders.map(|(column, _)| column.as_str()).collect();
    if folders != columns {
        let by = columns.join(", ");
        return finding(format!("the table is partitioned by ({by})"));
    }
    None
}

/// Paths that two current records name, at least one of them in the scope.
fn duplicates(published: &Published, cycles: &Cycles) -> Vec<Finding> {
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
                findings.push(of_manifest(manifest, Kind::Duplicate, path, detail));
            }
        }
    }
    findings
}

/// Objects that nothing accounts for. With a range of cycles only the folders that files of these
/// cycles are in can be judged: who knows which cycle an object elsewhere was meant for.
fn extra(published: &Published, cycles: &Cycles, listing: &Listing) -> Vec<Finding> {
    let is_broken = |record: &Record| matches!(record, Record::Broken { .. });
    if published.current.iter().any(is_broken) {
        // Its files are unknown; they would all be called foreign.
        return Vec::new();
    }
    let named: BTreeSet<&str> = all_manifests(published)
        .flat_map(|manifest| &manifest.files)
        .map(|file| file.path.as_str())
        .collect();
    let under_way = published.unfinished.iter().flat_map(|commit| &commit.files);
    let under_way: BTreeSet<&str> = under_way.map(String::as_str).collect();
    let touched: BTreeSet<&str> = manifests(published, cycles)
        .flat_map(|manifest| &manifest.files)
        .map(|file| folder(&file.path))
        .collect();
    let folder_of_data = layout::table_folder(&published.table);
    listing
        .keys()
        .map(String::as_str)
        // The listing has rejects too.
        .filter(|key| is_below(key, folder_of_data.as_ref()))
        .filter(|key| !named.contains(key) && !under_way.contains(key))
        .filter(|key| *cycles == Cycles::All || touched.contains(folder(key)))
        .map(|key| Finding {
            table: published.table.to_string(),
            cycle: None,
            key: key.to_owned(),
            kind: Kind::Extra,
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
pub(super) mod tests;
