//! Reports what is published, day by day, from manifests and the log alone.
//!
//! ```text
//! destination ─records→ TableRecords ─calendar (pure)→ TableStatus ─html→ one page
//!             └complete→ CompleteCycles, by the markers ─────────────────┘
//! ```

mod calendar;
mod chart;
mod complete;
mod html;
mod late;
mod records;

pub(crate) use calendar::{DayStatus, PublishedDay, TableStatus, calendar};
pub(crate) use complete::CompleteCycles;
pub(crate) use html::page;
pub(crate) use records::{Incident, folded};

use std::cmp::Reverse;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::cycle::Cycle;
use crate::error::Result;
use crate::layout;
use crate::status::records::{TableRecords, read_table};
use crate::store::{CONCURRENCY, Destination};

/// The state of a destination, as far as manifests and the log record it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
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
    /// The complete cycles; absent if none was ever marked, or the markers may not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<CompleteCycles>,
    /// The last incidents, newest first.
    #[serde(rename = "troubles")]
    pub incidents: Vec<Incident>,
}

/// Returns the `days` days up to the last one that is closed at `at`.
pub(crate) fn last_days(at: DateTime<Utc>, days: u32) -> Result<RangeInclusive<Cycle>> {
    let last = Cycle::last_closed(at)?;
    Ok(last.days_before(days.max(1) - 1)?..=last)
}

impl Status {
    /// Reads the state of every table that has a manifest, over these days.
    ///
    /// # Errors
    /// If the store is unavailable, or a manifest cannot be read.
    pub(crate) async fn load(
        destination: &Destination,
        at: DateTime<Utc>,
        days: RangeInclusive<Cycle>,
    ) -> Result<Self> {
        let (first, last) = days.into_inner();
        let folders = destination.folders(&layout::manifests_folder()).await?;
        let reads: Vec<_> = folders
            .iter()
            .filter_map(|name| name.parse().ok())
            .map(|table| read_table(destination, table, at, (first, last)))
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
        let complete = complete::read(destination, first, last).await?;
        incidents.sort_by_key(|incident| Reverse(incident.at));
        Ok(Self {
            destination: destination.to_string(),
            at,
            first,
            last,
            tables: tables
                .iter()
                .map(|table| calendar(table, at, first, last))
                .collect(),
            complete,
            incidents,
        })
    }
}
