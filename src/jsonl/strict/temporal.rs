//! Dates and instants in the years 0001 to 9999.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, Field, Time64NanosecondType, TimeUnit};
use chrono::{DateTime, Datelike, Utc};

use super::numeric::Number;
use super::reject::{LineReject, Scalar, Strict};
use crate::jsonl::epoch::{EpochRule, EpochUnit};
use crate::jsonl::leaf_rule::LeafRule;
use crate::year_range;

/// The rule by which a type holds times.
pub(super) enum TimeRule {
    /// Days since 1970-01-01.
    Date,
    /// Units since midnight.
    TimeOfDay(TimeUnit),
    /// Units since 1970-01-01T00:00:00Z; texts without a zone are in `zone`.
    Timestamp {
        unit: TimeUnit,
        zone: Tz,
        numbers: EpochRule,
    },
}

impl TimeRule {
    /// Returns the rule of a field; `None` if its type does not hold times.
    pub(super) fn of(field: &Field, rule: &LeafRule) -> Strict<Option<Self>> {
        Ok(match field.data_type() {
            DataType::Date32 => Some(TimeRule::Date),
            DataType::Time32(unit) | DataType::Time64(unit) => Some(TimeRule::TimeOfDay(*unit)),
            DataType::Timestamp(unit, zone) => Some(TimeRule::Timestamp {
                unit: *unit,
                numbers: EpochRule::new(*unit, rule.unit),
                zone: zone
                    .as_deref()
                    .unwrap_or("UTC")
                    .parse()
                    .map_err(|_| LineReject::new("the time zone of the type is unknown"))?,
            }),
            _ => None,
        })
    }

    /// Writes a time as the integer that the type stores.
    pub(super) fn write(self, scalar: Scalar<'_>, out: &mut Vec<u8>) -> Strict<()> {
        let value = match (self, scalar) {
            (TimeRule::Date, Scalar::Text(text)) => {
                let days = Date32Type::parse(&text)
                    .ok_or_else(|| LineReject::new("the string is not a date like 2026-01-15"))?;
                date(i64::from(days))?
            }
            (TimeRule::Date, Scalar::Number(text)) => date(whole_days(text)?)?,
            (TimeRule::TimeOfDay(unit), Scalar::Text(text)) => time_of_day(&text, unit)?,
            (TimeRule::TimeOfDay(_), Scalar::Number(_)) => return Err(no_time_of_day()),
            (TimeRule::Timestamp { unit, zone, .. }, Scalar::Text(text)) => {
                let time = string_to_datetime(&zone, &text).map_err(|_| {
                    LineReject::new("the string is not a time like 2026-01-15T12:30:00Z")
                })?;
                instant(time.to_utc(), unit)?
            }
            (TimeRule::Timestamp { numbers, .. }, Scalar::Number(text)) => {
                counted(&Number::parse(text).ok_or_else(no_number)?, numbers)?
            }
        };
        out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }
}

fn no_time_of_day() -> LineReject {
    LineReject::new("a string with a time of day like 12:30:00 is expected")
}

/// Parses a time of day, and returns the units since midnight. A fraction of a unit is cut.
fn time_of_day(text: &str, unit: TimeUnit) -> Strict<i64> {
    const NANOSECONDS_PER_DAY: i64 = 86_400_000_000_000;
    let nanoseconds = Time64NanosecondType::parse(text)
        .filter(|nanoseconds| (0..NANOSECONDS_PER_DAY).contains(nanoseconds))
        .ok_or_else(no_time_of_day)?;
    Ok(match unit {
        TimeUnit::Second => nanoseconds / 1_000_000_000,
        TimeUnit::Millisecond => nanoseconds / 1_000_000,
        TimeUnit::Microsecond => nanoseconds / 1_000,
        TimeUnit::Nanosecond => nanoseconds,
    })
}

fn no_number() -> LineReject {
    LineReject::new("a number is expected")
}

/// Parses a number of days.
fn whole_days(text: &str) -> Strict<i64> {
    Number::parse(text)
        .and_then(|number| number.integer().ok())
        .and_then(|value| i64::try_from(value).ok())
        .ok_or_else(|| LineReject::new("the number is not a whole number of days"))
}

/// Returns the instant that a number counts, in units of the column. A fraction beyond that unit is cut
/// toward the earlier instant; without a declared unit, a fraction is rejected.
fn counted(number: &Number, rule: EpochRule) -> Strict<i64> {
    let unit = rule.numbers.plural();
    if !rule.is_declared {
        let whole = number
            .integer()
            .map_err(|_| LineReject::new(format!("the number is not a whole number of {unit}")))?;
        let instant = i64::try_from(whole)
            .ok()
            .and_then(|value| rule.instant(value));
        return instant.ok_or_else(|| {
            let fitting = rule.plausible_unit(whole);
            let declare = fitting.map_or("the unit that it has", |unit| unit.name());
            LineReject::new(format!(
                "the number is not a time from 2000 to 2100, counted in {unit} since 1970; if it \
                 counts another unit, declare that: OPTIONS ('time_unit' '{declare}')"
            ))
        });
    }
    let shift = i64::from(rule.column.digits()) - i64::from(rule.numbers.digits());
    let instant = number
        .shifted_floor(shift)
        .and_then(|value| i64::try_from(value).ok());
    match instant {
        Some(instant) if rule.accepts(instant, rule.column) => Ok(instant),
        None if rule.column == EpochUnit::Nanosecond => Err(out_of_nanoseconds()),
        _ => Err(out_of_years()),
    }
}

fn out_of_years() -> LineReject {
    LineReject::new("the time is outside the years 0001 to 9999")
}

fn out_of_nanoseconds() -> LineReject {
    LineReject::new("the time is outside the years 1677 to 2262, which nanoseconds can count")
}

/// Checks the year of a date, and returns its days since 1970-01-01.
fn date(days: i64) -> Strict<i64> {
    let (first, last) = year_range::days();
    match (i64::from(first)..=i64::from(last)).contains(&days) {
        true => Ok(days),
        false => Err(out_of_years()),
    }
}

/// Returns an instant in units since 1970. Fractions of a unit are cut toward the earlier instant,
/// before and after 1970 alike.
fn instant(time: DateTime<Utc>, unit: TimeUnit) -> Strict<i64> {
    if !(1..=9999).contains(&time.year()) {
        return Err(out_of_years());
    }
    match unit {
        TimeUnit::Second => Ok(time.timestamp()),
        TimeUnit::Millisecond => Ok(time.timestamp_millis()),
        TimeUnit::Microsecond => Ok(time.timestamp_micros()),
        TimeUnit::Nanosecond => time.timestamp_nanos_opt().ok_or_else(out_of_nanoseconds),
    }
}
