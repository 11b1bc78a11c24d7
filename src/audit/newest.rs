//! The newest time of the rows of a cycle.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

use crate::cycle::Cycle;
use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::human;

/// The format of instants in messages.
const INSTANT: &str = "%Y-%m-%d %H:%M:%S UTC";

/// Finds the newest of many times.
#[derive(Debug, Default)]
pub(super) struct NewestTime(Option<i64>);

impl NewestTime {
    /// Returns true if values of a type are times.
    pub(super) fn is_time(data_type: &DataType) -> bool {
        matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32)
    }

    pub(super) fn add(&mut self, times: &ArrayRef) -> Result<()> {
        let micros = match times.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                max(times.as_primitive::<TimestampMicrosecondType>())
            }
            _ => {
                let target = DataType::Timestamp(TimeUnit::Microsecond, None);
                let times = cast(times, &target).map_err(|error| from_datafusion(error.into()))?;
                max(times.as_primitive::<TimestampMicrosecondType>())
            }
        };
        self.0 = self.0.max(micros);
        Ok(())
    }

    /// Returns the reason why the newest time is too old for a cycle; `None` if it is not.
    pub(super) fn too_old(&self, cycle: Cycle, max_age: Duration) -> Option<String> {
        let Some(newest) = self.0.and_then(DateTime::<Utc>::from_timestamp_micros) else {
            return Some("there is no time at all".to_owned());
        };
        let age = cycle.end() - newest;
        let max_age = TimeDelta::from_std(max_age).unwrap_or(TimeDelta::MAX);
        (age > max_age).then(|| {
            format!(
                "the newest time is {}, {} before the end of the cycle, and may be {} before it",
                newest.format(INSTANT),
                human::age(age),
                human::age(max_age)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Date32Array, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn the_newest_time_is_held_against_the_end_of_the_cycle() {
        let cycle: Cycle = "2026-01-15".parse().unwrap();
        let hour = Duration::from_secs(3600);
        let mut newest = NewestTime::default();
        assert_eq!(
            newest.too_old(cycle, hour).unwrap(),
            "there is no time at all"
        );
        let ago = |seconds: i64| Some(cycle.end().timestamp_micros() - seconds * 1_000_000);
        let times = vec![ago(9000), None, ago(7200)];
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times));
        newest.add(&times).unwrap();
        assert_eq!(newest.too_old(cycle, 2 * hour), None);
        assert_eq!(
            newest.too_old(cycle, hour).unwrap(),
            "the newest time is 2026-01-15 22:00:00 UTC, 2 hours before the end of the cycle, and may be 60 \
             minutes before it"
        );
    }

    #[test]
    fn a_date_is_its_first_instant() {
        let cycle: Cycle = "1970-01-02".parse().unwrap();
        let mut newest = NewestTime::default();
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(1), None]));
        newest.add(&dates).unwrap();
        assert_eq!(newest.too_old(cycle, Duration::from_secs(86_400)), None);
        assert!(newest.too_old(cycle, Duration::from_secs(86_399)).is_some());
    }
}
