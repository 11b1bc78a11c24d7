//! The bounds of the time that a query reads, from its conditions on the time column.

use std::ops::Range;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, TryCast};

use crate::listing::hive_time::Nanos;

/// A day, in nanoseconds.
pub(crate) const DAY: Nanos = 86_400_000_000_000;

/// Bounds outside which no row meets the filters. Rows inside may or may not meet them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TimeBounds {
    /// The earliest time, inclusive.
    from: Option<Nanos>,
    /// The latest time, inclusive.
    through: Option<Nanos>,
}

impl TimeBounds {
    /// Derives the bounds that `filters` together imply for `time_column`, a timestamp.
    ///
    /// Conditions of other shapes are skipped: bounds may be wider than the filters, never narrower.
    pub(crate) fn of(filters: &[Expr], time_column: &str, time_type: &DataType) -> Self {
        let mut bounds = Self::default();
        let column = TimeColumn {
            name: time_column,
            data_type: time_type,
        };
        for condition in filters.iter().flat_map(split_conjunction) {
            match condition {
                Expr::BinaryExpr(comparison) => bounds.compare(&column, comparison),
                Expr::Between(between) if !between.negated => bounds.between(&column, between),
                _ => {}
            }
        }
        bounds
    }

    /// Creates the bounds of a half-open range.
    pub(crate) fn within(range: Range<Nanos>) -> Self {
        Self {
            from: Some(range.start),
            through: Some(range.end - 1),
        }
    }

    /// Returns the earliest time, inclusive, if there is one.
    pub(crate) fn first(&self) -> Option<Nanos> {
        self.from
    }

    /// Returns the latest time, inclusive, if there is one.
    pub(crate) fn last(&self) -> Option<Nanos> {
        self.through
    }

    /// Returns true if the filters bound the time on both sides.
    pub(crate) fn is_bounded(&self) -> bool {
        self.from.is_some() && self.through.is_some()
    }

    /// Returns true if a row whose time lies in the half-open `range` may meet the filters.
    pub(crate) fn may_overlap(&self, range: &Range<Nanos>) -> bool {
        self.from.is_none_or(|from| range.end > from)
            && self.through.is_none_or(|through| range.start <= through)
    }

    /// Returns true if the filters bound the time on any side.
    pub(crate) fn is_limited(&self) -> bool {
        self.from.is_some() || self.through.is_some()
    }

    /// Returns true if the whole half-open `range` lies within the bounds.
    pub(crate) fn contains(&self, range: &Range<Nanos>) -> bool {
        self.from.is_none_or(|from| from <= range.start)
            && self.through.is_none_or(|through| range.end <= through + 1)
    }

    fn compare(&mut self, column: &TimeColumn<'_>, comparison: &BinaryExpr) {
        let BinaryExpr { left, op, right } = comparison;
        if let Some(grain) = column.grain(left) {
            self.apply(column, grain, *op, right);
        } else if let (Some(grain), Some(swapped)) = (column.grain(right), op.swap()) {
            self.apply(column, grain, swapped, left);
        }
    }

    fn between(&mut self, column: &TimeColumn<'_>, between: &Between) {
        if let Some(grain) = column.grain(&between.expr) {
            self.apply(column, grain, Operator::GtEq, &between.low);
            self.apply(column, grain, Operator::LtEq, &between.high);
        }
    }

    /// Adds `time op literal`, in which the time is rounded down to a multiple of `grain`.
    fn apply(&mut self, column: &TimeColumn<'_>, grain: Nanos, op: Operator, literal: &Expr) {
        let Some(limit) = column.instant(literal) else {
            return;
        };
        // Before 1970 a cast may round up instead of down.
        if limit < DAY {
            return;
        }
        // floor(time) <= limit still holds for the last time before the next step.
        let last_within = |limit: Nanos| limit - limit % grain + grain - 1;
        match op {
            Operator::Eq | Operator::IsNotDistinctFrom => {
                self.not_before(limit);
                self.not_after(last_within(limit));
            }
            Operator::GtEq | Operator::Gt => self.not_before(limit),
            Operator::LtEq => self.not_after(last_within(limit)),
            Operator::Lt => self.not_after(last_within(limit - 1)),
            _ => {}
        }
    }

    fn not_before(&mut self, time: Nanos) {
        self.from = Some(self.from.map_or(time, |from| from.max(time)));
    }

    fn not_after(&mut self, time: Nanos) {
        self.through = Some(self.through.map_or(time, |through| through.min(time)));
    }
}

struct TimeColumn<'a> {
    name: &'a str,
    data_type: &'a DataType,
}

impl TimeColumn<'_> {
    /// Returns the grain to which `expr` rounds this column down: 1 ns for the column itself, the
    /// unit of the other timestamp for a cast to it, a day for a date.
    ///
    /// Returns `None` for anything else, and for casts that shift the time.
    fn grain(&self, expr: &Expr) -> Option<Nanos> {
        match expr {
            Expr::Column(column) => (column.name == self.name).then_some(1),
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                let inner = self.grain(expr)?;
                let step = match field.data_type() {
                    DataType::Timestamp(unit, zone) if is_utc(zone.as_deref()) => unit_nanos(unit),
                    DataType::Date32 => DAY,
                    _ => return None,
                };
                self.is_utc().then_some(inner.max(step))
            }
            _ => None,
        }
    }

    /// Returns the instant that a literal means when it is compared with this column.
    fn instant(&self, expr: &Expr) -> Option<Nanos> {
        let Expr::Literal(value, _) = expr else {
            return None;
        };
        let (number, step, zone) = match value {
            ScalarValue::TimestampSecond(value, zone) => (*value, 1_000_000_000, zone),
            ScalarValue::TimestampMillisecond(value, zone) => (*value, 1_000_000, zone),
            ScalarValue::TimestampMicrosecond(value, zone) => (*value, 1_000, zone),
            ScalarValue::TimestampNanosecond(value, zone) => (*value, 1, zone),
            ScalarValue::Date32(days) => (days.map(i64::from), DAY, &None),
            ScalarValue::Utf8(Some(_))
            | ScalarValue::LargeUtf8(Some(_))
            | ScalarValue::Utf8View(Some(_)) => {
                let timestamp = value.cast_to(self.data_type).ok()?;
                return self.instant(&Expr::Literal(timestamp, None));
            }
            _ => return None,
        };
        // A timestamp with a zone is an instant; one without is the time of a UTC clock.
        let same_clock =
            zone.is_some() == self.has_zone() || (is_utc(zone.as_deref()) && self.is_utc());
        let nanos = Nanos::from(number?) * step;
        same_clock.then_some(nanos)
    }

    fn has_zone(&self) -> bool {
        matches!(self.data_type, DataType::Timestamp(_, Some(_)))
    }

    fn is_utc(&self) -> bool {
        matches!(self.data_type, DataType::Timestamp(_, zone) if is_utc(zone.as_deref()))
    }
}

fn is_utc(zone: Option<&str>) -> bool {
    matches!(zone, None | Some("UTC" | "Z" | "+00:00" | "+00" | "+0000"))
}

/// Returns the nanoseconds that a unit counts.
pub(crate) fn unit_nanos(unit: &TimeUnit) -> Nanos {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn time_type() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
    }

    fn micros(seconds: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(
            Some(seconds * 1_000_000),
            Some("+00:00".into()),
        ))
    }

    /// Returns the bounds in nanoseconds.
    fn bounds(filters: &[Expr]) -> (Option<Nanos>, Option<Nanos>) {
        let bounds = TimeBounds::of(filters, "time", &time_type());
        (bounds.from, bounds.through)
    }

    const A: i64 = 1_768_435_200;
    const A_NANOS: Nanos = A as Nanos * SECOND;

    #[test]
    fn each_operator_from_either_side() {
        let time = || col("time");
        let day = 86_400;
        let both = bounds(&[
            time().gt_eq(micros(A)),
            micros(A + day).gt(time()),
            col("name").eq(lit("Pageview")),
        ]);
        assert_eq!(both, (Some(A_NANOS), Some(A_NANOS + DAY - 1)));
        assert_eq!(bounds(&[time().lt_eq(micros(A))]), (None, Some(A_NANOS)));
        assert_eq!(bounds(&[time().gt(micros(A))]), (Some(A_NANOS), None));
        assert_eq!(
            bounds(&[time().eq(micros(A))]),
            (Some(A_NANOS), Some(A_NANOS))
        );
        let within = time().between(micros(A), micros(A + 1));
        assert_eq!(bounds(&[within]), (Some(A_NANOS), Some(A_NANOS + SECOND)));
        let nested = time()
            .gt(micros(A))
            .and(time().lt(micros(A + 9)).and(time().gt(micros(A + 2))));
        assert_eq!(
            bounds(&[nested]),
            (Some(A_NANOS + 2 * SECOND), Some(A_NANOS + 9 * SECOND - 1))
        );
    }

    #[test]
    fn literals_of_other_units_and_texts() {
        let millis = lit(ScalarValue::TimestampMillisecond(
            Some(A * 1000),
            Some("UTC".into()),
        ));
        assert_eq!(bounds(&[col("time").gt_eq(millis)]), (Some(A_NANOS), None));
        let text = lit("2026-01-15T00:00:00Z");
        assert_eq!(bounds(&[col("time").gt_eq(text)]), (Some(A_NANOS), None));
    }

    #[test]
    fn casts_widen_by_their_step() {
        let seconds = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
        let literal = lit(ScalarValue::TimestampSecond(Some(A), Some("UTC".into())));
        let rounded = cast(col("time"), seconds).lt_eq(literal);
        assert_eq!(bounds(&[rounded]), (None, Some(A_NANOS + SECOND - 1)));
        let day = lit(ScalarValue::Date32(Some(20468)));
        let of_day = cast(col("time"), DataType::Date32).eq(day);
        assert_eq!(bounds(&[of_day]), (Some(A_NANOS), Some(A_NANOS + DAY - 1)));
        let shifted = DataType::Timestamp(TimeUnit::Microsecond, Some("+02:00".into()));
        assert_eq!(
            bounds(&[cast(col("time"), shifted).gt(micros(A))]),
            (None, None)
        );
    }

    #[test]
    fn other_conditions_are_skipped() {
        for filter in [
            col("time").not_eq(micros(A)),
            col("time").gt(micros(A)).or(col("name").eq(lit("x"))),
            col("time").not_between(micros(A), micros(A + 1)),
            col("other").gt(micros(A)),
            col("time").gt(col("other")),
            col("time").gt(lit(ScalarValue::TimestampMicrosecond(None, None))),
        ] {
            assert_eq!(
                bounds(std::slice::from_ref(&filter)),
                (None, None),
                "{filter}"
            );
        }
    }

    #[test]
    fn ranges_overlap_half_open() {
        let bounds = TimeBounds {
            from: Some(10),
            through: Some(19),
        };
        assert!(bounds.may_overlap(&(0..11)) && bounds.may_overlap(&(19..30)));
        assert!(!bounds.may_overlap(&(0..10)) && !bounds.may_overlap(&(20..30)));
        assert!(TimeBounds::default().may_overlap(&(0..1)));
    }
}
