//! Reads the records of one table: its manifests, unfinished commits and incidents.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::cycle::Cycle;
use crate::delivery::{self, History, LogAction, LogEntry, PendingWork};
use crate::error::{ErrorKind, Result};
use crate::human;
use crate::layout::TableName;
use crate::manifest::{LateRecord, Manifest};
use crate::status::late;
use crate::store::{CONCURRENCY, Destination};

/// Something that an operator should look at: an unfinished commit, a rolled back publication, a failed
/// run, malformed lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Incident {
    /// The time of the commit or of the failure.
    pub at: DateTime<Utc>,
    pub table: String,
    /// The cycle, if the incident concerns a single one.
    pub cycle: Option<Cycle>,
    /// A sentence for people.
    pub text: String,
}

/// Folds incidents of one table with the same text into the newest of them, with their number.
pub(crate) fn folded(incidents: &[Incident]) -> Vec<(&Incident, u64)> {
    let mut folded: Vec<(&Incident, u64)> = Vec::new();
    for incident in incidents {
        let same = |(known, _): &&mut (&Incident, u64)| {
            known.table == incident.table && known.text == incident.text
        };
        match folded.iter_mut().find(same) {
            Some((_, count)) => *count += 1,
            None => folded.push((incident, 1)),
        }
    }
    folded
}

/// The records of one table in a destination, before they are judged.
#[derive(Debug, Clone)]
pub(crate) struct TableRecords {
    pub table: TableName,
    /// The newest revision of each cycle in the calendar, oldest first.
    pub manifests: Vec<Manifest>,
    /// The newest manifest, even if it is older than the calendar.
    pub newest: Option<Manifest>,
    /// The first and the last cycle that were ever published.
    pub published_range: Option<(Cycle, Cycle)>,
    /// Cycles whose replacement was rolled back halfway: they are due again although they have a manifest.
    pub damaged: Vec<Cycle>,
    /// The cycle that is committed without a manifest, and the run that committed it.
    pub unfinished: Option<(Cycle, String)>,
    /// The reason why the log cannot be read, so that unfinished and damaged cycles are not known of.
    pub log_fault: Option<String>,
    pub incidents: Vec<Incident>,
    /// The source files that came too late, by the cycle whose newest revision lacks them.
    pub late: BTreeMap<Cycle, LateRecord>,
}

/// Reads the records of one table, for a calendar from `first` to `last`. It is the time `at`.
pub(super) async fn read_table(
    destination: &Destination,
    table: TableName,
    at: DateTime<Utc>,
    (first, last): (Cycle, Cycle),
) -> Result<TableRecords> {
    let (history, pending, log_fault) = match delivery::inspect(destination, &table).await {
        Ok(inspected) => (inspected.history, inspected.pending, None),
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // The manifests suffice for all but unfinished and damaged cycles. A receiver may have no right to
        // read the log.
        Err(error) => (
            History::load(destination, &table, None).await?,
            PendingWork::None,
            (!error.is_forbidden()).then(|| error.chain()),
        ),
    };
    let shown = history.current().filter(|name| {
        let is_in_calendar = (first..=last).contains(&name.cycle);
        is_in_calendar && !history.state.needs_republish.contains(&name.cycle)
    });
    let reads: Vec<_> = shown
        .map(|name| async move { delivery::read_manifest(destination, &name).await })
        .collect();
    let manifests: Vec<Manifest> = futures::stream::iter(reads)
        .buffered(CONCURRENCY.manifest_reads_of_each_table)
        .try_collect()
        .await?;
    let older = history.current().last().filter(|_| manifests.is_empty());
    let newest = match older {
        Some(name) if !history.state.needs_republish.contains(&name.cycle) => {
            Some(delivery::read_manifest(destination, &name).await?)
        }
        _ => manifests.last().cloned(),
    };
    let mut incidents: Vec<Incident> = manifests.iter().flat_map(rejects_incident).collect();
    let unfinished = match pending {
        PendingWork::Publication(entry) => {
            incidents.push(Incident {
                at: entry.written_at,
                table: table.to_string(),
                cycle: Some(entry.cycle()),
                text: format!(
                    "run {} committed it and did not finish; the next run does",
                    entry.run_id
                ),
            });
            Some((entry.cycle(), entry.run_id.clone()))
        }
        PendingWork::Deletes(_) | PendingWork::None => None,
    };
    match &log_fault {
        Some(fault) => incidents.push(Incident {
            at,
            table: table.to_string(),
            cycle: None,
            text: format!("its log cannot be read: {fault}"),
        }),
        None => incidents.extend(void_incident(destination, &table).await?),
    }
    let cycles: Vec<Cycle> = history.current().map(|name| name.cycle).collect();
    let late = late::read(destination, &manifests).await?;
    Ok(TableRecords {
        late,
        manifests,
        newest,
        published_range: cycles.first().copied().zip(cycles.last().copied()),
        damaged: history.state.needs_republish.iter().copied().collect(),
        unfinished,
        log_fault,
        incidents,
        table,
    })
}

/// Returns an incident if malformed lines were set aside.
fn rejects_incident(manifest: &Manifest) -> Option<Incident> {
    // Not `sum()`: numbers of a damaged manifest must not overflow.
    let rows = manifest
        .rejects
        .iter()
        .fold(0, |rows: u64, rejects| rows.saturating_add(rejects.rows));
    (rows > 0).then(|| Incident {
        at: manifest.committed_at,
        table: manifest.table.to_string(),
        cycle: Some(manifest.cycle.id),
        text: format!(
            "{} of its sources set aside",
            human::counted(rows, "malformed line")
        ),
    })
}

/// Returns an incident if the newest log entry rolled a publication back.
async fn void_incident(destination: &Destination, table: &TableName) -> Result<Option<Incident>> {
    let newest = match delivery::newest_entry(destination, table).await {
        Ok(newest) => newest,
        Err(error) if error.is_forbidden() => None,
        Err(error) => return Err(error),
    };
    let Some(LogEntry {
        written_at,
        action: LogAction::Void { cycle, reason, .. },
        ..
    }) = newest
    else {
        return Ok(None);
    };
    Ok(Some(Incident {
        at: written_at,
        table: table.to_string(),
        cycle: Some(cycle),
        text: format!("rolled back: {reason}"),
    }))
}
