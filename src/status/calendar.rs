//! One table's days: what is there, what is due, and what is odd. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::cycle::{Cycle, SyncMode};
use crate::layout::TableName;
use crate::manifest::Manifest;
use crate::status::Found;

/// Publications before a day that it is compared with.
const TRAILING: usize = 14;

/// With fewer, nothing is odd yet.
const LEAST_TRAILING: usize = 5;

/// Fewer rows than this share of the median, or more than so many times it, are odd.
const ODD: (f64, f64) = (0.5, 2.0);

/// The days of each half of a trend.
const TREND: usize = 7;

/// One table.
#[derive(Debug, Clone, Serialize)]
pub struct TableStatus {
    pub table: TableName,
    pub sync_mode: Option<SyncMode>,
    pub description: String,
    /// The newest published cycle.
    pub newest: Option<Cycle>,
    /// When it was committed.
    pub newest_at: Option<DateTime<Utc>>,
    /// The median of the rows of the trailing publications.
    pub median_rows: Option<u64>,
    /// How the last seven publications compare with the seven before, in percent of those.
    pub trend_percent: Option<f64>,
    pub missing: u64,
    pub days: Vec<Day>,
}

/// One day of one table.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Day {
    /// Before the first publication; or a snapshot that was replaced before it was taken.
    None {
        cycle: Cycle,
    },
    Published(Published),
    /// Due, and not there.
    Missing {
        cycle: Cycle,
    },
    /// Committed, and not published yet.
    Unfinished {
        cycle: Cycle,
        run_id: String,
    },
}

/// A day that is there.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    pub cycle: Cycle,
    /// Greater than 0: it was replaced.
    pub revision: u32,
    /// 0: empty, and complete.
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
    pub rejects: u64,
    /// From its start to its commit.
    pub seconds: f64,
    pub committed_at: DateTime<Utc>,
    /// How many times the trailing median its rows are, where that is odd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier: Option<f64>,
}

impl Day {
    pub fn cycle(&self) -> Cycle {
        match self {
            Day::None { cycle } | Day::Missing { cycle } | Day::Unfinished { cycle, .. } => *cycle,
            Day::Published(published) => published.cycle,
        }
    }
}

impl TableStatus {
    pub fn published(&self) -> impl DoubleEndedIterator<Item = &Published> {
        self.days.iter().filter_map(|day| match day {
            Day::Published(published) => Some(published),
            _ => None,
        })
    }
}

/// The days from `first` to `last` of one table.
pub fn calendar(found: &Found, first: Cycle, last: Cycle) -> TableStatus {
    let newest = found.newest.as_ref();
    let sync_mode = newest.map(|manifest| manifest.sync_mode);
    let mut earlier: Vec<u64> = Vec::new();
    let mut days = Vec::new();
    for cycle in Cycle::range(first, last) {
        let manifest = found
            .manifests
            .iter()
            .find(|manifest| manifest.cycle.id == cycle);
        let day = match (manifest, &found.unfinished) {
            (_, Some((unfinished, run_id))) if *unfinished == cycle => Day::Unfinished {
                cycle,
                run_id: run_id.clone(),
            },
            (Some(manifest), _) => {
                let published = published(manifest, &earlier);
                earlier.push(published.rows);
                Day::Published(published)
            }
            (None, _) if is_due(found, sync_mode, cycle, last) => Day::Missing { cycle },
            (None, _) => Day::None { cycle },
        };
        days.push(day);
    }
    let trailing = &earlier[earlier.len().saturating_sub(TRAILING)..];
    TableStatus {
        table: found.table.clone(),
        sync_mode,
        description: newest
            .map(|manifest| manifest.description.clone())
            .unwrap_or_default(),
        newest: found.ever.map(|(_, newest)| newest),
        newest_at: newest.map(|manifest| manifest.committed_at),
        median_rows: median(trailing),
        trend_percent: trend(&earlier),
        missing: days
            .iter()
            .filter(|day| matches!(day, Day::Missing { .. }))
            .count() as u64,
        days,
    }
}

fn is_due(found: &Found, sync_mode: Option<SyncMode>, cycle: Cycle, last: Cycle) -> bool {
    let Some((first, newest)) = found.ever else {
        return false;
    };
    if found.damaged.contains(&cycle) {
        return true;
    }
    match sync_mode {
        // Nothing is caught up but the last day.
        Some(SyncMode::Snapshot) => cycle == last && newest < last,
        Some(SyncMode::Incremental) => cycle > first,
        // All that was published is taken back.
        None => cycle > newest && cycle == last,
    }
}

fn published(manifest: &Manifest, earlier: &[u64]) -> Published {
    let trailing = &earlier[earlier.len().saturating_sub(TRAILING)..];
    let took = manifest.committed_at - manifest.started_at;
    Published {
        cycle: manifest.cycle.id,
        revision: manifest.revision,
        rows: manifest.rows,
        bytes: manifest.bytes,
        files: manifest.files.len() as u64,
        rejects: manifest.rejects.iter().map(|rejects| rejects.rows).sum(),
        seconds: took.as_seconds_f64(),
        committed_at: manifest.committed_at,
        outlier: outlier(manifest.rows, trailing),
    }
}

fn outlier(rows: u64, trailing: &[u64]) -> Option<f64> {
    if trailing.len() < LEAST_TRAILING {
        return None;
    }
    let median = median(trailing).filter(|median| *median > 0)?;
    let times = rows as f64 / median as f64;
    (times < ODD.0 || times > ODD.1).then_some(times)
}

/// Of an even number of values the lower one of the middle.
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
        assert_eq!(outlier(0, &[100; 4]), None, "too few to tell");
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
