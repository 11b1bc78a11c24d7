//! Computes the times of runs. The module does no I/O.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};

use crate::cycle::Cycle;

/// The maximum wait after a failure.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// The times of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Runs every day at this time, UTC.
    Daily(NaiveTime),
    /// Runs at this interval, counted from midnight UTC, so that a restart keeps the times.
    Every(Duration),
}

impl Schedule {
    /// Returns the first time after `now`.
    pub(crate) fn next(self, now: DateTime<Utc>) -> DateTime<Utc> {
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
                let interval = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
                let millis = interval.num_milliseconds().max(1);
                let passed = (now - midnight).num_milliseconds() / millis;
                let offset = (passed + 1).saturating_mul(millis);
                let next = TimeDelta::try_milliseconds(offset)
                    .and_then(|offset| midnight.checked_add_signed(offset));
                next.unwrap_or(now)
            }
        }
    }

    /// Returns the time at which a cycle is expected: the first one after it has closed.
    pub(crate) fn due(self, cycle: Cycle) -> DateTime<Utc> {
        let before = cycle.end() - TimeDelta::milliseconds(1);
        self.next(before)
    }
}

/// Returns the wait after a number of consecutive failures: `first`, doubled for each further one, up
/// to an hour.
pub(crate) fn backoff(first: Duration, failures: u32) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_daily_schedule_has_one_time_a_day() {
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
    fn an_interval_is_counted_from_midnight() {
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
    fn each_retry_waits_twice_as_long_up_to_an_hour() {
        let waits: Vec<u64> = [1, 2, 3, 7, 60]
            .map(|failures| backoff(Duration::from_secs(60), failures).as_secs())
            .to_vec();
        assert_eq!(waits, [60, 120, 240, 3600, 3600]);
    }
}
