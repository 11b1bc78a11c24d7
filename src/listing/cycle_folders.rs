//! The folders of a cycle: those in which its rows are expected, without the slack around them.

use std::ops::Range;

use chrono::DateTime;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::cycle::Cycle;
use crate::listing::expand::TimePruning;
use crate::listing::hive_time::{HiveTime, Nanos};
use crate::listing::path_pattern::{Expected, PathPattern};
use crate::listing::snapshot::SourceFile;
use crate::listing::time_folders::TimeFolders;

/// The half-open range of time of a cycle.
pub(crate) fn window(cycle: Cycle) -> Range<Nanos> {
    let nanos = |at: DateTime<chrono::Utc>| Nanos::from(at.timestamp()) * 1_000_000_000;
    nanos(cycle.start())..nanos(cycle.end())
}

/// Returns true if a file lies in a folder of the cycle.
///
/// A scan may read more folders: those that slack adds, and those of a window that the query widens.
/// A file in one of them does not make up for the missing files of the cycle. Without a bound of the
/// time every file counts.
pub(crate) fn has_own_file(
    files: &[SourceFile],
    time: Option<&TimePruning<'_>>,
    cycle: Cycle,
) -> bool {
    let Some(time) = time.filter(|time| time.bounds.is_bounded()) else {
        return !files.is_empty();
    };
    let window = window(cycle);
    let is_own = |file: &SourceFile| {
        time.folders
            .range(&file.meta.location, &file.partition)
            .is_none_or(|folder| {
                // A scan that leaves out the whole cycle, such as one of the day before, has its own range.
                let in_cycle = !time.bounds.may_overlap(&window) || overlap(&folder, &window);
                in_cycle && time.bounds.may_overlap(&folder)
            })
    };
    files.iter().any(is_own)
}

fn overlap(one: &Range<Nanos>, other: &Range<Nanos>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Returns the path of the folders that a scan expects files in, such as `date=2026-01-15`, with `*` for
/// values that are not known; empty if none is.
pub(crate) fn expected_folders(
    fields: &[FieldRef],
    pattern: Option<&PathPattern>,
    filters: &[Expr],
    time: Option<&TimePruning<'_>>,
    cycle: Cycle,
) -> Expected {
    let time =
        time.filter(|time| time.bounds.may_overlap(&window(cycle)) && time.bounds.is_bounded());
    let Some(pattern) = pattern else {
        return Expected {
            path: hive_folders(fields, filters, time, cycle),
            is_file: false,
        };
    };
    pattern.expected(time.map(|_| cycle), |column| {
        let field = fields.get(column)?;
        value_of_filter(field.name(), filters)
    })
}

fn hive_folders(
    fields: &[FieldRef],
    filters: &[Expr],
    time: Option<&TimePruning<'_>>,
    cycle: Cycle,
) -> String {
    let segments = fields.iter().enumerate().map(|(index, field)| {
        let by_time = time.and_then(|time| match time.folders {
            TimeFolders::Hive(folders) => value_of_cycle(folders, index, cycle),
            TimeFolders::Pattern(_) => None,
        });
        let value = by_time.or_else(|| value_of_filter(field.name(), filters));
        format!("{}={}", field.name(), value.as_deref().unwrap_or("*"))
    });
    let mut segments: Vec<String> = segments.collect();
    while segments.last().is_some_and(|last| last.ends_with("=*")) {
        segments.pop();
    }
    segments.join("/")
}

/// Returns the value that a column of the folders has for all of a cycle.
fn value_of_cycle(folders: &HiveTime, index: usize, cycle: Cycle) -> Option<String> {
    let format = |pattern: &str| Some(cycle.start().format(pattern).to_string());
    match folders {
        HiveTime::Dated { date, .. } if *date == index => Some(cycle.to_string()),
        HiveTime::Calendar { year, .. } if *year == index => format("%Y"),
        HiveTime::Calendar { month, .. } if *month == Some(index) => format("%-m"),
        HiveTime::Calendar { day, .. } if *day == Some(index) => format("%-d"),
        _ => None,
    }
}

/// Returns the value that a filter `column = value` requires.
fn value_of_filter(name: &str, filters: &[Expr]) -> Option<String> {
    let conditions = filters.iter().flat_map(split_conjunction);
    conditions.into_iter().find_map(|condition| {
        let Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) = condition
        else {
            return None;
        };
        match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _))
            | (Expr::Literal(value, _), Expr::Column(column))
                if column.name == name && !value.is_null() =>
            {
                Some(shown(value))
            }
            _ => None,
        }
    })
}

fn shown(value: &ScalarValue) -> String {
    value
        .try_as_str()
        .flatten()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
    use datafusion::logical_expr::{col, lit};
    use object_store::ObjectMeta;

    use super::*;
    use crate::listing::time_bounds::TimeBounds;

    fn fields() -> Vec<FieldRef> {
        vec![
            Arc::new(Field::new("org", DataType::Utf8, false)),
            Arc::new(Field::new("date", DataType::Date32, false)),
            Arc::new(Field::new("hour", DataType::Int32, false)),
        ]
    }

    fn day() -> Cycle {
        "2026-01-15".parse().unwrap()
    }

    /// Returns the conditions of a window from `from` hours after the start of the day.
    fn hours(from: i64, end: i64) -> Vec<Expr> {
        let at = |hours: i64| {
            let instant = day().start() + TimeDelta::hours(hours);
            lit(ScalarValue::TimestampNanosecond(
                instant.timestamp_nanos_opt(),
                Some("+00:00".into()),
            ))
        };
        vec![col("time").gt_eq(at(from)), col("time").lt(at(end))]
    }

    fn file(days_before: i32, hour: i32) -> SourceFile {
        SourceFile {
            meta: ObjectMeta {
                location: "x".into(),
                last_modified: DateTime::UNIX_EPOCH,
                size: 0,
                e_tag: None,
                version: None,
            },
            partition: vec![
                ScalarValue::from("a"),
                ScalarValue::Date32(Some(20_468 - days_before)),
                ScalarValue::Int32(Some(hour)),
            ],
        }
    }

    /// Returns whether a scan of the hours `from..end` of the day has a file of its own.
    fn own(from: i64, end: i64, files: &[SourceFile]) -> bool {
        let folders = TimeFolders::recognise(&fields(), None).unwrap();
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let pruning = TimePruning {
            folders: &folders,
            slack: TimeDelta::hours(2),
            bounds: TimeBounds::of(&hours(from, end), "time", &time),
        };
        has_own_file(files, Some(&pruning), day())
    }

    #[test]
    fn only_folders_of_the_cycle_count() {
        assert!(own(0, 24, &[file(0, 3)]), "an empty file is a file");
        assert!(!own(0, 24, &[]));
        assert!(!own(0, 24, &[file(1, 23), file(-1, 0)]), "slack");
        assert!(!own(-24, 24, &[file(1, 12)]), "a wider window");
        assert!(own(-24, 0, &[file(1, 12)]), "the day before");
        assert!(!own(-24, 0, &[file(0, 0)]), "the slack of the day before");
        assert!(has_own_file(&[file(9, 0)], None, day()), "no time");
    }

    #[test]
    fn expected_folders_have_the_values_that_are_known() {
        let folders = TimeFolders::recognise(&fields(), None).unwrap();
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let window = hours(0, 24);
        let pruning = TimePruning {
            folders: &folders,
            slack: TimeDelta::zero(),
            bounds: TimeBounds::of(&window, "time", &time),
        };
        let expected =
            |filters: &[Expr], time| expected_folders(&fields(), None, filters, time, day()).path;
        assert_eq!(expected(&window, Some(&pruning)), "org=*/date=2026-01-15");
        let of_org = [col("org").eq(lit("a"))];
        assert_eq!(expected(&of_org, Some(&pruning)), "org=a/date=2026-01-15");
        assert_eq!(expected(&of_org, None), "org=a");
        assert_eq!(expected(&[], None), "");
    }
}
