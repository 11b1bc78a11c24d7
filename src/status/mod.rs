//! Reports what is published, day by day, from manifests and the log alone.
//!
//! ```text
//! destination ─inspect→ TableRecords ─calendar (pure)→ TableStatus ─html→ one page
//! ```

mod calendar;
mod chart;
mod html;

pub use calendar::{DayStatus, PublishedDay, TableStatus, calendar};
pub use html::page;

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::cycle::Cycle;
use crate::delivery::{self, History, LogAction, LogEntry, PendingWork};
use crate::error::{ErrorKind, Result};
use crate::layout::{self, TableName};
use crate::manifest::Manifest;
use crate::store::{CONCURRENCY, Destination};

/// The state of a destination, as far as manifests and the log record it.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The URL or path of the destination.
    pub destination: String,
    /// The time at which the destination was read.
    pub at: DateTime<Utc>,
    /// The first day of the calendar.
    pub first: Cycle,
    /// The last day of the calendar, inclusive.
    pub last: Cycle,
    /// Every table that was ever published, by name.
    pub tables: Vec<TableStatus>,
    /// The last incidents, newest first.
    #[serde(rename = "troubles")]
    pub incidents: Vec<Incident>,
}

/// Something that an operator should look at: an unfinished commit, a rolled back publication, a failed
/// run, malformed lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    /// The time of the commit or of the failure.
    pub at: DateTime<Utc>,
    pub table: String,
    /// The cycle, if the incident concerns a single one.
    pub cycle: Option<Cycle>,
    /// A sentence for people.
    pub text: String,
}

/// The records of one table in a destination, before they are judged.
#[derive(Debug, Clone)]
pub struct TableRecords {
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
    pub incidents: Vec<Incident>,
}

impl Status {
    /// Reads the state of every table that has a manifest, over the `days` days up to the last closed one.
    ///
    /// # Errors
    /// If the store is unavailable, or a manifest cannot be read.
    pub async fn load(destination: &Destination, at: DateTime<Utc>, days: u32) -> Result<Self> {
        let last = Cycle::last_closed(at)?;
        let first = last.days_before(days.max(1) - 1)?;
        let folders = destination.folders(&layout::manifests_folder()).await?;
        let reads: Vec<_> = folders
            .iter()
            .filter_map(|name| name.parse().ok())
            .map(|table| read_table(destination, table, first, last))
            .collect();
        let mut tables: Vec<TableRecords> = futures::stream::iter(reads)
            .buffered(CONCURRENCY.tables_with_manifests)
            .try_collect()
            .await?;
        tables.retain(|table| table.published_range.is_some());
        let mut incidents: Vec<Incident> = tables
            .iter()
            .flat_map(|table| table.incidents.clone())
            .collect();
        incidents.sort_by_key(|incident| Reverse(incident.at));
        Ok(Self {
            destination: destination.to_string(),
            at,
            first,
            last,
            tables: tables
                .iter()
                .map(|table| calendar(table, first, last))
                .collect(),
            incidents,
        })
    }
}

async fn read_table(
    destination: &Destination,
    table: TableName,
    first: Cycle,
    last: Cycle,
) -> Result<TableRecords> {
    let (history, pending) = match delivery::inspect(destination, &table).await {
        Ok(inspected) => (inspected.history, inspected.pending),
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // A receiver may have no right to read the log. The manifests suffice for all but unfinished
        // commits.
        Err(_) => (
            History::load(destination, &table, None).await?,
            PendingWork::None,
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
    incidents.extend(void_incident(destination, &table).await);
    let cycles: Vec<Cycle> = history.current().map(|name| name.cycle).collect();
    Ok(TableRecords {
        manifests,
        newest,
        published_range: cycles.first().copied().zip(cycles.last().copied()),
        damaged: history.state.needs_republish.iter().copied().collect(),
        unfinished,
        incidents,
        table,
    })
}

/// Returns an incident if malformed lines were set aside.
fn rejects_incident(manifest: &Manifest) -> Option<Incident> {
    let rows: u64 = manifest.rejects.iter().map(|rejects| rejects.rows).sum();
    (rows > 0).then(|| Incident {
        at: manifest.committed_at,
        table: manifest.table.to_string(),
        cycle: Some(manifest.cycle.id),
        text: format!("{rows} malformed lines of its sources are set aside"),
    })
}

/// Returns an incident if the newest log entry rolled a publication back.
async fn void_incident(destination: &Destination, table: &TableName) -> Option<Incident> {
    let newest = delivery::newest_entry(destination, table).await;
    let LogEntry {
        written_at, action, ..
    } = newest.ok().flatten()?;
    let LogAction::Void { cycle, reason, .. } = action else {
        return None;
    };
    Some(Incident {
        at: written_at,
        table: table.to_string(),
        cycle: Some(cycle),
        text: format!("rolled back: {reason}"),
    })
}
