//! What is published, day by day, from manifests and the log alone.
//!
//! ```text
//! destination ─inspect→ History, Manifest ─calendar (pure)→ TableStatus ─html→ one page
//! ```

mod calendar;
mod chart;
mod html;

pub use calendar::{Day, Published, TableStatus, calendar};
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

/// The state of a destination.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub destination: String,
    pub at: DateTime<Utc>,
    /// The days of the calendar, both included.
    pub first: Cycle,
    pub last: Cycle,
    pub tables: Vec<TableStatus>,
    /// What went wrong lately, newest first.
    pub troubles: Vec<Trouble>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trouble {
    pub at: DateTime<Utc>,
    pub table: String,
    pub cycle: Option<Cycle>,
    pub text: String,
}

/// One table, as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    pub table: TableName,
    /// The newest revision of each cycle in the calendar, oldest first.
    pub manifests: Vec<Manifest>,
    /// The newest of all, even if it is older than the calendar.
    pub newest: Option<Manifest>,
    /// The first and the last cycle that were ever published.
    pub ever: Option<(Cycle, Cycle)>,
    /// Cycles before the calendar that are due.
    pub damaged: Vec<Cycle>,
    /// Committed, and without a manifest.
    pub unfinished: Option<(Cycle, String)>,
    pub troubles: Vec<Trouble>,
}

/// Looks at every table that has a manifest, over the `days` days that end with the last closed one.
pub async fn status(destination: &Destination, at: DateTime<Utc>, days: u32) -> Result<Status> {
    let last = Cycle::last_closed(at)?;
    let first = last.days_before(days.max(1) - 1)?;
    let folders = destination.folders(&layout::manifests_folder()).await?;
    let names: Vec<TableName> = folders
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    let looks: Vec<_> = names
        .into_iter()
        .map(|table| find(destination, table, first, last))
        .collect();
    let mut found: Vec<Found> = futures::stream::iter(looks)
        .buffered(CONCURRENCY.tables_with_manifests)
        .try_collect()
        .await?;
    found.retain(|found| found.ever.is_some());
    let mut troubles: Vec<Trouble> = found
        .iter()
        .flat_map(|found| found.troubles.clone())
        .collect();
    troubles.sort_by_key(|trouble| Reverse(trouble.at));
    Ok(Status {
        destination: destination.to_string(),
        at,
        first,
        last,
        tables: found
            .iter()
            .map(|found| calendar(found, first, last))
            .collect(),
        troubles,
    })
}

async fn find(
    destination: &Destination,
    table: TableName,
    first: Cycle,
    last: Cycle,
) -> Result<Found> {
    let (history, pending) = match delivery::inspect(destination, &table).await {
        Ok(inspected) => (inspected.history, inspected.pending),
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        // Whoever receives may be kept out of the log: the manifests tell the rest.
        Err(_) => (
            History::load(destination, &table, None).await?,
            PendingWork::None,
        ),
    };
    let names = history.current().filter(|name| {
        let shown = (first..=last).contains(&name.cycle);
        shown && !history.state.needs_republish.contains(&name.cycle)
    });
    let reads: Vec<_> = names
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
    let mut troubles: Vec<Trouble> = manifests.iter().flat_map(set_aside).collect();
    let unfinished = match pending {
        PendingWork::Publication(entry) => {
            troubles.push(Trouble {
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
    troubles.extend(voided(destination, &table).await);
    let cycles: Vec<Cycle> = history.current().map(|name| name.cycle).collect();
    Ok(Found {
        manifests,
        newest,
        ever: cycles.first().copied().zip(cycles.last().copied()),
        damaged: history.state.needs_republish.iter().copied().collect(),
        unfinished,
        troubles,
        table,
    })
}

fn set_aside(manifest: &Manifest) -> Option<Trouble> {
    let rows: u64 = manifest.rejects.iter().map(|rejects| rejects.rows).sum();
    (rows > 0).then(|| Trouble {
        at: manifest.committed_at,
        table: manifest.table.to_string(),
        cycle: Some(manifest.cycle.id),
        text: format!("{rows} malformed lines of its sources are set aside"),
    })
}

/// A publication that was taken back.
async fn voided(destination: &Destination, table: &TableName) -> Option<Trouble> {
    let newest = delivery::newest_entry(destination, table).await;
    let LogEntry {
        written_at, action, ..
    } = newest.ok().flatten()?;
    let LogAction::Void { cycle, reason, .. } = action else {
        return None;
    };
    Some(Trouble {
        at: written_at,
        table: table.to_string(),
        cycle: Some(cycle),
        text: format!("taken back: {reason}"),
    })
}
