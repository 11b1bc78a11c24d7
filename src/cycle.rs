//! Cycles: the 24-hour windows that tables are exported for. The module does no I/O.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// The relation of a table to the cycle. Derived from its query, so that the two cannot contradict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// The query is bound to the cycle's window; its rows are added to those of other cycles.
    Incremental,
    /// The query uses no window; the whole table is replaced.
    Snapshot,
}

impl fmt::Display for SyncMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SyncMode::Incremental => "incremental",
            SyncMode::Snapshot => "snapshot",
        })
    }
}

/// One UTC day: the half-open window `[start, end)`. Its id is the date, `2026-01-15`.
///
/// Invariant: the following day exists too, so [`Cycle::end`] cannot overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cycle(NaiveDate);

impl Cycle {
    fn new(date: NaiveDate) -> Option<Self> {
        // Instants are bound as 64-bit nanoseconds, which end in 2262.
        let in_nanoseconds = |day: NaiveDate| midnight(day).timestamp_nanos_opt();
        in_nanoseconds(date)?;
        in_nanoseconds(date.checked_add_days(Days::new(1))?)?;
        Some(Self(date))
    }

    /// Returns the first instant of the window.
    pub fn start(self) -> DateTime<Utc> {
        midnight(self.0)
    }

    /// Returns the first instant after the window.
    pub fn end(self) -> DateTime<Utc> {
        midnight(self.0 + Days::new(1))
    }

    /// Returns the newest cycle whose window has ended at `now`.
    pub fn last_closed(now: DateTime<Utc>) -> Result<Self> {
        now.date_naive()
            .checked_sub_days(Days::new(1))
            .and_then(Self::new)
            .ok_or_else(|| Error::invalid(format!("the clock shows {now}, outside 1677 to 2262")))
    }

    /// Returns true if the window has ended at `now`.
    pub fn is_closed(self, now: DateTime<Utc>) -> bool {
        self.end() <= now
    }

    /// Returns the cycle `days` days earlier.
    pub fn days_before(self, days: u32) -> Result<Self> {
        let day = self.0.checked_sub_days(Days::new(days.into()));
        day.and_then(Self::new)
            .ok_or_else(|| Error::invalid(format!("{days} days before {self} there is no cycle")))
    }

    /// Returns the cycle of the next day. Returns `None` after the last representable one.
    pub fn next(self) -> Option<Self> {
        self.0.succ_opt().and_then(Self::new)
    }

    /// Returns all cycles from `first` to `last`, both inclusive; empty if `last` is earlier.
    pub fn range(first: Cycle, last: Cycle) -> Vec<Cycle> {
        first
            .0
            .iter_days()
            .take_while(|day| *day <= last.0)
            .map(Cycle)
            .collect()
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.format("%Y-%m-%d").to_string())
    }
}

impl FromStr for Cycle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            // chrono accepts `2026-1-5` too; an id has one spelling.
            .filter(|date| date.format("%Y-%m-%d").to_string() == text);
        date.and_then(Self::new).ok_or_else(|| {
            Error::invalid(format!("`{text}` is not a day"))
                .with_hint("write it as year-month-day, for example `2026-01-15`")
        })
    }
}

impl Serialize for Cycle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cycle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Returns the cycles that a run without dates delivers, oldest first.
///
/// Incremental: every closed cycle that is not published from the `first` one that ever was, or that has
/// to be published again; without one, the last closed cycle. Snapshot: the last closed cycle alone,
/// because a table that shows the current state has nothing to catch up on.
pub fn due(
    mode: SyncMode,
    first: Option<Cycle>,
    published: &BTreeSet<Cycle>,
    last_closed: Cycle,
) -> Vec<Cycle> {
    let first = match (mode, first) {
        (SyncMode::Incremental, Some(first)) => first,
        (SyncMode::Incremental, None) | (SyncMode::Snapshot, _) => last_closed,
    };
    let mut cycles = Cycle::range(first, last_closed);
    cycles.retain(|cycle| !published.contains(cycle));
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(id: &str) -> Cycle {
        id.parse().unwrap()
    }

    #[test]
    fn a_window_is_half_open_and_crosses_leap_days_and_year_ends() {
        let leap = cycle("2028-02-29");
        assert_eq!(leap.start().to_rfc3339(), "2028-02-29T00:00:00+00:00");
        assert_eq!(leap.end(), cycle("2028-03-01").start());
        assert_eq!(cycle("2026-12-31").end(), cycle("2027-01-01").start());
        assert!("2026-02-29".parse::<Cycle>().is_err());
    }

    #[test]
    fn an_id_has_one_spelling_and_a_bindable_window() {
        for text in [
            "2026-1-5",
            "2026-01-5",
            "15.01.2026",
            "",
            "2262-04-11",
            "9999-12-31",
        ] {
            assert!(text.parse::<Cycle>().is_err(), "{text}");
        }
        assert_eq!(cycle("2262-04-10").to_string(), "2262-04-10");
    }

    #[test]
    fn a_cycle_closes_at_the_instant_its_window_ends() {
        let day = cycle("2026-01-15");
        assert!(day.is_closed(day.end()));
        assert!(!day.is_closed(day.end() - chrono::TimeDelta::nanoseconds(1)));
        assert_eq!(Cycle::last_closed(day.end()).unwrap(), day);
        assert_eq!(
            Cycle::last_closed(day.end() - chrono::TimeDelta::nanoseconds(1)).unwrap(),
            cycle("2026-01-14")
        );
    }

    #[test]
    fn due_cycles_fill_gaps_oldest_first() {
        let published = BTreeSet::from([cycle("2026-02-27"), cycle("2026-03-01")]);
        let (first, last) = (published.first().copied(), cycle("2026-03-03"));
        assert_eq!(
            due(SyncMode::Incremental, first, &published, last),
            [
                cycle("2026-02-28"),
                cycle("2026-03-02"),
                cycle("2026-03-03")
            ]
        );
        assert_eq!(due(SyncMode::Snapshot, first, &published, last), [last]);
        let nothing = BTreeSet::new();
        assert_eq!(due(SyncMode::Incremental, None, &nothing, last), [last]);
        assert!(
            due(
                SyncMode::Snapshot,
                Some(last),
                &BTreeSet::from([last]),
                last
            )
            .is_empty()
        );
    }

    #[test]
    fn the_first_cycle_is_due_if_it_has_to_be_published_again() {
        let (first, last) = (cycle("2026-02-27"), cycle("2026-02-28"));
        let published = BTreeSet::from([last]);
        assert_eq!(
            due(SyncMode::Incremental, Some(first), &published, last),
            [first]
        );
    }
}
