//! The functions that grow, and how large their results become: computed from the sizes of the arguments
//! and the numbers among them, before there is a result.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

use crate::engine::bounded::sizes::{PerRow, bytes, elements, integers};
use crate::view_gc::used_bytes;

/// The functions that have a bound, by their names in DataFusion.
pub(super) const FUNCTIONS: [&str; 14] = [
    "array_repeat",
    "array_replace_all",
    "array_replace_n",
    "array_resize",
    "array_to_string",
    "concat",
    "concat_ws",
    "generate_series",
    "lpad",
    "range",
    "regexp_replace",
    "repeat",
    "replace",
    "rpad",
];

/// The maximum number of bytes of a character in UTF-8.
const MAX_CHAR_BYTES: u64 = 4;

/// The ratio of a number as text to its bytes, at most.
const TEXT_RATIO: u64 = 5;

const NANOS_OF_A_DAY: i128 = 86_400_000_000_000;

/// The days of the shortest month.
const MIN_MONTH_DAYS: i128 = 28;

/// How a result grows with the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// The first argument, as often as the second says.
    Repeat,
    /// A string of as many characters as the second argument says.
    Pad,
    /// A list of as many elements as the second argument says.
    Resize,
    /// A list of numbers or times from a start to an end.
    Range,
    /// The first argument, in which the third takes the place of the second.
    Replace,
    /// The first argument, in which the third takes the place of what the second matches, which may be nothing.
    ReplaceMatches,
    /// The first argument, a list, in which the third may take the place of any element.
    ReplaceElements,
    /// The elements of a list as text, with the second argument between them.
    Join,
    /// All arguments in succession.
    Concatenate,
}

impl Growth {
    /// Returns how the results of a function grow that is one of [`FUNCTIONS`].
    pub(super) fn of(name: &str) -> Self {
        match name {
            "array_repeat" | "repeat" => Self::Repeat,
            "lpad" | "rpad" => Self::Pad,
            "array_resize" => Self::Resize,
            "range" | "generate_series" => Self::Range,
            "replace" => Self::Replace,
            "regexp_replace" => Self::ReplaceMatches,
            "array_replace_all" | "array_replace_n" => Self::ReplaceElements,
            "array_to_string" => Self::Join,
            _ => Self::Concatenate,
        }
    }

    /// Returns a size that the results of all `rows` together do not exceed, in bytes. It may be beyond
    /// what they have, but for [`Self::Repeat`], [`Self::Resize`] and [`Self::Range`] not by much.
    pub(super) fn bound(self, arguments: &[ColumnarValue], rows: usize) -> Result<u64> {
        match (self, arguments) {
            (Self::Concatenate, _) => arguments.iter().try_fold(0u64, |sum, argument| {
                Ok(sum.saturating_add(all_bytes(argument, rows)?))
            }),
            (Self::Repeat, [value, count, ..]) => {
                let (values, counts) = (bytes(value)?, integers(count)?);
                Ok(sum(rows, |row| {
                    // An element takes at least its place in the list.
                    values
                        .get(row)
                        .max(1)
                        .saturating_mul(positive(counts.get(row)))
                }))
            }
            (Self::Pad, [text, length, fill @ ..]) => {
                let (texts, lengths) = (bytes(text)?, integers(length)?);
                let width = fill.first().map_or(1, char_bytes);
                Ok(sum(rows, |row| {
                    let length = positive(lengths.get(row));
                    let padded = texts.get(row).saturating_add(length.saturating_mul(width));
                    padded.min(length.saturating_mul(MAX_CHAR_BYTES))
                }))
            }
            (Self::Resize, [list, length, fill @ ..]) => {
                let (lists, lengths) = (bytes(list)?, integers(length)?);
                let fills = match fill.first() {
                    Some(fill) => bytes(fill)?,
                    None => PerRow::Same(element_width(list)),
                };
                Ok(sum(rows, |row| {
                    let added = fills
                        .get(row)
                        .max(1)
                        .saturating_mul(positive(lengths.get(row)));
                    lists.get(row).saturating_add(added)
                }))
            }
            (Self::Replace | Self::ReplaceMatches, [text, from, to, ..]) => {
                let (texts, tos) = (bytes(text)?, bytes(to)?);
                let froms = match self {
                    Self::Replace => bytes(from)?,
                    _ => PerRow::Same(1),
                };
                Ok(sum(rows, |row| {
                    let text = texts.get(row);
                    let matches = text / froms.get(row).max(1) + 1;
                    text.saturating_add(matches.saturating_mul(tos.get(row)))
                }))
            }
            (Self::ReplaceElements, [list, _, to, ..]) => {
                let (lists, counts, tos) = (bytes(list)?, elements(list)?, bytes(to)?);
                Ok(sum(rows, |row| {
                    let replaced = counts.get(row).saturating_mul(tos.get(row));
                    lists.get(row).saturating_add(replaced)
                }))
            }
            (Self::Join, [list, separator, null @ ..]) => {
                let (lists, counts) = (bytes(list)?, elements(list)?);
                let separators = bytes(separator)?;
                let nulls = null.first().map(bytes).transpose()?;
                Ok(sum(rows, |row| {
                    let between = separators.get(row) + nulls.as_ref().map_or(0, |it| it.get(row));
                    let texts = lists.get(row).saturating_mul(TEXT_RATIO);
                    texts.saturating_add(counts.get(row).saturating_mul(between))
                }))
            }
            (Self::Range, _) => range_bound(arguments, rows),
            _ => Ok(0),
        }
    }
}

fn sum(rows: usize, of_row: impl Fn(usize) -> u64) -> u64 {
    (0..rows).fold(0u64, |sum, row| sum.saturating_add(of_row(row)))
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Returns the bytes of an argument over all rows.
fn all_bytes(argument: &ColumnarValue, rows: usize) -> Result<u64> {
    match argument {
        ColumnarValue::Array(array) => Ok(used_bytes(array) as u64),
        ColumnarValue::Scalar(_) => Ok(bytes(argument)?.get(0).saturating_mul(rows as u64)),
    }
}

/// Returns the bytes of the widest character that an argument may have.
fn char_bytes(text: &ColumnarValue) -> u64 {
    let is_ascii = match text {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten().is_none_or(str::is_ascii),
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().is_ascii(),
            DataType::LargeUtf8 => array.as_string::<i64>().is_ascii(),
            DataType::Utf8View => array.as_string_view().is_ascii(),
            _ => false,
        },
    };
    if is_ascii { 1 } else { MAX_CHAR_BYTES }
}

/// Returns the width of an element of a list, or of its place in the list.
fn element_width(list: &ColumnarValue) -> u64 {
    let element = match list.data_type() {
        DataType::List(element) | DataType::LargeList(element) => element.data_type().clone(),
        other => other,
    };
    element.primitive_width().map_or(4, |width| width as u64)
}

fn range_bound(arguments: &[ColumnarValue], rows: usize) -> Result<u64> {
    let (start, end, step) = match arguments {
        [end] => (None, end, None),
        [start, end] => (Some(start), end, None),
        [start, end, step, ..] => (Some(start), end, Some(step)),
        [] => return Ok(0),
    };
    let data_type = end.data_type();
    let Some(unit) = nanos_of_unit(&data_type) else {
        return Ok(0);
    };
    let width = if data_type.is_integer() || matches!(data_type, DataType::Timestamp(..)) {
        8
    } else {
        4
    };
    let ends = integers(end)?;
    let starts = match start {
        Some(start) => integers(start)?,
        None => PerRow::Same(0),
    };
    let steps = match step {
        Some(step) => step_lengths(step, rows)?,
        None => PerRow::Same(unit),
    };
    Ok(sum(rows, |row| {
        let length = (i128::from(ends.get(row)) - i128::from(starts.get(row))) * unit;
        let step = steps.get(row);
        if step == 0 || (length > 0) != (step > 0) {
            // DataFusion refuses a step of 0.
            return width;
        }
        let count = (length / step).unsigned_abs() + 1;
        u64::try_from(count).map_or(u64::MAX, |count| count.saturating_mul(width))
    }))
}

/// Returns the nanoseconds of the unit of a type, 1 for integers; `None` for types without a range.
fn nanos_of_unit(data_type: &DataType) -> Option<i128> {
    Some(match data_type {
        DataType::Date32 => NANOS_OF_A_DAY,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        integer if integer.is_integer() => 1,
        _ => return None,
    })
}

/// Returns the steps of a range, intervals as nanoseconds that they are not shorter than.
fn step_lengths(step: &ColumnarValue, rows: usize) -> Result<PerRow<i128>> {
    if !matches!(
        step.data_type(),
        DataType::Interval(IntervalUnit::MonthDayNano)
    ) {
        return Ok(match integers(step)? {
            PerRow::Same(step) => PerRow::Same(i128::from(step)),
            PerRow::Each(steps) => PerRow::Each(steps.into_iter().map(i128::from).collect()),
        });
    }
    let length = |months: i32, days: i32, nanos: i64| {
        let days = i128::from(months) * MIN_MONTH_DAYS + i128::from(days);
        days * NANOS_OF_A_DAY + i128::from(nanos)
    };
    if let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(step)) = step {
        return Ok(PerRow::Same(step.map_or(0, |step| {
            length(step.months, step.days, step.nanoseconds)
        })));
    }
    let array = step.to_array(rows)?;
    let steps = array.as_primitive::<IntervalMonthDayNanoType>().iter();
    let lengths =
        steps.map(|step| step.map_or(0, |step| length(step.months, step.days, step.nanoseconds)));
    Ok(PerRow::Each(lengths.collect()))
}
