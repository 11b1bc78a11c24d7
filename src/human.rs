//! Formats figures for people: counts, sizes and ages.
//!
//! Reports, messages and the status page format their figures here, so that the same figure looks
//! the same everywhere. JSON reports and metrics hold plain numbers instead.

use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use indicatif::{HumanBytes, HumanCount, HumanDuration};

/// Formats a number with separators of thousands: `1,234,567`.
pub(crate) fn count(number: u64) -> impl fmt::Display {
    HumanCount(number)
}

/// Formats a number of things, whose noun is given in the singular: `1 table`, `2 tables`,
/// `3 passes`.
pub(crate) fn counted(number: u64, noun: &str) -> impl fmt::Display {
    format!("{} {}", HumanCount(number), self::noun(number, noun))
}

/// Returns a noun, which is given in the singular, as it follows a number: `table`, `tables`.
pub(crate) fn noun(number: u64, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{noun}{ending}")
}

/// Formats a size in bytes with binary units: `1.50 KiB`.
pub(crate) fn bytes(size: u64) -> impl fmt::Display {
    HumanBytes(size)
}

/// Formats the age of something in one unit, rounded: `3 days`, `5 hours`. An instant in the future
/// is `0 seconds` old.
pub(crate) fn age(age: TimeDelta) -> impl fmt::Display {
    HumanDuration(age.to_std().unwrap_or_default())
}

/// Formats a duration in whole seconds: `5 s`, `90 s`.
pub(crate) fn seconds(duration: Duration) -> impl fmt::Display {
    format!("{} s", duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_whole_seconds() {
        assert_eq!(seconds(Duration::from_millis(5_900)).to_string(), "5 s");
        assert_eq!(seconds(Duration::from_secs(90)).to_string(), "90 s");
    }

    #[test]
    fn counts_have_separators_and_a_plural() {
        assert_eq!(count(1_234_567).to_string(), "1,234,567");
        assert_eq!(counted(0, "table").to_string(), "0 tables");
        assert_eq!(counted(1, "table").to_string(), "1 table");
        assert_eq!(counted(2_000, "pass").to_string(), "2,000 passes");
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(bytes(5).to_string(), "5 B");
        assert_eq!(bytes(1536).to_string(), "1.50 KiB");
    }

    #[test]
    fn ages_have_one_unit() {
        assert_eq!(age(TimeDelta::minutes(1)).to_string(), "60 seconds");
        assert_eq!(age(TimeDelta::hours(5)).to_string(), "5 hours");
        assert_eq!(age(TimeDelta::hours(80)).to_string(), "3 days");
        assert_eq!(age(TimeDelta::hours(-1)).to_string(), "0 seconds");
    }
}
