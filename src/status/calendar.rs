//! Classifies the days of one table: published, due, and outliers. The module does no I/O.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::books::Balance;
use crate::cycle::{Cycle, SyncMode};
use crate::layout::TableName;
use crate::manifest::{LateRecord, Manifest};
use crate::status::records::TableRecords;

/// The number of earlier publications that a day is compared with.
const TRAILING: usize = 14;

/// The minimum number of earlier publications for an outlier.
const MIN_TRAILING: usize = 5;

/// The range of rows, in multiples of the trailing median, outside of which a day is an outlier.
const USUAL: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// The number of publications in each half of a trend.
const TREND: usize = 7;

/// The calendar and the key figures of one table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TableStatus {
    pub table: TableName,
    /// `None` if every publication was rolled back.
    pub sync_mode: Option<SyncMode>,
    /// The comment at the head of the definition.
    pub description: String,
    /// The newest published cycle.
    pub newest: Option<Cycle>,
    /// The time at which the newest cycle was committed.
    pub newest_at: Option<DateTime<Utc>>,
    /// The median of the rows of the trailing publications.
    pub median_rows: Option<u64>,
    /// The change of the median rows of the last seven publications against the seven before them, in
    /// percent.
    pub trend_percent: Option<f64>,
    /// The number of missing days in the calendar.
    pub missing: u64,
    /// The newest day that is final, as are all published days before it; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_through: Option<Cycle>,
    /// The reason why the log cannot be read: days that are unfinished, or due again, are not known of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_fault: Option<String>,
    /// The days of the calendar, oldest first.
    pub days: Vec<DayStatus>,
}

/// The state of one day of one table.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum DayStatus {
    /// Not due: the day is before the first publication, or a later snapshot has replaced its own.
    None { cycle: Cycle },
    /// Published, and complete.
    Published(PublishedDay),
    /// Due, but not published.
    Missing { cycle: Cycle },
    /// Committed, but not published yet.
    Unfinished { cycle: Cycle, run_id: String },
}

/// The figures of a published day.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PublishedDay {
    pub cycle: Cycle,
    /// The revision; greater than 0 if the day was replaced.
    pub revision: u32,
    /// The number of rows; 0 for a day that is complete but empty.
    pub rows: u64,
    /// The size of the data files.
    pub bytes: u64,
    /// The number of data files.
    pub files: u64,
    /// The number of malformed lines that were set aside.
    pub rejects: u64,
    /// The rows that were read against those that were exported; absent if a version without books
    /// published the day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// The time from the start of the run to its commit, in seconds.
    pub seconds: f64,
    pub committed_at: DateTime<Utc>,
    /// The rows as a multiple of the trailing median, if that makes the day an outlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier: Option<f64>,
    /// True if a source was not ready when the day was published.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// The time from which late source files make no revision any more; absent if none ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_after: Option<DateTime<Utc>>,
    /// True if that time is over.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The source files that came after the day was published, and that are not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<LateRecord>>,
    /// True if the day is empty, and the published days before and after it are not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_among_full: bool,
}

impl DayStatus {
    /// Returns the cycle of the day.
    pub(crate) fn cycle(&self) -> Cycle {
        match self {
            DayStatus::None { cycle }
            | DayStatus::Missing { cycle }
            | DayStatus::Unfinished { cycle, .. } => *cycle,
            DayStatus::Published(day) => day.cycle,
        }
    }
}

impl TableStatus {
    /// Iterates over the published days, oldest first.
    pub(crate) fn published(&self) -> impl DoubleEndedIterator<Item = &PublishedDay> {
        self.days.iter().filter_map(|day| match day {
            DayStatus::Published(day) => Some(day),
            _ => None,
        })
    }
}

/// Builds the calendar of one table from `first` to `last`. It is the time `at`.
pub(crate) fn calendar(
    records: &TableRecords,
    at: DateTime<Utc>,
    first: Cycle,
    last: Cycle,
) -> TableStatus {
    let newest = records.newest.as_ref();
    let sync_mode = newest.map(|manifest| manifest.sync_mode);
    let mut earlier: Vec<u64> = Vec::new();
    let mut days = Vec::new();
    for cycle in Cycle::range(first, last) {
        let manifest = records
            .manifests
            .iter()
            .find(|manifest| manifest.cycle.id == cycle);
        let day = match (manifest, &records.unfinished) {
            (_, Some((unfinished, run_id))) if *unfinished == cycle => DayStatus::Unfinished {
                cycle,
                run_id: run_id.clone(),
            },
            (Some(manifest), _) => {
                let day = PublishedDay {
                    is_final: manifest.final_after.is_some_and(|since| since <= at),
                    late: records.late.get(&cycle).cloned().map(Box::new),
                    ..published_day(manifest, &earlier)
                };
                earlier.push(day.rows);
                DayStatus::Published(day)
            }
            (None, _) if is_due(records, sync_mode, cycle, last) => DayStatus::Missing { cycle },
            (None, _) => DayStatus::None { cycle },
        };
        days.push(day);
    }
    mark_empty_days(&mut days);
    let published = days.iter().filter_map(|day| match day {
        DayStatus::Published(day) => Some(day),
        _ => None,
    });
    let final_through = published
        .take_while(|day| day.is_final)
        .last()
        .map(|day| day.cycle);
    let trailing = &earlier[earlier.len().saturating_sub(TRAILING)..];
    TableStatus {
        table: records.table.clone(),
        sync_mode,
        description: newest
            .map(|manifest| manifest.description.clone())
            .unwrap_or_default(),
        newest: records.published_range.map(|(_, newest)| newest),
        newest_at: newest.map(|manifest| manifest.committed_at),
        median_rows: median(trailing),
        trend_percent: trend(&earlier),
        missing: days
            .iter()
            .filter(|day| matches!(day, DayStatus::Missing { .. }))
            .count() as u64,
        final_through,
        log_fault: records.log_fault.clone(),
        days,
    }
}

fn is_due(records: &TableRecords, sync_mode: Option<SyncMode>, cycle: Cycle, last: Cycle) -> bool {
    if records.damaged.contains(&cycle) {
        return true;
    }
    let Some((first, newest)) = records.published_range else {
        return false;
    };
    match sync_mode {
        // A catch-up publishes only the last day of a snapshot.
        Some(SyncMode::Snapshot) => cycle == last && newest < last,
        Some(SyncMode::Incremental) => cycle > first,
        // Every publication was rolled back.
        None => cycle > newest && cycle == last,
    }
}

fn published_day(manifest: &Manifest, earlier: &[u64]) -> PublishedDay {
    let trailing = &earlier[earlier.len().saturating_sub(TRAILING)..];
    let took = manifest.committed_at - manifest.started_at;
    PublishedDay {
        cycle: manifest.cycle.id,
        revision: manifest.revision,
        rows: manifest.rows,
        bytes: manifest.bytes,
        files: manifest.files.len() as u64,
        rejects: manifest
            .rejects
            .iter()
            .fold(0, |rows, rejects| rows.saturating_add(rejects.rows)),
        balance: manifest.balance.clone(),
        seconds: took.as_seconds_f64(),
        committed_at: manifest.committed_at,
        outlier: outlier(manifest.rows, trailing),
        provisional: !manifest.provisional.is_empty(),
        final_after: manifest.final_after,
        is_final: false,
        late: None,
        empty_among_full: false,
    }
}

/// Marks the published days that are empty although the ones next to them are not.
fn mark_empty_days(days: &mut [DayStatus]) {
    let published: Vec<&mut PublishedDay> = days
        .iter_mut()
        .filter_map(|day| match day {
            DayStatus::Published(day) => Some(day),
            _ => None,
        })
        .collect();
    let rows: Vec<u64> = published.iter().map(|day| day.rows).collect();
    for (index, day) in published.into_iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| rows.get(before));
        let neighbours = [before, rows.get(index + 1)];
        let mut known = neighbours.into_iter().flatten().peekable();
        day.empty_among_full =
            day.rows == 0 && known.peek().is_some() && known.all(|rows| *rows > 0);
    }
}

fn outlier(rows: u64, trailing: &[u64]) -> Option<f64> {
    if trailing.len() < MIN_TRAILING {
        return None;
    }
    let median = median(trailing).filter(|median| *median > 0)?;
    let times = rows as f64 / median as f64;
    (!USUAL.contains(&times)).then_some(times)
}

/// Returns the median; the lower of the two middle values if their number is even.
fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

fn trend(rows: &[u64]) -> Option<f64> {
    let start = rows.len().checked_sub(2 * TREND)?;
    let (before, after) = rows[start..].split_at(TREND);
    let (before, after) = (median(before)?, median(after)?);
    (before > 0).then(|| (after as f64 / before as f64 - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_outliers_and_trends_go_by_what_came_before() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3, 1, 2]), Some(2));
        assert_eq!(median(&[4, 1, 2, 3]), Some(2));
        assert_eq!(outlier(0, &[100; 4]), None, "too few to compare with");
        assert_eq!(outlier(0, &[100; 5]), Some(0.0));
        assert_eq!(outlier(50, &[100; 5]), None);
        assert_eq!(outlier(49, &[100; 5]), Some(0.49));
        assert_eq!(outlier(201, &[100; 5]), Some(2.01));
        assert_eq!(outlier(9, &[0; 5]), None);
        assert_eq!(trend(&[100; 13]), None);
        let grown: Vec<u64> = [100; 7].into_iter().chain([150; 7]).collect();
        assert_eq!(trend(&grown), Some(50.0));
    }
}
