//! Numbers in timestamp columns: which unit they count since 1970, and which of them are accepted.

use std::ops::RangeInclusive;

use arrow::datatypes::TimeUnit;
use serde::{Deserialize, Serialize};

use crate::year_range;

/// The years 2000 to 2100, in seconds since 1970. A number in the wrong unit is three orders of magnitude
/// off, and so outside of them.
const PLAUSIBLE_SECONDS: RangeInclusive<i64> = 946_684_800..=4_133_980_799;

/// A unit of time since 1970, as declarations write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpochUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Second,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millisecond,
    /// Microseconds.
    #[serde(rename = "us")]
    Microsecond,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanosecond,
}

impl EpochUnit {
    /// All units, the coarsest first.
    pub const ALL: [Self; 4] = [
        Self::Second,
        Self::Millisecond,
        Self::Microsecond,
        Self::Nanosecond,
    ];

    /// Returns the unit of a name: `s`, `ms`, `us` or `ns`, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }

    /// Returns the name in declarations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Millisecond => "ms",
            Self::Microsecond => "us",
            Self::Nanosecond => "ns",
        }
    }

    /// Returns the word for several of the unit.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Second => "seconds",
            Self::Millisecond => "milliseconds",
            Self::Microsecond => "microseconds",
            Self::Nanosecond => "nanoseconds",
        }
    }

    /// Returns how many digits a second has in this unit beyond the first.
    pub(crate) fn digits(self) -> u32 {
        match self {
            Self::Second => 0,
            Self::Millisecond => 3,
            Self::Microsecond => 6,
            Self::Nanosecond => 9,
        }
    }

    fn per_second(self) -> i64 {
        10_i64.pow(self.digits())
    }
}

impl From<TimeUnit> for EpochUnit {
    fn from(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Second => Self::Second,
            TimeUnit::Millisecond => Self::Millisecond,
            TimeUnit::Microsecond => Self::Microsecond,
            TimeUnit::Nanosecond => Self::Nanosecond,
        }
    }
}

/// The rule by which the numbers of a timestamp column are instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochRule {
    /// The unit of the numbers.
    pub(crate) numbers: EpochUnit,
    /// The unit of the column.
    pub(crate) column: EpochUnit,
    /// True if the unit was declared, false if the column's own is assumed.
    pub(crate) is_declared: bool,
}

impl EpochRule {
    /// Creates the rule of a column of unit `column`, whose numbers count `declared` units.
    ///
    /// Without a declaration the numbers count the unit of the column, and only those of the years 2000
    /// to 2100 are accepted: any other is most likely in another unit.
    pub fn new(column: TimeUnit, declared: Option<EpochUnit>) -> Self {
        let column = EpochUnit::from(column);
        Self {
            numbers: declared.unwrap_or(column),
            column,
            is_declared: declared.is_some(),
        }
    }

    /// Returns the instant that a number stands for, in units of the column. A fraction of a unit is
    /// cut toward the earlier instant.
    ///
    /// Returns `None` if the number is not accepted, or if the column cannot count the instant.
    #[inline]
    pub fn instant(self, number: i64) -> Option<i64> {
        if !self.accepts(number, self.numbers) {
            return None;
        }
        let (from, to) = (self.numbers.per_second(), self.column.per_second());
        match to >= from {
            true => number.checked_mul(to / from),
            false => Some(number.div_euclid(from / to)),
        }
    }

    /// Returns true if an instant, which counts `unit`, is in the accepted years.
    #[inline]
    pub(crate) fn accepts(self, instant: i64, unit: EpochUnit) -> bool {
        let seconds = instant.div_euclid(unit.per_second());
        match self.is_declared {
            true => {
                let (first, last) = year_range::instants(1);
                (first..=last).contains(&seconds)
            }
            false => PLAUSIBLE_SECONDS.contains(&seconds),
        }
    }

    /// Returns the unit in which a number that was not accepted would be an instant from 2000 to 2100.
    pub fn plausible_unit(self, number: i128) -> Option<EpochUnit> {
        EpochUnit::ALL.into_iter().find(|unit| {
            let seconds = number.div_euclid(i128::from(unit.per_second()));
            i64::try_from(seconds).is_ok_and(|seconds| PLAUSIBLE_SECONDS.contains(&seconds))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_declared_unit_are_scaled_to_the_unit_of_the_column() {
        let rule = |column, unit| EpochRule::new(column, Some(unit));
        let micros = rule(TimeUnit::Microsecond, EpochUnit::Second);
        assert_eq!(micros.instant(1_768_471_200), Some(1_768_471_200_000_000));
        assert_eq!(micros.instant(0), Some(0));
        let (first, last) = (-62_135_596_800, 253_402_300_799);
        assert_eq!(micros.instant(last), Some(last * 1_000_000));
        assert_eq!(micros.instant(last + 1), None);
        assert_eq!(micros.instant(first), Some(first * 1_000_000));
        assert_eq!(micros.instant(first - 1), None);
        let seconds = rule(TimeUnit::Second, EpochUnit::Millisecond);
        assert_eq!(seconds.instant(1_999), Some(1));
        assert_eq!(seconds.instant(-1), Some(-1), "before 1970, too");
        let nanos = rule(TimeUnit::Nanosecond, EpochUnit::Second);
        assert_eq!(nanos.instant(last), None, "nanoseconds end in 2262");
        let same = rule(TimeUnit::Nanosecond, EpochUnit::Nanosecond);
        assert_eq!(same.instant(i64::MIN), Some(i64::MIN));
    }

    #[test]
    fn without_a_declared_unit_only_the_years_2000_to_2100_are_accepted() {
        let rule = EpochRule::new(TimeUnit::Millisecond, None);
        for (number, accepted) in [
            (946_684_800_000, true),
            (946_684_799_999, false),
            (4_133_980_799_999, true),
            (4_133_980_800_000, false),
            (1_768_471_200, false),
            (-1, false),
        ] {
            assert_eq!(rule.instant(number).is_some(), accepted, "{number}");
            assert_eq!(
                rule.accepts(number, EpochUnit::Millisecond),
                accepted,
                "{number}"
            );
        }
        assert_eq!(rule.plausible_unit(1_768_471_200), Some(EpochUnit::Second));
        assert_eq!(rule.plausible_unit(5), None);
    }
}
