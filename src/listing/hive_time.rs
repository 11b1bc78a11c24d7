//! The range of time of date and hour folders.

use std::ops::Range;

use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use serde::{Deserialize, Serialize};

use crate::listing::hive::parse_date;

/// Nanoseconds since 1970-01-01T00:00:00Z, wide enough for every timestamp of every unit.
pub(crate) type Nanos = i128;

/// The partition columns that contain the time, by their indexes among the partition columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HiveTime {
    /// Folders such as `date=2026-01-15[/hour=03]`.
    Dated { date: usize, hour: Option<usize> },
    /// Folders such as `year=2026[/month=1[/day=15[/hour=3]]]`.
    Calendar {
        year: usize,
        month: Option<usize>,
        day: Option<usize>,
        hour: Option<usize>,
    },
}

impl HiveTime {
    /// Recognises the columns by name: `date`, `dt` or `day` of type DATE (or a text that is a
    /// date), or `year`, `month`, `day` as numbers; then `hour` or `hr`.
    pub(crate) fn recognise(partition_fields: &[FieldRef]) -> Option<Self> {
        let index = |names: &[&str]| {
            partition_fields
                .iter()
                .position(|field| names.contains(&field.name().as_str()))
        };
        let hour = index(&["hour", "hr"]);
        if let Some(year) = index(&["year"]) {
            return Some(Self::Calendar {
                year,
                month: index(&["month"]),
                day: index(&["day"]),
                hour,
            });
        }
        let date = index(&["date", "dt", "day"])?;
        // A timestamp does not say how long its folder goes on.
        let is_date = !matches!(
            partition_fields[date].data_type(),
            DataType::Int32 | DataType::Int64 | DataType::Timestamp(_, _) | DataType::Boolean
        );
        is_date.then_some(Self::Dated { date, hour })
    }

    /// Returns true if the partition column with this index contains a part of the time.
    pub(crate) fn has(&self, index: usize) -> bool {
        match self {
            Self::Dated { date, hour } => *date == index || *hour == Some(index),
            Self::Calendar {
                year,
                month,
                day,
                hour,
            } => *year == index || [*month, *day, *hour].contains(&Some(index)),
        }
    }

    /// Returns the time of the rows below a folder as a half-open range, given the values of the
    /// first columns.
    ///
    /// Returns `None` if these values do not bound it: the column of the date is further down, NULL,
    /// or not a date.
    pub(crate) fn range(&self, values: &[ScalarValue]) -> Option<Range<Nanos>> {
        match self {
            Self::Dated { date, hour } => {
                let day = date_of(values.get(*date)?)?;
                hour_or_day(day, number(values, *hour))
            }
            Self::Calendar {
                year,
                month,
                day,
                hour,
            } => {
                let year = i32::try_from(number(values, Some(*year))?).ok()?;
                let Some(month) = number(values, *month) else {
                    return year_range(year);
                };
                let month = u32::try_from(month).ok()?;
                let Some(day) = number(values, *day) else {
                    return month_range(year, month);
                };
                let day = NaiveDate::from_ymd_opt(year, month, u32::try_from(day).ok()?)?;
                hour_or_day(day, number(values, *hour))
            }
        }
    }
}

/// Returns the value of a column as a number, if it is among the known ones.
fn number(values: &[ScalarValue], column: Option<usize>) -> Option<i64> {
    match values.get(column?)? {
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::Int64(value) => *value,
        text => text.try_as_str()??.parse().ok(),
    }
}

fn date_of(value: &ScalarValue) -> Option<NaiveDate> {
    match value {
        ScalarValue::Date32(days) => {
            let since_1970 = TimeDelta::try_days(i64::from((*days)?))?;
            NaiveDate::default().checked_add_signed(since_1970)
        }
        text => parse_date(text.try_as_str()??),
    }
}

fn hour_or_day(day: NaiveDate, hour: Option<i64>) -> Option<Range<Nanos>> {
    match hour {
        None => day_range(day),
        Some(hour) => hour_range(day, u32::try_from(hour).ok()?),
    }
}

pub(super) fn year_range(year: i32) -> Option<Range<Nanos>> {
    let first = NaiveDate::from_ymd_opt(year, 1, 1)?;
    days(first, first.checked_add_months(Months::new(12))?)
}

pub(super) fn month_range(year: i32, month: u32) -> Option<Range<Nanos>> {
    let first = NaiveDate::from_ymd_opt(year, month, 1)?;
    days(first, first.checked_add_months(Months::new(1))?)
}

pub(super) fn day_range(day: NaiveDate) -> Option<Range<Nanos>> {
    days(day, day.checked_add_days(Days::new(1))?)
}

pub(super) fn hour_range(day: NaiveDate, hour: u32) -> Option<Range<Nanos>> {
    let start = day.and_hms_opt(hour, 0, 0)?;
    Some(nanos(start)..nanos(start + TimeDelta::hours(1)))
}

fn days(first: NaiveDate, end: NaiveDate) -> Option<Range<Nanos>> {
    let midnight = |day: NaiveDate| day.and_hms_opt(0, 0, 0).map(nanos);
    Some(midnight(first)?..midnight(end)?)
}

/// Converts the time of a folder's name, which is UTC.
fn nanos(time: NaiveDateTime) -> Nanos {
    let since_1970 = time - DateTime::UNIX_EPOCH.naive_utc();
    Nanos::from(since_1970.num_seconds()) * 1_000_000_000
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn fields(columns: &[(&str, DataType)]) -> Vec<FieldRef> {
        columns
            .iter()
            .map(|(name, data_type)| Arc::new(Field::new(*name, data_type.clone(), true)))
            .collect()
    }

    fn int(value: i32) -> ScalarValue {
        ScalarValue::Int32(Some(value))
    }

    /// Returns the range in whole hours since 1970.
    fn hours(folders: &HiveTime, values: &[ScalarValue]) -> Option<Range<Nanos>> {
        let range = folders.range(values)?;
        let hour = 3_600_000_000_000;
        assert_eq!((range.start % hour, range.end % hour), (0, 0));
        Some(range.start / hour..range.end / hour)
    }

    #[test]
    fn date_and_hour() {
        let columns = fields(&[("date", DataType::Date32), ("hour", DataType::Int32)]);
        let folders = HiveTime::recognise(&columns).unwrap();
        let date = ScalarValue::Date32(Some(20468));
        let day = 20468 * 24;
        assert_eq!(hours(&folders, &[]), None);
        assert_eq!(
            hours(&folders, std::slice::from_ref(&date)),
            Some(day..day + 24)
        );
        assert_eq!(
            hours(&folders, &[date.clone(), int(23)]),
            Some(day + 23..day + 24)
        );
        assert_eq!(hours(&folders, &[date, int(24)]), None);
        assert_eq!(hours(&folders, &[ScalarValue::Date32(None), int(1)]), None);
    }

    #[test]
    fn texts_are_read_as_dates_and_hours() {
        let columns = fields(&[
            ("org", DataType::Utf8),
            ("dt", DataType::Utf8View),
            ("hr", DataType::Utf8),
        ]);
        let folders = HiveTime::recognise(&columns).unwrap();
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        let day = 20468 * 24;
        assert_eq!(hours(&folders, &[text("a")]), None);
        assert_eq!(
            hours(&folders, &[text("a"), text("2026-01-15")]),
            Some(day..day + 24)
        );
        assert_eq!(
            hours(&folders, &[text("a"), text("20260115"), text("03")]),
            Some(day + 3..day + 4)
        );
        assert_eq!(hours(&folders, &[text("a"), text("today")]), None);
    }

    #[test]
    fn each_level_of_the_calendar() {
        let names = ["year", "month", "day", "hour"].map(|name| (name, DataType::Int32));
        let folders = HiveTime::recognise(&fields(&names)).unwrap();
        let range = |values: &[i32]| {
            let values: Vec<ScalarValue> = values.iter().copied().map(int).collect();
            hours(&folders, &values)
        };
        assert_eq!(range(&[1970]), Some(0..365 * 24));
        assert_eq!(range(&[1970, 2]), Some(31 * 24..59 * 24));
        assert_eq!(range(&[1970, 12]), Some(334 * 24..365 * 24));
        assert_eq!(range(&[1970, 1, 2]), Some(24..48));
        assert_eq!(range(&[1970, 1, 2, 3]), Some(27..28));
        assert_eq!(range(&[1970, 13]), None);
        assert_eq!(range(&[1970, 2, 29]), None);
    }

    #[test]
    fn other_columns_have_no_time() {
        assert_eq!(
            HiveTime::recognise(&fields(&[("org", DataType::Utf8)])),
            None
        );
        assert_eq!(
            HiveTime::recognise(&fields(&[("day", DataType::Int32)])),
            None
        );
        assert_eq!(HiveTime::recognise(&[]), None);
    }
}
