//! Functions, operators and casts that give another value than they say.

use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use crate::refusal::position::Refusal;

/// Returns the refusal of an expression. Its operands are visited by themselves.
pub(super) fn refusal(expression: &Expr, schema: &DFSchema) -> Option<Refusal> {
    match expression {
        Expr::SimilarTo(_) => Some(Refusal {
            what: "SIMILAR TO takes its pattern for a regular expression that may match a part of the text",
            hint: "write LIKE, or a regular expression: `x ~ '^(?:…)$'`".to_owned(),
            near: expression.clone(),
            words: &["similar"],
        }),
        Expr::Cast(cast) => zone_dropped(&cast.expr, cast.field.data_type(), schema),
        Expr::TryCast(cast) => zone_dropped(&cast.expr, cast.field.data_type(), schema),
        Expr::ScalarFunction(function) => part_of_duration(function, schema),
        Expr::BinaryExpr(binary) if binary.op == Operator::BitwiseXor => Some(Refusal {
            what: "`^` is not the power, but the exclusive OR of bits",
            hint: "write `power(x, y)`, or for bits `(x | y) - (x & y)`".to_owned(),
            near: expression.clone(),
            words: &[],
        }),
        _ => None,
    }
}

/// Refuses a cast that should give the local time of a zone, and gives that of UTC.
fn zone_dropped(operand: &Expr, to: &DataType, schema: &DFSchema) -> Option<Refusal> {
    let DataType::Timestamp(_, None) = to else {
        return None;
    };
    let DataType::Timestamp(_, Some(zone)) = operand.get_type(schema).ok()? else {
        return None;
    };
    if is_utc(&zone) {
        return None;
    }
    Some(Refusal {
        what: "a cast of AT TIME ZONE to TIMESTAMP gives the time in UTC, not in the zone",
        hint: format!(
            "write `to_local_time(x AT TIME ZONE '{zone}')`, where `x` is a TIMESTAMP WITH TIME ZONE"
        ),
        near: operand.clone(),
        words: &["zone", "cast"],
    })
}

/// Returns whether a zone is UTC under one of its names.
pub(super) fn is_utc(zone: &str) -> bool {
    matches!(zone, "+00:00" | "-00:00" | "Z") || zone.eq_ignore_ascii_case("UTC")
}

/// Refuses `date_part` of a difference of timestamps, and the seconds of an interval.
fn part_of_duration(function: &ScalarFunction, schema: &DFSchema) -> Option<Refusal> {
    if function.name() != "date_part" {
        return None;
    }
    let [part, operand] = function.args.as_slice() else {
        return None;
    };
    let what = match operand.get_type(schema).ok()? {
        DataType::Duration(_) => {
            "`date_part` of a difference of timestamps cuts fractions, and does not carry hours into days"
        }
        DataType::Interval(IntervalUnit::MonthDayNano | IntervalUnit::YearMonth)
            if is_epoch(part) =>
        {
            "`date_part('epoch', …)` of an interval counts 360 days for a year"
        }
        _ => return None,
    };
    Some(Refusal {
        what,
        hint: "write `date_part('epoch', a) - date_part('epoch', b)` for the seconds between two timestamps"
            .to_owned(),
        near: operand.clone(),
        words: &["date_part", "datepart", "extract"],
    })
}

fn is_epoch(part: &Expr) -> bool {
    let text = match part {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    text.is_none_or(|text| text.eq_ignore_ascii_case("epoch"))
}
