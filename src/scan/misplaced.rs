//! Rows outside of the time of their folder, which no cycle reads.
//!
//! Folders are pruned by their time (`time_column`). A row of another day than its folder is read with
//! that folder, and the condition of the cycle leaves it out; the cycle of its own day does not open
//! the folder. It is counted where it is read:
//!
//! ```text
//! JSON:    min and max of the time column of each chunk; only if one is outside, its rows are counted
//! Parquet: a query for rows outside, which the statistics of row groups answer for all other files
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::compute::{max, min};
use datafusion::arrow::datatypes::{
    DataType, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::ScalarValue;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::cycle::Cycle;
use crate::listing::hive_time::Nanos;
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::{DAY, TimeBounds, unit_nanos};
use crate::listing::time_folders::TimeFolders;
use crate::manifest::{MisplacedFile, MisplacedRecord};
use crate::scan::spec::TimeRule;

/// The number of files that a record names.
const MAX_FILES: usize = 10;

/// The rule by which rows of a scan are in no cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimeCheck {
    /// The name of the time column.
    column: String,
    folders: TimeFolders,
    /// The time before the range of a folder, in nanoseconds, within which the cycle of a row still
    /// opens the folder: the slack, and what the query reads beyond the cycle. `None` if every later
    /// folder is opened.
    before: Option<i64>,
    /// The same behind the range of a folder.
    after: Option<i64>,
}

/// The times of the rows of one folder, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FolderTimes {
    /// The range of the folder.
    range: Range<Nanos>,
    /// The times whose cycles open the folder.
    pub(super) in_cycles: Range<Nanos>,
}

/// The files of a scan, to be searched for misplaced rows.
#[derive(Debug)]
pub(crate) struct CheckedFiles {
    pub(crate) store: ObjectStoreUrl,
    /// The declared columns of the files.
    pub(crate) schema: SchemaRef,
    pub(crate) files: Vec<SourceFile>,
}

/// Rows of one file that are in no cycle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Misplaced {
    pub(crate) rows: u64,
    /// The maximum by which their time lies outside of the range of the folder, in nanoseconds.
    pub(crate) slack: u64,
}

impl Misplaced {
    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.slack = self.slack.max(other.slack);
    }
}

/// The misplaced rows of one scan, by file.
#[derive(Debug, Default)]
pub(crate) struct MisplacedLog(Mutex<BTreeMap<String, Misplaced>>);

impl MisplacedLog {
    /// Adds rows of a file.
    pub(crate) fn add(&self, file: &str, misplaced: Misplaced) {
        if misplaced.rows > 0 {
            let mut by_file = self.0.lock();
            by_file.entry(file.to_owned()).or_default().add(misplaced);
        }
    }

    /// Returns the rows of each file that has some.
    pub(crate) fn by_file(&self) -> BTreeMap<String, Misplaced> {
        self.0.lock().clone()
    }
}

/// Summarizes the misplaced rows of all scans of a source. Those of a file that several scans read are
/// counted once.
pub(super) fn summarize<'a>(
    logs: impl Iterator<Item = &'a MisplacedLog>,
) -> Option<MisplacedRecord> {
    let mut by_file: BTreeMap<String, Misplaced> = BTreeMap::new();
    for (file, found) in logs.flat_map(MisplacedLog::by_file) {
        let known = by_file.entry(file).or_default();
        known.rows = known.rows.max(found.rows);
        known.slack = known.slack.max(found.slack);
    }
    let slack = by_file.values().map(|file| file.slack).max()?;
    let rows = by_file.values().map(|file| file.rows).sum();
    let file_count = by_file.len() as u64;
    let first = by_file.into_iter().take(MAX_FILES);
    let files = first.map(|(file, Misplaced { rows, .. })| MisplacedFile { file, rows });
    Some(MisplacedRecord {
        rows,
        slack_seconds: slack.div_ceil(1_000_000_000),
        file_count,
        files: files.collect(),
    })
}

impl TimeCheck {
    /// Creates the check of a scan that `bounds` limit for `cycle`. Returns `None` if all folders are
    /// read.
    pub(super) fn new(rule: &TimeRule, bounds: &TimeBounds, cycle: Cycle) -> Option<Self> {
        let slack = Nanos::from(rule.slack.num_seconds()) * 1_000_000_000;
        let nanos =
            |time: chrono::DateTime<chrono::Utc>| Nanos::from(time.timestamp()) * 1_000_000_000;
        // A query that reads less than the cycle leaves rows out as it wants to.
        let beyond = |nanos: Nanos| i64::try_from(slack + nanos.max(0)).ok();
        let before = bounds
            .last()
            .and_then(|last| beyond(last + 1 - nanos(cycle.end())));
        let after = bounds
            .first()
            .and_then(|first| beyond(nanos(cycle.start()) - first));
        (before.is_some() || after.is_some()).then(|| Self {
            column: rule.column.clone(),
            folders: rule.folders.clone(),
            before,
            after,
        })
    }

    /// Returns the name of the time column.
    pub(super) fn column(&self) -> &str {
        &self.column
    }

    /// Returns the times of the rows of a file's folder; `None` if its values and names do not bound them.
    pub(super) fn times(&self, key: &Path, partition: &[ScalarValue]) -> Option<FolderTimes> {
        let range = self.folders.range(key, partition)?;
        let start = self.before.map_or(Nanos::MIN, |before| {
            let earliest = range.start - Nanos::from(before);
            earliest - earliest.rem_euclid(DAY)
        });
        let end = self.after.map_or(Nanos::MAX, |after| {
            let latest = range.end + Nanos::from(after) - 1;
            latest - latest.rem_euclid(DAY) + DAY
        });
        Some(FolderTimes {
            range,
            in_cycles: start..end,
        })
    }
}

impl FolderTimes {
    /// Counts the misplaced rows of decoded batches.
    pub(super) fn count(&self, batches: &[RecordBatch], column: &str) -> Misplaced {
        let mut misplaced = Misplaced::default();
        for times in batches
            .iter()
            .filter_map(|batch| batch.column_by_name(column))
        {
            misplaced.add(self.count_in(times));
        }
        misplaced
    }

    /// Counts the misplaced rows of a column. Only if one is misplaced, it looks at each row.
    fn count_in(&self, times: &ArrayRef) -> Misplaced {
        let Some((values, unit)) = numbers(times) else {
            return Misplaced::default();
        };
        let nanos = |value: i64| Nanos::from(value) * unit;
        let (Some(first), Some(last)) = (min(&values), max(&values)) else {
            return Misplaced::default();
        };
        if self.in_cycles.contains(&nanos(first)) && self.in_cycles.contains(&nanos(last)) {
            return Misplaced::default();
        }
        let mut misplaced = Misplaced::default();
        let others = values.iter().flatten().map(nanos);
        for time in others.filter(|time| !self.in_cycles.contains(time)) {
            misplaced.rows += 1;
            misplaced.slack = misplaced.slack.max(self.distance(time));
        }
        misplaced
    }

    /// Returns by how much a time lies outside of the range of the folder.
    pub(super) fn distance(&self, time: Nanos) -> u64 {
        let before = self.range.start - time;
        let after = time - (self.range.end - 1);
        u64::try_from(before.max(after).max(0)).unwrap_or(u64::MAX)
    }
}

/// Returns the numbers of a column of timestamps, and the nanoseconds that they count.
pub(super) fn numbers(times: &ArrayRef) -> Option<(Int64Array, Nanos)> {
    let DataType::Timestamp(unit, _) = times.data_type() else {
        return None;
    };
    let values = match unit {
        TimeUnit::Second => times
            .as_primitive::<TimestampSecondType>()
            .reinterpret_cast::<Int64Type>(),
        TimeUnit::Millisecond => times
            .as_primitive::<TimestampMillisecondType>()
            .reinterpret_cast::<Int64Type>(),
        TimeUnit::Microsecond => times
            .as_primitive::<TimestampMicrosecondType>()
            .reinterpret_cast::<Int64Type>(),
        TimeUnit::Nanosecond => times
            .as_primitive::<TimestampNanosecondType>()
            .reinterpret_cast::<Int64Type>(),
    };
    Some((values, unit_nanos(unit)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use datafusion::arrow::array::{
        TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };
    use datafusion::logical_expr::{Expr, col, lit};

    use super::*;
    use crate::listing::hive_time::HiveTime;

    const DATA_TYPE: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
    const HOUR: Nanos = 3_600_000_000_000;

    /// 2026-01-15, in days since 1970.
    const DAYS: i32 = 20_468;
    const START: Nanos = DAYS as Nanos * DAY;

    /// Returns the check of a query that reads these hours of 2026-01-15 or around it.
    fn check(hours: Range<i64>, slack: TimeDelta) -> TimeCheck {
        let rule = TimeRule {
            column: "time".to_owned(),
            data_type: DATA_TYPE,
            folders: TimeFolders::Hive(HiveTime::Dated {
                date: 0,
                hour: Some(1),
            }),
            slack,
        };
        let time = |hour: i64| {
            let micros = (START + Nanos::from(hour) * HOUR) / 1000;
            let micros = i64::try_from(micros).unwrap();
            lit(ScalarValue::TimestampMicrosecond(Some(micros), None))
        };
        let filters: [Expr; 2] = [
            col("time").gt_eq(time(hours.start)),
            col("time").lt(time(hours.end)),
        ];
        let bounds = TimeBounds::of(&filters, "time", &DATA_TYPE);
        TimeCheck::new(&rule, &bounds, "2026-01-15".parse().unwrap()).unwrap()
    }

    fn folder(hour: i32) -> Vec<ScalarValue> {
        vec![
            ScalarValue::Date32(Some(DAYS)),
            ScalarValue::Int32(Some(hour)),
        ]
    }

    /// Returns the days of the times that are in cycles, relative to that of the folder.
    fn days(check: &TimeCheck, hour: i32) -> (Nanos, Nanos) {
        let times = check.times(&Path::ROOT, &folder(hour)).unwrap().in_cycles;
        ((times.start - START) / DAY, (times.end - START) / DAY)
    }

    #[test]
    fn a_row_is_in_a_cycle_if_the_cycle_of_its_day_opens_the_folder() {
        let exact = check(0..24, TimeDelta::zero());
        assert_eq!([0, 12, 23].map(|hour| days(&exact, hour)), [(0, 1); 3]);
        let slack = check(0..24, TimeDelta::minutes(10));
        assert_eq!(days(&slack, 0), (-1, 1));
        assert_eq!(days(&slack, 12), (0, 1));
        assert_eq!(days(&slack, 23), (0, 2));
        // The query reads an hour before the cycle: the folder of 23:00 is opened by the next one, too.
        let wider = check(-1..24, TimeDelta::zero());
        assert_eq!((days(&wider, 0), days(&wider, 23)), ((0, 1), (0, 2)));
        let later = check(0..26, TimeDelta::zero());
        assert_eq!((days(&later, 1), days(&later, 2)), ((-1, 1), (0, 1)));
        let narrower = check(6..12, TimeDelta::zero());
        assert_eq!(days(&narrower, 0), (0, 1));
    }

    #[test]
    fn misplaced_rows_are_counted_in_every_unit() {
        let times = check(0..24, TimeDelta::zero())
            .times(&Path::ROOT, &folder(0))
            .unwrap();
        let start = i64::try_from(START / 1000).unwrap();
        let micros = |values: &[i64]| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter(
                values.iter().map(|value| Some(start + value)).chain([None]),
            ))
        };
        assert_eq!(
            times.count_in(&micros(&[0, 5, 86_399_999_999])),
            Misplaced::default()
        );
        assert_eq!(times.count_in(&micros(&[])), Misplaced::default());
        let early = times.count_in(&micros(&[-100_000, -1, 0, 5]));
        assert_eq!((early.rows, early.slack), (2, 100_000_000));
        let leap_second: ArrayRef =
            Arc::new(TimestampSecondArray::from(vec![start / 1_000_000 + 86_400]));
        let late = times.count_in(&leap_second);
        assert_eq!((late.rows, late.slack), (1, 23 * HOUR as u64 + 1));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![start * 1000 - 1]));
        assert_eq!(times.count_in(&nanos).slack, 1);
        let other: ArrayRef = Arc::new(Int64Array::from(vec![0]));
        assert_eq!(times.count_in(&other), Misplaced::default());
    }
}
