//! Writes the markers of the cycles that a run has completed, or that an earlier run left unmarked.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use tracing::{info, warn};

use crate::cycle::{Cycle, SyncMode};
use crate::cycle_marker::decide::{
    CycleTables, Examination, ExportTables, is_current, tables_of, to_examine,
};
use crate::cycle_marker::latest;
use crate::cycle_marker::marks;
use crate::cycle_marker::names::{ListedRevision, MarkerNames, PublishedNames};
use crate::cycle_marker::read::{find_marker, read_marker};
use crate::cycle_marker::report::{CycleOutcome, CycleReport, MarkedCycles, MarkerFailure};
use crate::cycle_marker::reruns;
use crate::cycle_marker::settled::{InspectedTables, LogState};
use crate::delivery::read_manifest_and_digest;
use crate::error::{Error, Result};
use crate::layout::{CycleMarkerName, MAX_REVISION, ManifestName, TableName};
use crate::manifest::{CycleMarker, FailedRerun, MarkedTable};
use crate::store::{CONCURRENCY, Created, Destination};

/// The maximum number of attempts at one marker before it is left to concurrent runs.
const MAX_ATTEMPTS: u32 = 5;

/// What a run knows of the tables that it was to deliver.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveredTables {
    /// The tables of each cycle that are published, as the run has seen in their logs.
    pub published: BTreeMap<Cycle, BTreeSet<TableName>>,
    /// The tables of each cycle that are awaited, or whose late files are not published.
    pub awaited: BTreeMap<Cycle, BTreeSet<TableName>>,
    /// The tables that failed, with the cycle from which on they are not delivered; without one, they
    /// are delivered for none.
    pub failed: BTreeMap<TableName, Option<Cycle>>,
    /// True if the run publishes cycles again that were published.
    pub is_rerun: bool,
}

impl DeliveredTables {
    fn is_published(&self, cycle: Cycle, table: &TableName) -> bool {
        let tables = self.published.get(&cycle);
        tables.is_some_and(|tables| tables.contains(table))
    }

    /// Returns the tables that a cycle waits for, whatever is published of them.
    fn not_ready(&self, cycle: Cycle) -> BTreeSet<TableName> {
        let awaited = self.awaited.get(&cycle).into_iter().flatten();
        awaited.chain(self.failed_for(cycle)).cloned().collect()
    }

    fn failed_for(&self, cycle: Cycle) -> impl Iterator<Item = &TableName> {
        let failed = self.failed.iter().filter(move |(table, from)| {
            from.is_none_or(|from| from <= cycle) && !self.is_published(cycle, table)
        });
        failed.map(|(table, _)| table)
    }

    /// Returns the tables whose rerun failed for a cycle.
    fn failed_reruns(&self, cycle: Cycle) -> impl Iterator<Item = &TableName> {
        self.failed_for(cycle).filter(|_| self.is_rerun)
    }
}

/// Writes markers for one run.
pub(crate) struct MarkerWriter<'a> {
    pub destination: &'a Destination,
    pub run_id: &'a str,
    pub now: DateTime<Utc>,
    pub export: &'a ExportTables,
    pub last_closed: Cycle,
}

/// What is listed, and what was found out about it since.
struct Listed {
    names: PublishedNames,
    markers: MarkerNames,
    inspected: InspectedTables,
    /// The markers that were written.
    written: Vec<CycleMarker>,
}

/// The content of a marker that is to be written.
enum NextMarker {
    Complete(Vec<MarkedTable>),
    Withdrawn {
        missing: Vec<TableName>,
        failed_reruns: BTreeSet<FailedRerun>,
    },
}

impl MarkerWriter<'_> {
    /// Examines the cycles of `touched` and those that earlier runs may have left, oldest first, and
    /// writes their markers and the hint of the newest one.
    pub(crate) async fn write_due(
        &self,
        delivered: &DeliveredTables,
        touched: &BTreeSet<Cycle>,
    ) -> MarkedCycles {
        let mut marked = MarkedCycles::default();
        let mut listed = match self.list().await {
            Ok(listed) => listed,
            Err(error) => {
                marked.failure = Some((&error).into());
                return marked;
            }
        };
        let due = to_examine(&listed.names, &listed.markers, touched, self.last_closed);
        for (cycle, examination) in due {
            let outcome = match self
                .examine(&mut listed, delivered, cycle, examination)
                .await
            {
                Ok(outcome) => outcome,
                Err(error) => CycleOutcome::Failed((&error).into()),
            };
            let is_news = matches!(
                outcome,
                CycleOutcome::Complete { .. } | CycleOutcome::Failed(_)
            );
            let stops = outcome
                .failure()
                .is_some_and(MarkerFailure::is_of_the_store);
            if is_news || touched.contains(&cycle) {
                marked.cycles.push(CycleReport { cycle, outcome });
            }
            if stops {
                return marked;
            }
        }
        if let Err(error) = latest::update(self.destination, listed.markers, &listed.written).await
        {
            info!(
                run_id = self.run_id,
                error = error.chain(),
                "the hint of the newest complete cycle is not written"
            );
        }
        marked
    }

    /// Examines one cycle that was just delivered, while later ones are still to come. Returns `None` if
    /// the examination has to be left to [`MarkerWriter::write_due`].
    pub(crate) async fn write_early(
        &self,
        delivered: &DeliveredTables,
        cycle: Cycle,
    ) -> Option<CycleReport> {
        let mut listed = self.list().await.ok()?;
        let touched = BTreeSet::from([cycle]);
        let due = to_examine(&listed.names, &listed.markers, &touched, self.last_closed);
        let examination = *due.get(&cycle)?;
        let outcome = self
            .examine(&mut listed, delivered, cycle, examination)
            .await
            .ok()?;
        Some(CycleReport { cycle, outcome })
    }

    async fn list(&self) -> Result<Listed> {
        // The markers first: one that a listed manifest is not in is then known to be older.
        let markers = MarkerNames::list(self.destination).await?;
        Ok(Listed {
            names: PublishedNames::list(self.destination).await?,
            markers,
            inspected: InspectedTables::default(),
            written: Vec::new(),
        })
    }

    /// Examines one cycle, and writes its next marker if it needs one.
    async fn examine(
        &self,
        listed: &mut Listed,
        delivered: &DeliveredTables,
        cycle: Cycle,
        examination: Examination,
    ) -> Result<CycleOutcome> {
        let mut examination = examination;
        let mut is_overtaken = false;
        for _ in 0..MAX_ATTEMPTS {
            let newest = match examination {
                Examination::Unmarked => None,
                Examination::Marked(ListedRevision { revision, .. }) => {
                    Some(read_marker(self.destination, CycleMarkerName { cycle, revision }).await?)
                }
            };
            let tables = tables_of(cycle, &listed.names, self.export);
            let next = match self
                .next_marker(listed, delivered, cycle, newest.as_ref(), tables)
                .await?
            {
                Ok(next) => next,
                Err(outcome) if is_overtaken && !self.export.marks.is_empty() => {
                    // The marks of the attempt before may have come after those of the faster run.
                    self.rewrite_marks(listed, newest.as_ref()).await?;
                    let markers = MarkerNames::list(self.destination).await?;
                    let is_same = markers.newest_of(cycle) == listed.markers.newest_of(cycle);
                    listed.markers = markers;
                    if is_same {
                        return Ok(outcome);
                    }
                    listed.names = PublishedNames::list(self.destination).await?;
                    examination = examination_of(&listed.markers, cycle);
                    continue;
                }
                Err(outcome) => return self.without_false_marks(cycle, outcome).await,
            };
            let revision = newest.as_ref().map_or(Ok(0), next_revision)?;
            let name = CycleMarkerName { cycle, revision };
            if let NextMarker::Complete(tables) = &next {
                self.write_marks(listed, name, tables, newest.as_ref())
                    .await?;
            }
            if let Some(outcome) = self.write(listed, name, next).await? {
                return self.without_false_marks(cycle, outcome).await;
            }
            is_overtaken = true;
            let Listed { names, markers, .. } = self.list().await?;
            (listed.names, listed.markers) = (names, markers);
            examination = examination_of(&listed.markers, cycle);
        }
        Err(Error::unavailable(format!(
            "other runs keep writing the marker of {cycle}"
        )))
    }

    /// Returns the outcome, after the marks of a cycle that is not complete any more are withdrawn: also those
    /// that a run before has left.
    async fn without_false_marks(
        &self,
        cycle: Cycle,
        outcome: CycleOutcome,
    ) -> Result<CycleOutcome> {
        if matches!(outcome, CycleOutcome::Withdrawn { .. }) {
            marks::withdraw(self.destination, &self.export.marks, cycle).await?;
        }
        Ok(outcome)
    }

    async fn write_marks(
        &self,
        listed: &Listed,
        name: CycleMarkerName,
        tables: &[MarkedTable],
        newest: Option<&CycleMarker>,
    ) -> Result<()> {
        let marks = &self.export.marks;
        marks::write(self.destination, marks, name, tables, newest, &listed.names).await
    }

    /// Writes or withdraws the marks of a marker that another run has written.
    async fn rewrite_marks(&self, listed: &Listed, marker: Option<&CycleMarker>) -> Result<()> {
        match marker {
            None => Ok(()),
            Some(marker) if marker.is_complete() => {
                self.write_marks(listed, marker.name(), &marker.tables, None)
                    .await
            }
            Some(marker) => {
                let cycle = marker.name().cycle;
                marks::withdraw(self.destination, &self.export.marks, cycle).await
            }
        }
    }

    /// Decides on the next marker of a cycle; without one, returns the outcome.
    async fn next_marker(
        &self,
        listed: &mut Listed,
        delivered: &DeliveredTables,
        cycle: Cycle,
        newest: Option<&CycleMarker>,
        tables: CycleTables,
    ) -> Result<Result<NextMarker, CycleOutcome>> {
        let mut waits_for = delivered.not_ready(cycle);
        let mut failed_reruns = reruns::failed(delivered.failed_reruns(cycle), &tables.own);
        if let Some(marker) = newest.filter(|marker| !marker.is_complete()) {
            let failed = reruns::still_failed(marker, &tables.own, &self.export.without);
            waits_for.extend(failed.iter().map(|failed| failed.table.clone()));
            failed_reruns.extend(failed);
        }
        if let Some(marker) = newest.filter(|marker| marker.is_complete()) {
            // A cycle that is complete without a table stays so while that table waits or fails.
            let named = |table: &TableName| {
                let is_own = tables.own.iter().any(|name| name.table == *table);
                is_own || marker.tables.iter().any(|marked| marked.table == *table)
            };
            waits_for.retain(named);
        }
        if let Some(marker) = newest.filter(|marker| is_current(marker, &tables.own)) {
            let mut is_true = true;
            for table in &waits_for {
                if tables.own.iter().any(|name| name.table == *table) {
                    let state = listed
                        .inspected
                        .state(self.destination, table, cycle)
                        .await?;
                    // A log that cannot be read says nothing against the marker.
                    is_true &= state != LogState::Unsettled;
                }
            }
            if is_true {
                return Ok(Err(CycleOutcome::AlreadyComplete {
                    revision: marker.revision,
                    marker: marker.name().path().to_string(),
                }));
            }
        }
        if newest.is_none() {
            waits_for.extend(tables.missing.iter().cloned());
        }
        let mut entries = Vec::new();
        if waits_for.is_empty() {
            for name in tables.own.iter().chain(&tables.later) {
                let is_settled = delivered.is_published(cycle, &name.table) || {
                    let (table, cycle) = (&name.table, name.cycle);
                    let state = listed
                        .inspected
                        .state(self.destination, table, cycle)
                        .await?;
                    state == LogState::Settled
                };
                if !is_settled {
                    waits_for.insert(name.table.clone());
                }
            }
        }
        if waits_for.is_empty() {
            entries = self.entries(&tables).await?;
            let named: BTreeSet<&TableName> = entries.iter().map(|entry| &entry.table).collect();
            if newest.is_none() {
                let all = tables.later.iter().map(|name| &name.table);
                waits_for = all
                    .filter(|table| !named.contains(table))
                    .cloned()
                    .collect();
            }
        }
        let missing: Vec<TableName> = waits_for.into_iter().collect();
        Ok(match newest {
            _ if missing.is_empty() => Ok(NextMarker::Complete(with_carried(entries, newest))),
            None => {
                let defined = &self.export.defined;
                let undefined = missing.iter().filter(|table| !defined.contains_key(*table));
                Err(CycleOutcome::Incomplete {
                    undefined: undefined.cloned().collect(),
                    missing,
                })
            }
            Some(marker)
                if marker.is_complete()
                    || failed_reruns
                        .iter()
                        .any(|failed| !marker.failed_reruns.contains(failed)) =>
            {
                Ok(NextMarker::Withdrawn {
                    missing,
                    failed_reruns,
                })
            }
            Some(marker) => Err(CycleOutcome::Withdrawn {
                revision: marker.revision,
                marker: marker.name().path().to_string(),
                missing,
            }),
        })
    }

    /// Reads the manifests of a cycle. Manifests of later cycles count if they are of snapshots.
    async fn entries(&self, tables: &CycleTables) -> Result<Vec<MarkedTable>> {
        let names: Vec<&ManifestName> = tables.own.iter().chain(&tables.later).collect();
        let reads: Vec<_> = names
            .iter()
            .map(|name| read_manifest_and_digest(self.destination, name))
            .collect();
        let read: Vec<_> = futures::stream::iter(reads)
            .buffered(CONCURRENCY.manifest_reads)
            .try_collect()
            .await?;
        let mut entries: Vec<MarkedTable> = read
            .iter()
            .enumerate()
            .filter(|(index, (manifest, _))| {
                *index < tables.own.len() || manifest.sync_mode == SyncMode::Snapshot
            })
            .map(|(_, (manifest, digest))| MarkedTable::new(manifest, digest.clone()))
            .collect();
        entries.sort_by(|one, other| one.table.cmp(&other.table));
        Ok(entries)
    }

    /// Writes a marker, create-if-absent. Returns `None` if another run was faster with this revision.
    async fn write(
        &self,
        listed: &mut Listed,
        name: CycleMarkerName,
        next: NextMarker,
    ) -> Result<Option<CycleOutcome>> {
        let marker = match next {
            NextMarker::Complete(tables) => {
                CycleMarker::complete(name, tables, self.run_id, self.now)
            }
            NextMarker::Withdrawn {
                missing,
                failed_reruns,
            } => {
                let failed = failed_reruns.into_iter().collect();
                CycleMarker::withdrawn(name, missing, failed, self.run_id, self.now)
            }
        };
        let key = name.path();
        let created = self
            .destination
            .create(&key, Bytes::from(marker.to_json()?))
            .await;
        match created {
            Created::Yes => {}
            Created::Contested => match find_marker(self.destination, name).await? {
                // A retried put finds its own marker.
                Some(stored) if stored == marker => {}
                // Another run was faster, or the store has a conflict and nothing stored.
                Some(_) | None => return Ok(None),
            },
            Created::Unknown(error) => match find_marker(self.destination, name).await {
                Ok(Some(stored)) if stored == marker => {}
                _ => return Err(error),
            },
        }
        let (cycle, run_id) = (name.cycle, self.run_id);
        let (revision, key) = (name.revision, key.to_string());
        listed.markers.add(name, self.now);
        let outcome = match marker.is_complete() {
            true => {
                info!(%cycle, run_id, revision, "complete");
                CycleOutcome::Complete {
                    revision,
                    marker: key,
                    tables: marker.tables.len() as u64,
                    rows: marker.rows,
                }
            }
            false => {
                warn!(%cycle, run_id, revision, "no longer complete: its marker is withdrawn");
                CycleOutcome::Withdrawn {
                    revision,
                    marker: key,
                    missing: marker.missing.clone(),
                }
            }
        };
        listed.written.push(marker);
        Ok(Some(outcome))
    }
}

fn examination_of(markers: &MarkerNames, cycle: Cycle) -> Examination {
    match markers.newest_of(cycle) {
        Some(marker) => Examination::Marked(marker),
        None => Examination::Unmarked,
    }
}

/// Adds the tables that the marker before named and that the names of manifests no longer lead to: the
/// snapshots of later cycles, as another runner saw them.
fn with_carried(mut entries: Vec<MarkedTable>, newest: Option<&CycleMarker>) -> Vec<MarkedTable> {
    for marked in newest.into_iter().flat_map(|marker| &marker.tables) {
        if entries.iter().all(|entry| entry.table != marked.table) {
            entries.push(marked.clone());
        }
    }
    entries.sort_by(|one, other| one.table.cmp(&other.table));
    entries
}

fn next_revision(marker: &CycleMarker) -> Result<u32> {
    let next = marker.revision.checked_add(1);
    next.filter(|next| *next <= MAX_REVISION).ok_or_else(|| {
        Error::data(format!(
            "`{}` has the greatest revision, and none comes after it",
            marker.name().path()
        ))
    })
}
