//! Finds source files that arrived or changed after their cycle was published.
//!
//! ```text
//! published cycle ─list its folders now→ digests of the lists ─as in the manifest→ nothing is late
//!                                             └─other→ the recorded list ─compare→ LateFiles + Standing
//! ```
//! Files that vanished are never a reason to publish a cycle again: the rows that came from them would be
//! lost.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::delivery::{History, read_manifest};
use crate::error::Result;
use crate::layout::{self, ManifestName};
use crate::listing::snapshot::{SnapshotFile, digest};
use crate::manifest::{Cause, Manifest};
use crate::run::context::RunContext;
use crate::run::file_lists;
use crate::run::request::{CycleSelection, RunRequest};
use crate::store::Created;

/// The maximum number of files that manifest and report name.
const MAX_NAMED: usize = 20;

/// The source files of a published cycle that it was not read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LateFiles {
    /// The published revision, which lacks them.
    pub revision: u32,
    /// The number of files that were added.
    pub added: u64,
    /// The number of files that were changed.
    pub changed: u64,
    /// The URLs of the first of these files.
    pub files: Vec<String>,
    /// The digest of the present lists of all sources.
    #[serde(skip)]
    digest: String,
}

/// What becomes of a cycle with late files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It is published again.
    Due,
    /// It is not: its rows would be the same.
    SameRows,
    /// It is not: it has been final since this time.
    Final {
        /// The time.
        since: DateTime<Utc>,
    },
    /// It is not: source files that it was read from are gone, and their rows would be lost.
    SourceGone {
        /// The URL of the first of them.
        first: String,
    },
    /// It is not: its query gives other rows each time, and it was published again once.
    NotComparable,
}

impl LateFiles {
    /// Returns the cause to record of a revision with these files.
    pub(super) fn cause(&self, rows: u64, rows_before: u64) -> Cause {
        let difference = i128::from(rows) - i128::from(rows_before);
        Cause::LateSource {
            added: self.added,
            changed: self.changed,
            files: self.files.clone(),
            rows_difference: i64::try_from(difference).unwrap_or_default(),
        }
    }

    /// Records that these files give the rows that are published, so that no later run looks again. If that
    /// fails, one does.
    pub(super) async fn record_same_rows(&self, context: &RunContext, name: &ManifestName) {
        let key = layout::same_rows(name, &self.digest);
        let text = json!({
            "version": 1,
            "run_id": context.run_id,
            "added": self.added,
            "changed": self.changed,
            "files": self.files,
        });
        let created = context
            .destination
            .create(&key, Bytes::from(text.to_string()));
        if let Created::Unknown(error) = created.await {
            warn!(%key, error = error.chain(), "late files without other rows are not recorded");
        }
    }
}

/// Finds the late files of the cycles of one table that a run without dates looks back at.
///
/// # Errors
/// Fails if a source cannot be listed, or if a manifest or a list cannot be read.
pub(super) async fn find(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    history: &History,
    last_closed: Cycle,
) -> Result<BTreeMap<Cycle, (LateFiles, Standing)>> {
    let mut late = BTreeMap::new();
    if request.selection != CycleSelection::Due || definition.sync_mode != SyncMode::Incremental {
        return Ok(late);
    }
    let end = last_closed.end();
    let is_looked_at = |cycle: &Cycle| end - cycle.end() < TimeDelta::days(request.lookback.into());
    for cycle in history.published().into_iter().filter(is_looked_at) {
        let Some(name) = history.newest_of(cycle) else {
            continue;
        };
        let manifest = read_manifest(&context.destination, &name).await?;
        if let Some(found) = of_cycle(context, request, definition, &manifest).await? {
            late.insert(cycle, found);
        }
    }
    Ok(late)
}

async fn of_cycle(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    manifest: &Manifest,
) -> Result<Option<(LateFiles, Standing)>> {
    let cycle = manifest.cycle.id;
    let (parameters, format) = (&request.parameters, request.format);
    let engine = &context.engine;
    let bound = engine.bind(definition, cycle, parameters, format).await?;
    let listed = engine.list_sources(&bound).await?;
    let mut difference = Difference::default();
    let mut all_lists = Sha256::new();
    for source in &manifest.sources {
        let Some(now) = listed.get(&source.name) else {
            continue;
        };
        let list_digest = digest(now);
        all_lists.update(format!("{}\t{list_digest}\n", source.name));
        if list_digest == source.digest {
            continue;
        }
        // Without the list nobody knows which files are new.
        if let Some(then) = file_lists::read(&context.destination, &source.digest).await? {
            difference.add(&then, now);
        }
    }
    if difference.added + difference.changed == 0 {
        return Ok(None);
    }
    let files = LateFiles {
        revision: manifest.revision,
        added: difference.added,
        changed: difference.changed,
        files: difference.named,
        digest: format!("{:x}", all_lists.finalize()),
    };
    let was_late = matches!(manifest.cause, Some(Cause::LateSource { .. }));
    let standing = match difference.gone.into_iter().next() {
        Some(first) => Standing::SourceGone { first },
        None => match final_since(request, manifest, context.clock.now()) {
            Some(since) => Standing::Final { since },
            None if was_late && !bound.volatile_functions()?.is_empty() => Standing::NotComparable,
            None => {
                let key = layout::same_rows(&manifest.name(), &files.digest);
                match context.destination.head(&key).await? {
                    Some(_) => return Ok(None),
                    None => Standing::Due,
                }
            }
        },
    };
    Ok(Some((files, standing)))
}

/// Returns the time since when a cycle has been final; `None` if it is not.
fn final_since(
    request: &RunRequest,
    manifest: &Manifest,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let computed = || request.final_after(manifest.cycle.id);
    let since = manifest.final_after.or_else(computed)?;
    (since <= now).then_some(since)
}

/// The difference of the files of a cycle from those that it was read from.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    added: u64,
    changed: u64,
    /// The first of the added and the changed files.
    named: Vec<String>,
    /// The files that are gone.
    gone: BTreeSet<String>,
}

impl Difference {
    fn add(&mut self, then: &[SnapshotFile], now: &[SnapshotFile]) {
        let mut before: BTreeMap<&str, &SnapshotFile> =
            then.iter().map(|file| (file.key.as_str(), file)).collect();
        for file in now {
            match before.remove(file.key.as_str()) {
                Some(same) if same == file => continue,
                Some(_) => self.changed += 1,
                None => self.added += 1,
            }
            if self.named.len() < MAX_NAMED {
                self.named.push(file.key.clone());
            }
        }
        self.gone.extend(before.into_keys().map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, u64)]) -> Vec<SnapshotFile> {
        let file = |(key, size): &(&str, u64)| SnapshotFile {
            key: (*key).to_owned(),
            size: *size,
            etag: None,
        };
        files.iter().map(file).collect()
    }

    #[test]
    fn files_are_added_changed_or_gone() {
        let mut difference = Difference::default();
        let then = files(&[("a", 1), ("b", 1), ("c", 1)]);
        difference.add(&then, &files(&[("a", 1), ("b", 2), ("d", 1)]));
        let expected = Difference {
            added: 1,
            changed: 1,
            named: vec!["b".to_owned(), "d".to_owned()],
            gone: BTreeSet::from(["c".to_owned()]),
        };
        assert_eq!(difference, expected);
        difference.add(&then, &then);
        assert_eq!(difference, expected);
    }

    #[test]
    fn only_some_files_are_named_and_all_are_counted() {
        let many: Vec<String> = (0..30).map(|number| format!("{number:02}")).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|key| (key.as_str(), 1)).collect();
        let mut difference = Difference::default();
        difference.add(&[], &files(&many));
        assert_eq!((difference.added, difference.named.len()), (30, MAX_NAMED));
    }
}
