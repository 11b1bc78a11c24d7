//! Finds source files that arrived or changed after their cycle was published.
//!
//! ```text
//! published cycle ─list its folders now, once for all tables→ digests of the lists ─as in the manifest→ nothing is late
//!                                             └─other→ the recorded list ─compare→ LateFiles + Standing
//! ```
//! Files that vanished are never a reason to publish a cycle again: the rows that came from them would be
//! lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::{debug, info, warn};

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::delivery::{History, read_manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, ManifestName};
use crate::listing::memo::ListingMemo;
use crate::listing::snapshot::{SnapshotFile, digest};
use crate::manifest::{Cause, LateReason, LateRecord, Manifest, SourceRecord};
use crate::run::context::RunContext;
use crate::run::file_lists;
use crate::run::late::{LateFiles, MAX_NAMED, Standing};
use crate::run::request::{CycleSelection, RunRequest};
use crate::store::{Created, Destination};

/// Records that these files give the rows that are published, so that no later run looks again. If that
/// fails, one does.
pub(super) async fn record_same_rows(late: &LateFiles, context: &RunContext, name: &ManifestName) {
    let key = name.same_rows(&late.digest);
    let text = json!({
        "version": 1,
        "run_id": context.run_id,
        "added": late.added,
        "changed": late.changed,
        "files": late.files,
    });
    let created = context
        .destination
        .create(&key, Bytes::from(text.to_string()));
    if let Created::Unknown(error) = created.await {
        warn!(%key, error = error.chain(), "late files without other rows are not recorded");
    }
}

/// Records that a published revision lacks late files, and why it is not published again; says so in the log.
pub(super) async fn record_late(
    late: &LateFiles,
    standing: &Standing,
    context: &RunContext,
    name: &ManifestName,
) {
    let reason = match standing {
        Standing::Due | Standing::SameRows | Standing::Awaited { .. } => return,
        Standing::Final { since } => LateReason::Final { since: *since },
        Standing::SourceGone { first } => LateReason::SourceGone {
            first: first.clone(),
        },
        Standing::NotComparable => LateReason::NotComparable,
    };
    let (table, cycle, revision, run_id) =
        (&name.table, name.cycle, name.revision, &context.run_id);
    let (added, changed) = (late.added, late.changed);
    info!(%table, %cycle, revision, run_id, added, changed, ?reason, "late files are left out");
    let record = LateRecord {
        added,
        changed,
        files: late.files.clone(),
        ..LateRecord::new(name, run_id, context.clock.now(), reason)
    };
    let key = name.late(&late.digest);
    let text = json!(record).to_string();
    let created = context.destination.create(&key, Bytes::from(text));
    if let Created::Unknown(error) = created.await {
        warn!(%key, error = error.chain(), "late files are not recorded");
    }
}

/// One table whose published cycles are looked at.
pub(super) struct LookedAt<'a> {
    pub(super) definition: &'a Definition,
    pub(super) history: &'a History,
    /// The cycle that has no manifest yet.
    pub(super) unfinished: Option<Cycle>,
}

/// The late files of the cycles of one table. A cycle of which a record is damaged or gone has an error.
pub(super) type LateCycles = BTreeMap<Cycle, Result<(LateFiles, Standing)>>;

/// Finds the late files of the cycles that a run without dates looks back at, for each of the tables; none
/// for a table about which nothing is known. A stop ends the look: what was not looked at is not late.
///
/// The tables are looked at together, cycle by cycle, so that a source is listed once for all of them.
///
/// # Errors
/// Fails for a table if a source cannot be listed, or if the destination cannot be read.
pub(super) async fn find(
    context: &RunContext,
    request: &RunRequest,
    tables: &[Option<LookedAt<'_>>],
    last_closed: Cycle,
) -> Vec<Result<LateCycles>> {
    let mut late: Vec<Result<LateCycles>> = tables.iter().map(|_| Ok(LateCycles::new())).collect();
    let look = async {
        let memo = Arc::new(ListingMemo::default());
        for cycle in looked_back_at(request, last_closed) {
            let looks: Vec<_> = tables
                .iter()
                .zip(&late)
                .map(|(table, late)| {
                    // One that failed is not asked for the next cycle.
                    let table = table.as_ref().filter(|_| late.is_ok());
                    late_in(table, context, request, cycle, Arc::clone(&memo))
                })
                .collect();
            let jobs = request.jobs.max(1);
            let found: Vec<Result<_>> = stream::iter(looks).buffered(jobs).collect().await;
            for (late, found) in late.iter_mut().zip(found) {
                match (found, &mut *late) {
                    (Ok(Some(found)), Ok(late)) => _ = late.insert(cycle, Ok(found)),
                    (Err(error), Ok(late)) if error.kind() == ErrorKind::Data => {
                        late.insert(cycle, Err(error));
                    }
                    (Err(error), Ok(_)) => *late = Err(error),
                    (Ok(None), _) | (_, Err(_)) => {}
                }
            }
            memo.forget_objects();
        }
    };
    if context.stop.run_until_cancelled(look).await.is_none() {
        debug!("stopped while looking for late source files");
    }
    late
}

/// Returns the cycles that a run without dates looks back at, oldest first.
fn looked_back_at(request: &RunRequest, last_closed: Cycle) -> Vec<Cycle> {
    if request.selection != CycleSelection::Due {
        return Vec::new();
    }
    let days = (0..request.lookback).rev();
    days.filter_map(|days| last_closed.days_before(days).ok())
        .collect()
}

async fn late_in(
    table: Option<&LookedAt<'_>>,
    context: &RunContext,
    request: &RunRequest,
    cycle: Cycle,
    memo: Arc<ListingMemo>,
) -> Result<Option<(LateFiles, Standing)>> {
    let is_looked_at = |table: &&LookedAt<'_>| {
        table.definition.sync_mode == SyncMode::Incremental && table.unfinished != Some(cycle)
    };
    let Some(table) = table.filter(is_looked_at) else {
        return Ok(None);
    };
    let Some(name) = table.history.newest_of(cycle) else {
        return Ok(None);
    };
    let manifest = read_manifest(&context.destination, &name).await?;
    of_cycle(context, request, table.definition, &manifest, memo).await
}

async fn of_cycle(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    manifest: &Manifest,
    memo: Arc<ListingMemo>,
) -> Result<Option<(LateFiles, Standing)>> {
    let cycle = manifest.cycle.id;
    let (parameters, format) = (&request.parameters, request.format);
    let engine = &context.engine;
    let bound = engine.bind(definition, cycle, parameters, format).await?;
    let listed = engine.list_sources(&bound, memo).await?;
    let mut difference = Difference::default();
    let mut all_lists = Sha256::new();
    let renamed = new_names(manifest, &listed);
    for source in &manifest.sources {
        let now = match listed.get(&source.name) {
            Some(now) => now,
            None => match renamed_to(&context.destination, source, &renamed).await? {
                Some(now) => now,
                None => continue,
            },
        };
        let list_digest = digest(now);
        all_lists.update(format!("{}\t{list_digest}\n", source.name));
        if list_digest == source.digest {
            continue;
        }
        match file_lists::read(&context.destination, &source.digest).await? {
            Some(then) => difference.add(&then, now),
            // Without the list nobody knows which files are new. Earlier versions stored none.
            None if manifest.final_after.is_none() => {}
            None => return Err(list_is_gone(&source.name, &source.digest)),
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
    if let Some(first) = difference.gone.into_iter().next() {
        return Ok(Some((files, Standing::SourceGone { first })));
    }
    let key = manifest.name().same_rows(&files.digest);
    if context.destination.head(&key).await?.is_some() {
        return Ok(None);
    }
    let was_late = matches!(manifest.cause, Some(Cause::LateSource { .. }));
    let standing = match final_since(request, manifest, context.clock.now()) {
        Some(since) => Standing::Final { since },
        None if was_late && !bound.volatile_functions()?.is_empty() => Standing::NotComparable,
        None => Standing::Due,
    };
    Ok(Some((files, standing)))
}

/// Returns the lists of the sources that the published cycle was not read from under these names.
fn new_names<'a>(
    manifest: &Manifest,
    listed: &'a BTreeMap<String, Vec<SnapshotFile>>,
) -> Vec<&'a Vec<SnapshotFile>> {
    let is_new = |name: &String| manifest.sources.iter().all(|source| source.name != *name);
    let new = listed.iter().filter(|(name, _)| is_new(name));
    new.map(|(_, files)| files).collect()
}

/// Finds the present list of a source that has another name since: the one with a file that it had.
async fn renamed_to<'a>(
    destination: &Destination,
    source: &SourceRecord,
    renamed: &[&'a Vec<SnapshotFile>],
) -> Result<Option<&'a Vec<SnapshotFile>>> {
    if renamed.is_empty() {
        return Ok(None);
    }
    let Some(then) = file_lists::read(destination, &source.digest).await? else {
        return Ok(None);
    };
    let had: BTreeSet<&str> = then.iter().map(|file| file.key.as_str()).collect();
    let mut lists = renamed.iter();
    let is_same =
        |list: &&&Vec<SnapshotFile>| list.iter().any(|file| had.contains(file.key.as_str()));
    Ok(lists.find(is_same).copied())
}

fn list_is_gone(source: &str, digest: &str) -> Error {
    Error::data(format!(
        "the files of the source `{source}` are others than those that the cycle was read from, and their \
         list, `{}`, is gone",
        layout::file_list(digest)
    ))
    .with_hint("--rerun with --date publishes the cycle from the files that are there now")
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
