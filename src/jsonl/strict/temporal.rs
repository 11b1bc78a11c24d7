//! Dates and instants in the years 0001 to 9999.

use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{DataType, Date32Type, Field, Time64NanosecondType, TimeUnit};
use chrono::NaiveDate;

use super::numeric::Number;
use super::reject::{LineReject, Scalar, Strict};
use crate::jsonl::epoch::{EpochRule, EpochUnit};
use crate::jsonl::leaf_rule::LeafRule;
use crate::jsonl::local_zone::LocalZone;
use crate::jsonl::time_column::{Uncountable, instant, is_utc, utc_of_text};
use crate::jsonl::time_format::TimeFormat;
use crate::jsonl::time_text::TimeTextFault;
use crate::year_range;

/// The rule by which a type holds times.
pub(super) enum TimeRule<'a> {
    /// Days since 1970-01-01; texts have the declared format, if there is one.
    Date(Option<&'a TimeFormat>),
    /// Units since midnight.
    TimeOfDay(TimeUnit),
    /// Units since 1970-01-01T00:00:00Z; texts without a zone are in the declared one, or that of the type.
    Timestamp {
        unit: TimeUnit,
        type_zone: Option<LocalZone>,
        rule: &'a LeafRule,
    },
}

impl<'a> TimeRule<'a> {
    /// Returns the rule of a field; `None` if its type does not hold times.
    pub(super) fn of(field: &Field, rule: &'a LeafRule) -> Strict<Option<Self>> {
        Ok(match field.data_type() {
            DataType::Date32 => Some(TimeRule::Date(rule.time_format.as_ref())),
            DataType::Time32(unit) | DataType::Time64(unit) => Some(TimeRule::TimeOfDay(*unit)),
            DataType::Timestamp(unit, zone) => Some(TimeRule::Timestamp {
                unit: *unit,
                rule,
                type_zone: type_zone(zone.as_deref())?,
            }),
            _ => None,
        })
    }

    /// Writes a time as the integer that the type stores.
    pub(super) fn write(self, scalar: Scalar<'_>, out: &mut Vec<u8>) -> Strict<()> {
        let value = match (self, scalar) {
            (TimeRule::Date(format), Scalar::Text(text)) => date(days(text.trim_ascii(), format)?)?,
            (TimeRule::Date(_), Scalar::Number(text)) => date(whole_days(text)?)?,
            (TimeRule::TimeOfDay(unit), Scalar::Text(text)) => {
                time_of_day(text.trim_ascii(), unit)?
            }
            (TimeRule::TimeOfDay(_), Scalar::Number(_)) => return Err(no_time_of_day()),
            (
                TimeRule::Timestamp {
                    unit,
                    rule,
                    type_zone,
                },
                Scalar::Text(text),
            ) => {
                let number = match rule.time_format {
                    Some(_) => None,
                    None => Number::parse(text.trim_ascii()),
                };
                match number {
                    Some(number) => counted_text(&number, EpochRule::new(unit, rule.unit))?,
                    None => {
                        let utc = utc_of_text(&text, rule, type_zone.as_ref())
                            .map_err(|fault| LineReject::new(fault.reason()))?;
                        instant(utc, unit).map_err(uncountable)?
                    }
                }
            }
            (TimeRule::Timestamp { unit, rule, .. }, Scalar::Number(text)) => {
                let number = Number::parse(text).ok_or_else(no_number)?;
                counted(&number, EpochRule::new(unit, rule.unit))?
            }
        };
        out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }
}

/// Returns the zone of a type, unless it is UTC.
fn type_zone(name: Option<&str>) -> Strict<Option<LocalZone>> {
    match name {
        None => Ok(None),
        Some(name) if is_utc(name) => Ok(None),
        Some(name) => match LocalZone::named(name) {
            Some(zone) => Ok(Some(zone)),
            None => Err(LineReject::new("the time zone of the type is unknown")),
        },
    }
}

/// Parses a date, and returns its days since 1970-01-01.
fn days(text: &str, format: Option<&TimeFormat>) -> Strict<i64> {
    let Some(format) = format else {
        let days = Date32Type::parse(text).map(i64::from);
        return days.ok_or_else(|| LineReject::new("the string is not a date like 2026-01-15"));
    };
    let day = format.read(text).and_then(|time| time.utc(None).ok());
    let fault = || TimeTextFault::Format(format.text().to_owned());
    let day = day.ok_or_else(|| LineReject::new(fault().reason()))?;
    Ok(day
        .date()
        .signed_duration_since(NaiveDate::default())
        .num_days())
}

/// Returns the instant of a text that is a number, which has a meaning only in a declared unit.
fn counted_text(number: &Number, rule: EpochRule) -> Strict<i64> {
    if rule.is_declared {
        return counted(number, rule);
    }
    let whole = number.integer().ok();
    let unit = whole.and_then(|whole| rule.plausible_unit(whole));
    let declare = unit.map_or("…", |unit| unit.name());
    Err(LineReject::new(format!(
        "the string is a number; if it counts time since 1970, declare its unit: OPTIONS ('time_unit' \
         '{declare}')"
    )))
}

fn uncountable(fault: Uncountable) -> LineReject {
    match fault {
        Uncountable::Year => out_of_years(),
        Uncountable::Nanoseconds => out_of_nanoseconds(),
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
