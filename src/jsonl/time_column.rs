//! The instants that the texts of a timestamp column stand for.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

use crate::jsonl::epoch::EpochRule;
use crate::jsonl::leaf_rule::LeafRule;
use crate::jsonl::local_zone::LocalZone;
use crate::jsonl::time_text::{TimeText, TimeTextFault};

/// The rules of a timestamp column.
#[derive(Debug)]
pub(crate) struct TimeColumn {
    unit: TimeUnit,
    /// True if the zone of the type is not UTC.
    is_of_other_zone: bool,
    /// The rule of numbers.
    pub(crate) numbers: EpochRule,
    rule: LeafRule,
}

impl TimeColumn {
    /// Creates the rules of a column of timestamps whose leaf has a declared rule. Returns `None` for any
    /// other type.
    pub(crate) fn of(data_type: &DataType, rule: &LeafRule) -> Option<Self> {
        let DataType::Timestamp(unit, zone) = data_type else {
            return None;
        };
        Some(Self {
            unit: *unit,
            is_of_other_zone: zone.as_deref().is_some_and(|zone| !is_utc(zone)),
            numbers: EpochRule::new(*unit, rule.unit),
            rule: rule.clone(),
        })
    }

    /// Returns the instant of a text as the column counts it, or `None` if it has none, or if that takes a
    /// closer look.
    pub(crate) fn instant(&self, text: &str) -> Option<i64> {
        let text = text.trim_ascii();
        if self.rule.unit.is_some() && self.rule.time_format.is_none() && is_plain_integer(text) {
            return self.numbers.instant(text.parse().ok()?);
        }
        if self.is_of_other_zone {
            return None;
        }
        let utc = utc_of_text(text, &self.rule, None).ok()?;
        instant(utc, self.unit).ok()
    }
}

/// Returns the instant of a text in a timestamp column without declared options; a local time is one of UTC.
pub fn instant_of_text(text: &str) -> Option<DateTime<Utc>> {
    let utc = utc_of_text(text, &LeafRule::default(), None);
    utc.ok().map(|utc| utc.and_utc())
}

/// Returns true if the zone of a type is UTC.
pub(crate) fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00")
}

/// Returns true for the digits of a number without leading zeros, with or without a minus sign.
fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let has_leading_zero = digits.len() > 1 && digits.first() == Some(&b'0');
    !digits.is_empty() && !has_leading_zero && digits.iter().all(u8::is_ascii_digit)
}

/// Returns the time in UTC of a text, by the declared rule of its column. `type_zone` is that of the type.
///
/// # Errors
/// Returns the reason if the text is not a time of the declared format, or of a form that is read without
/// one.
pub(crate) fn utc_of_text(
    text: &str,
    rule: &LeafRule,
    type_zone: Option<&LocalZone>,
) -> Result<NaiveDateTime, TimeTextFault> {
    let text = text.trim_ascii();
    let time = match &rule.time_format {
        Some(format) => {
            let time = format.read(text);
            time.ok_or_else(|| TimeTextFault::Format(format.text().to_owned()))?
        }
        None => TimeText::parse(text).ok_or(TimeTextFault::Form)?,
    };
    time.utc(rule.time_zone.as_ref().or(type_zone))
}

/// The reason why a column cannot count an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uncountable {
    /// It is outside of the years 0001 to 9999.
    Year,
    /// It is outside of the years 1677 to 2262.
    Nanoseconds,
}

/// Returns a time in units since 1970. Fractions of a unit are cut toward the earlier instant, before and
/// after 1970 alike.
pub(crate) fn instant(utc: NaiveDateTime, unit: TimeUnit) -> Result<i64, Uncountable> {
    if !(1..=9999).contains(&utc.year()) {
        return Err(Uncountable::Year);
    }
    let utc = utc.and_utc();
    match unit {
        TimeUnit::Second => Ok(utc.timestamp()),
        TimeUnit::Millisecond => Ok(utc.timestamp_millis()),
        TimeUnit::Microsecond => Ok(utc.timestamp_micros()),
        TimeUnit::Nanosecond => utc.timestamp_nanos_opt().ok_or(Uncountable::Nanoseconds),
    }
}
