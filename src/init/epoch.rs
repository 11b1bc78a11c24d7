//! Numbers that count time since 1970, recognized by the name of their column and their range together.

use crate::init::names::snake_case;
use crate::init::numbers::NumberFacts;
use crate::jsonl::EpochUnit;

/// The years 2000 to 2100, in seconds since 1970. A number in another unit is three orders of magnitude
/// off.
const PLAUSIBLE_SECONDS: (f64, f64) = (946_684_800.0, 4_133_980_799.0);

/// Words of which one is in the name of a column of times.
const WORDS: [&str; 9] = [
    "at",
    "date",
    "datetime",
    "dt",
    "epoch",
    "time",
    "timestamp",
    "ts",
    "tstamp",
];

/// Units and parts that names put behind those words.
const SUFFIXES: [&str; 12] = [
    "epoch", "micros", "millis", "ms", "nanos", "ns", "s", "sec", "seconds", "unix", "us", "utc",
];

/// Returns true if the name of a column says that it has a time: `created_at`, `eventTime`, `ts_ms`.
pub(super) fn is_named_time(name: &str) -> bool {
    let snake = snake_case(name);
    let mut words: Vec<&str> = snake.split('_').collect();
    while words.len() > 1 && words.last().is_some_and(|last| SUFFIXES.contains(last)) {
        words.pop();
    }
    let last = words.last().copied().unwrap_or_default();
    let has_ending = ["timestamp", "tstamp", "datetime", "time"]
        .iter()
        .any(|ending| last.ends_with(ending));
    WORDS.contains(&last) || has_ending
}

/// Returns the unit that numbers count since 1970, if name and range agree that they are times.
pub(super) fn epoch_unit(name: &str, numbers: &NumberFacts) -> Option<EpochUnit> {
    let (least, greatest) = numbers.range?;
    if !is_named_time(name) {
        return None;
    }
    let unit = unit_of_range(least, greatest)?;
    // What is finer than microseconds would be lost.
    let is_kept = numbers.scale() <= 6_u32.saturating_sub(unit.digits());
    is_kept.then_some(unit)
}

/// Returns the unit in which all numbers of a range are of the years 2000 to 2100.
pub(super) fn unit_of_range(least: f64, greatest: f64) -> Option<EpochUnit> {
    let (from, to) = PLAUSIBLE_SECONDS;
    EpochUnit::ALL.into_iter().find(|unit| {
        let per_second = 10_f64.powi(i32::try_from(unit.digits()).unwrap_or(0));
        least >= from * per_second && greatest <= to * per_second
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::place::Place;

    fn unit(name: &str, numbers: &[&str]) -> Option<EpochUnit> {
        let mut facts = NumberFacts::default();
        for number in numbers {
            facts.add(number, Place { file: 0, line: 1 });
        }
        epoch_unit(name, &facts)
    }

    #[test]
    fn name_and_range_have_to_agree() {
        for (name, number, expected) in [
            ("ts", "1768471200", Some(EpochUnit::Second)),
            ("epoch_ms", "1768471200123", Some(EpochUnit::Millisecond)),
            (
                "event_time_ms",
                "1768471200123",
                Some(EpochUnit::Millisecond),
            ),
            (
                "event_timestamp",
                "1768471200123456",
                Some(EpochUnit::Microsecond),
            ),
            ("createdAt", "1768471200.123", Some(EpochUnit::Second)),
            ("timestamp", "1768471200.1234567", None),
            ("id", "1768471200", None),
            ("status", "1768471200", None),
            ("format", "1768471200", None),
            ("duration_time", "1500", None),
            ("event_date", "20260115", None),
            ("lastSeenTime", "1768471200", Some(EpochUnit::Second)),
        ] {
            assert_eq!(unit(name, &[number]), expected, "{name} {number}");
        }
        assert_eq!(
            unit("ts", &["1768471200", "1768471200000"]),
            None,
            "two units"
        );
        assert_eq!(unit("ts", &["0", "1768471200"]), None);
    }
}
