//! Rows outside of the cycle: they would be published again by another one, or belong to another one.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{Schema, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::stage::spec::WindowColumn;

/// Counts the rows whose window column lies outside of the window.
#[derive(Debug)]
pub(super) struct WindowCheck {
    window: WindowColumn,
    /// The index of the column.
    column: usize,
    outside: u64,
}

impl WindowCheck {
    /// Creates a check of batches of `schema`. Returns `None` if they do not have the column.
    pub(super) fn new(window: &WindowColumn, schema: &Schema) -> Option<Self> {
        Some(Self {
            column: schema.index_of(&window.name).ok()?,
            window: window.clone(),
            outside: 0,
        })
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) {
        let column = batch.column(self.column);
        let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() else {
            return;
        };
        if !self.window.is_nullable {
            self.outside += times.null_count() as u64;
        }
        let window = self.window.start.timestamp_micros()..self.window.end.timestamp_micros();
        let is_inside = |time: Option<i64>| time.is_none_or(|time| window.contains(&time));
        // Of most batches, the least and the greatest value say all.
        if is_inside(compute::min(times)) && is_inside(compute::max(times)) {
            return;
        }
        let outside = times.iter().filter(|time| !is_inside(*time)).count();
        self.outside += outside as u64;
    }

    /// # Errors
    /// [`Error::data`] if a row was outside of the window.
    pub(super) fn finish(&self) -> Result<()> {
        if self.outside == 0 {
            return Ok(());
        }
        let name = &self.window.name;
        let (rows, lie) = match self.outside {
            1 => ("row", "lies"),
            _ => ("rows", "lie"),
        };
        Err(Error::data(format!(
            "{} {rows} of the query {lie} outside of the cycle by the column `{name}`, and would be published \
             again by another one",
            self.outside
        ))
        .with_hint(format!(
            "the query may read more than the cycle, but exports only its rows: add \
             `{name} >= $window_start AND {name} < $window_end` to its outermost conditions, by AND"
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{TimeDelta, TimeZone, Utc};
    use datafusion::arrow::array::{ArrayRef, TimestampMicrosecondArray};

    use super::*;

    fn outside(offsets: &[Option<i64>], is_nullable: bool) -> u64 {
        let start = Utc.with_ymd_and_hms(2026, 1, 15, 0, 0, 0).unwrap();
        let window = WindowColumn {
            name: "time".to_owned(),
            start,
            end: start + TimeDelta::days(1),
            is_nullable,
        };
        let micros = offsets
            .iter()
            .map(|offset| Some(start.timestamp_micros() + (*offset)?));
        let times: ArrayRef = Arc::new(micros.collect::<TimestampMicrosecondArray>());
        let batch = RecordBatch::try_from_iter_with_nullable([("time", times, true)]).unwrap();
        let mut check = WindowCheck::new(&window, &batch.schema()).unwrap();
        check.add(&batch);
        assert_eq!(check.finish().is_ok(), check.outside == 0);
        check.outside
    }

    #[test]
    fn the_window_is_closed_at_its_start_and_open_at_its_end() {
        let day = TimeDelta::days(1).num_microseconds().unwrap();
        assert_eq!(outside(&[Some(0), Some(day - 1)], false), 0);
        assert_eq!(outside(&[Some(-1), Some(0), Some(day), Some(5)], false), 2);
        assert_eq!(outside(&[], false), 0);
    }

    #[test]
    fn a_row_without_a_value_is_in_no_window() {
        assert_eq!(outside(&[Some(0), None, None], false), 2);
        assert_eq!(outside(&[Some(0), None, Some(-1)], true), 1);
        assert_eq!(outside(&[None], true), 0);
    }
}
