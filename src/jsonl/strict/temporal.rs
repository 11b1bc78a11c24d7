//! Dates and instants in the years 0001 to 9999.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::numeric::Number;
use super::reject::{LineReject, Scalar, Strict};

/// The years whose instants a number may stand for. A number in the wrong unit is three orders of
/// magnitude off, and so outside of them.
const PLAUSIBLE_YEARS: std::ops::RangeInclusive<i32> = 2000..=2100;

/// The days from 0001-01-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_163;

/// The rule by which a type holds times.
pub(super) enum TimeRule {
    /// Days since 1970-01-01.
    Date,
    /// Units since 1970-01-01T00:00:00Z; texts without a zone are in `zone`.
    Timestamp { unit: TimeUnit, zone: Tz },
}

impl TimeRule {
    /// Returns the rule of a type; `None` if it does not hold times.
    pub(super) fn of(data_type: &DataType) -> Strict<Option<Self>> {
        Ok(match data_type {
            DataType::Date32 => Some(TimeRule::Date),
            DataType::Timestamp(unit, zone) => Some(TimeRule::Timestamp {
                unit: *unit,
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
            (TimeRule::Date, Scalar::Number(text)) => date(whole(text, "days")?)?,
            (TimeRule::Timestamp { unit, zone }, Scalar::Text(text)) => {
                let time = string_to_datetime(&zone, &text).map_err(|_| {
                    LineReject::new("the string is not a time like 2026-01-15T12:30:00Z")
                })?;
                instant(time.to_utc(), unit)?
            }
            (TimeRule::Timestamp { unit, .. }, Scalar::Number(text)) => {
                let value = whole(text, unit_name(unit))?;
                let year = time_of(value, unit).map(|time| time.year());
                if !year.is_some_and(|year| PLAUSIBLE_YEARS.contains(&year)) {
                    return Err(LineReject::new(format!(
                        "the number is not a time from {} to {}, counted in {} since 1970",
                        PLAUSIBLE_YEARS.start(),
                        PLAUSIBLE_YEARS.end(),
                        unit_name(unit)
                    )));
                }
                value
            }
        };
        out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }
}

/// Parses a number of days or units.
fn whole(text: &str, unit: &str) -> Strict<i64> {
    Number::parse(text)
        .and_then(|number| number.integer().ok())
        .and_then(|value| i64::try_from(value).ok())
        .ok_or_else(|| LineReject::new(format!("the number is not a whole number of {unit}")))
}

fn out_of_years() -> LineReject {
    LineReject::new("the time is outside the years 0001 to 9999")
}

/// Checks the year of a date, and returns its days since 1970-01-01.
fn date(days: i64) -> Strict<i64> {
    let from_common_era = days.checked_add(DAYS_TO_EPOCH);
    from_common_era
        .and_then(|days| NaiveDate::from_num_days_from_ce_opt(days.try_into().ok()?))
        .filter(|date| (1..=9999).contains(&date.year()))
        .map(|_| days)
        .ok_or_else(out_of_years)
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
        TimeUnit::Nanosecond => time.timestamp_nanos_opt().ok_or_else(|| {
            LineReject::new(
                "the time is outside the years 1677 to 2262, which nanoseconds can count",
            )
        }),
    }
}

/// Returns the instant that a number of units stands for.
fn time_of(value: i64, unit: TimeUnit) -> Option<DateTime<Utc>> {
    match unit {
        TimeUnit::Second => DateTime::from_timestamp(value, 0),
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(value),
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(value),
        TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(value)),
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "seconds",
        TimeUnit::Millisecond => "milliseconds",
        TimeUnit::Microsecond => "microseconds",
        TimeUnit::Nanosecond => "nanoseconds",
    }
}
