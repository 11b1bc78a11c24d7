//! When to run. Pure.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};

use crate::cycle::Cycle;

/// No wait after a failure is longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// The times of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Every day at this time, UTC.
    Daily(NaiveTime),
    /// So often, counted from midnight UTC, so that a restart keeps the times.
    Every(Duration),
}

impl Schedule {
    /// The first time after `now`.
    pub fn next(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Schedule::Daily(at) => {
                let today = now.date_naive().and_time(at).and_utc();
                if today > now {
                    return today;
                }
                today.checked_add_days(Days::new(1)).unwrap_or(now)
            }
            Schedule::Every(every) => {
                let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
                let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
                let every = every.num_milliseconds().max(1);
                let passed = (now - midnight).num_milliseconds() / every;
                let next = (passed + 1).saturating_mul(every);
                let next = TimeDelta::try_milliseconds(next)
                    .and_then(|next| midnight.checked_add_signed(next));
                next.unwrap_or(now)
            }
        }
    }

    /// When a cycle is expected: at the first time after it has closed.
    pub fn due(self, cycle: Cycle) -> DateTime<Utc> {
        let before = cycle.end() - TimeDelta::milliseconds(1);
        self.next(before)
    }
}

/// How long to wait after so many failed rounds in a row: `first`, and then twice as long each time.
pub fn backoff(first: Duration, failures: u32) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_of_the_day_comes_once_a_day() {
        let daily = Schedule::Daily("03:00:00".parse().unwrap());
        assert_eq!(
            daily.next(at("2026-01-15T02:59:59Z")),
            at("2026-01-15T03:00:00Z")
        );
        assert_eq!(
            daily.next(at("2026-01-15T03:00:00Z")),
            at("2026-01-16T03:00:00Z")
        );
        assert_eq!(
            daily.next(at("2026-12-31T04:00:00Z")),
            at("2027-01-01T03:00:00Z")
        );
        assert_eq!(
            daily.due("2026-01-15".parse().unwrap()),
            at("2026-01-16T03:00:00Z")
        );
    }

    #[test]
    fn every_so_often_is_counted_from_midnight() {
        let every = Schedule::Every(Duration::from_secs(6 * 3600));
        assert_eq!(
            every.next(at("2026-01-15T05:00:00Z")),
            at("2026-01-15T06:00:00Z")
        );
        assert_eq!(
            every.next(at("2026-01-15T06:00:00Z")),
            at("2026-01-15T12:00:00Z")
        );
        assert_eq!(
            every.next(at("2026-01-15T23:00:00Z")),
            at("2026-01-16T00:00:00Z")
        );
        assert_eq!(
            every.due("2026-01-15".parse().unwrap()),
            at("2026-01-16T00:00:00Z")
        );
    }

    #[test]
    fn failures_are_tried_again_ever_more_patiently() {
        let waits: Vec<u64> = [1, 2, 3, 7, 60]
            .map(|failures| backoff(Duration::from_secs(60), failures).as_secs())
            .to_vec();
        assert_eq!(waits, [60, 120, 240, 3600, 3600]);
    }
}
