//! Comparisons of instants, rewritten for the unit of the file.
//!
//! DataFusion skips row groups by comparing their statistics. A cast of the statistics would round, so
//! the literal is converted instead: an instant of the declared column is the earlier end of the range
//! of the file's instants that become it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal};

/// Returns `column op literal` for a column that counts `from` units a second in the file, and `to`
/// units in the declaration, of which `literal` is one.
///
/// Returns `None` for other operators and literals.
pub(super) fn compare_instants(
    column: &Arc<dyn PhysicalExpr>,
    stored: &DataType,
    op: Operator,
    literal: &ScalarValue,
    (from, to): (i64, i64),
) -> Option<Arc<dyn PhysicalExpr>> {
    let value = i128::from(instant(literal)?);
    // The first stored instant of this declared instant, and of the next one.
    let first_of = |value: i128| {
        let scaled = value * i128::from(from);
        let first = scaled.div_euclid(i128::from(to));
        let is_between = scaled.rem_euclid(i128::from(to)) != 0;
        i64::try_from(first + i128::from(is_between)).ok()
    };
    let (first, next) = (first_of(value)?, first_of(value + 1)?);
    let compare = |op: Operator, value: i64| -> Option<Arc<dyn PhysicalExpr>> {
        let literal = Arc::new(Literal::new(scalar(stored, value)?));
        Some(Arc::new(BinaryExpr::new(Arc::clone(column), op, literal)))
    };
    match op {
        Operator::Lt => compare(Operator::Lt, first),
        Operator::LtEq => compare(Operator::Lt, next),
        Operator::Gt => compare(Operator::GtEq, next),
        Operator::GtEq => compare(Operator::GtEq, first),
        Operator::Eq => Some(Arc::new(BinaryExpr::new(
            compare(Operator::GtEq, first)?,
            Operator::And,
            compare(Operator::Lt, next)?,
        ))),
        _ => None,
    }
}

fn instant(literal: &ScalarValue) -> Option<i64> {
    match literal {
        ScalarValue::TimestampSecond(value, _)
        | ScalarValue::TimestampMillisecond(value, _)
        | ScalarValue::TimestampMicrosecond(value, _)
        | ScalarValue::TimestampNanosecond(value, _) => *value,
        _ => None,
    }
}

fn scalar(data_type: &DataType, value: i64) -> Option<ScalarValue> {
    let DataType::Timestamp(unit, zone) = data_type else {
        return None;
    };
    let (value, zone) = (Some(value), zone.clone());
    Some(match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(value, zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(value, zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(value, zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(value, zone),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::physical_expr::expressions::Column;

    use super::*;

    fn compared(op: Operator, literal: i64, units: (i64, i64)) -> String {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("t", 0));
        let stored = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let literal = ScalarValue::TimestampMicrosecond(Some(literal), None);
        compare_instants(&column, &stored, op, &literal, units)
            .map(|expr| expr.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn finer_instants_are_compared_with_the_range_of_the_literal() {
        let nanos_as_micros = (1_000_000_000, 1_000_000);
        let compared = |op| compared(op, -5, nanos_as_micros);
        assert_eq!(compared(Operator::Lt), "t@0 < -5000");
        assert_eq!(compared(Operator::LtEq), "t@0 < -4000");
        assert_eq!(compared(Operator::Gt), "t@0 >= -4000");
        assert_eq!(compared(Operator::GtEq), "t@0 >= -5000");
        assert_eq!(compared(Operator::Eq), "t@0 >= -5000 AND t@0 < -4000");
        assert_eq!(compared(Operator::NotEq), "");
    }

    #[test]
    fn coarser_instants_are_compared_with_the_next_one() {
        let seconds_as_millis = (1, 1_000);
        let compared = |op, literal| compared(op, literal, seconds_as_millis);
        assert_eq!(compared(Operator::GtEq, 1_500), "t@0 >= 2");
        assert_eq!(compared(Operator::GtEq, 2_000), "t@0 >= 2");
        assert_eq!(compared(Operator::Lt, 1_500), "t@0 < 2");
        assert_eq!(compared(Operator::LtEq, 2_000), "t@0 < 3");
        assert_eq!(compared(Operator::Eq, 1_500), "t@0 >= 2 AND t@0 < 2");
    }
}
