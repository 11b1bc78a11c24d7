//! The times of the years 0001 to 9999, the only ones that every format and reader agrees about.

use arrow::datatypes::TimeUnit;

/// 0001-01-01, in days since 1970-01-01.
const FIRST_DAY: i32 = -719_162;

/// 9999-12-31, in days since 1970-01-01.
const LAST_DAY: i32 = 2_932_896;

pub(crate) const SECONDS_PER_DAY: i64 = 86_400;

/// Returns the first and the last day, in days since 1970-01-01.
pub(crate) fn days() -> (i32, i32) {
    (FIRST_DAY, LAST_DAY)
}

/// Returns the first and the last instant, in units of which a second has `units_per_second`.
///
/// For nanoseconds these are all instants that 64 bits can count, in the years 1677 to 2262.
pub(crate) fn instants(units_per_second: i64) -> (i64, i64) {
    let units_per_day = SECONDS_PER_DAY * units_per_second;
    let first = i64::from(FIRST_DAY).saturating_mul(units_per_day);
    let after_last = (i64::from(LAST_DAY) + 1).checked_mul(units_per_day);
    (
        first,
        after_last.map_or(i64::MAX, |after_last| after_last - 1),
    )
}

/// Returns the number of units that a second has.
pub(crate) fn units_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_nanoseconds_is_what_64_bits_can_count() {
        assert_eq!(instants(1), (-62_135_596_800, 253_402_300_799));
        assert_eq!(instants(1_000_000_000), (i64::MIN, i64::MAX));
    }
}
