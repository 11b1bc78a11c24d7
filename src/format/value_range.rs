//! Checks that the values of rows can be written in every format.
//!
//! Times must be in the years 0001 to 9999: RFC 3339 has no others, and readers of Parquet disagree
//! about them. Floats must be finite: JSON has no other numbers, and a NULL in their place would be
//! another value. Both formats follow the same rules, so that the same rows are published or refused
//! whatever the format is.

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, PrimitiveArray, RecordBatch,
    make_array,
};
use arrow::compute::{max, min};
use arrow::datatypes::{
    ArrowNumericType, ArrowTimestampType, DataType, Date32Type, Date64Type, Float16Type,
    Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampSecondType,
};

use crate::error::{Error, Result};
use crate::year_range::{days, instants, units_per_second};

/// Checks all dates, instants and floats of a batch, at every depth.
///
/// # Errors
/// [`Error::data`] that names the column of a time outside the years 0001 to 9999, or of a number
/// that is NaN or infinite.
pub(crate) fn check_values(batch: &RecordBatch) -> Result<()> {
    let fields = batch.schema_ref().fields();
    for (field, column) in fields.iter().zip(batch.columns()) {
        check_column(field.name(), column)?;
    }
    Ok(())
}

fn check_column(path: &str, column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Date32 => {
            let (first, last) = days();
            check_range::<Date32Type>(path, column.as_primitive(), first, last)
        }
        DataType::Date64 => {
            let (first, last) = instants(units_per_second(TimeUnit::Millisecond));
            check_range::<Date64Type>(path, column.as_primitive(), first, last)
        }
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => check_instants::<TimestampSecondType>(path, column, *unit),
            TimeUnit::Millisecond => {
                check_instants::<TimestampMillisecondType>(path, column, *unit)
            }
            TimeUnit::Microsecond => {
                check_instants::<TimestampMicrosecondType>(path, column, *unit)
            }
            // Nanoseconds count only the years 1677 to 2262.
            TimeUnit::Nanosecond => Ok(()),
        },
        DataType::Float64 => {
            check_finite::<Float64Type>(path, column.as_primitive(), f64::is_finite)
        }
        DataType::Float32 => {
            check_finite::<Float32Type>(path, column.as_primitive(), f32::is_finite)
        }
        DataType::Float16 => {
            check_finite::<Float16Type>(path, column.as_primitive(), |value| value.is_finite())
        }
        DataType::Struct(fields) => {
            let children = fields.iter().zip(column.as_struct().columns());
            for (field, child) in children {
                check_column(&format!("{path}.{}", field.name()), child)?;
            }
            Ok(())
        }
        DataType::List(_) => check_column(path, &elements(column.as_list::<i32>())),
        DataType::LargeList(_) => check_column(path, &elements(column.as_list::<i64>())),
        _ => {
            // Maps, dictionaries and rare kinds of lists, which only a query prints.
            for child in column.to_data().child_data() {
                check_column(path, &make_array(child.clone()))?;
            }
            Ok(())
        }
    }
}

/// Returns the elements of the lists of a column, without those of rows that were sliced off.
fn elements<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> ArrayRef {
    let offsets = lists.value_offsets();
    let bound = |offset: Option<&O>| offset.map_or(0, |offset| offset.as_usize());
    let (start, end) = (bound(offsets.first()), bound(offsets.last()));
    lists.values().slice(start, end - start)
}

fn check_instants<T: ArrowTimestampType>(
    path: &str,
    column: &ArrayRef,
    unit: TimeUnit,
) -> Result<()> {
    let (first, last) = instants(units_per_second(unit));
    check_range::<T>(path, column.as_primitive(), first, last)
}

fn check_range<T: ArrowNumericType>(
    path: &str,
    column: &PrimitiveArray<T>,
    first: T::Native,
    last: T::Native,
) -> Result<()> {
    let is_before = min(column).is_some_and(|min| min < first);
    let is_after = max(column).is_some_and(|max| max > last);
    if is_before || is_after {
        return Err(Error::data(format!(
            "column `{path}` has a time outside the years 0001 to 9999"
        ))
        .with_hint("check the unit of the source's column, or leave such rows out with WHERE"));
    }
    Ok(())
}

fn check_finite<T: ArrowNumericType>(
    path: &str,
    column: &PrimitiveArray<T>,
    is_finite: impl Fn(T::Native) -> bool,
) -> Result<()> {
    // Without a branch for each value: hardly any column has such a number.
    let all = |all, value: &T::Native| all & is_finite(*value);
    if column.values().iter().fold(true, all) || column.iter().flatten().all(&is_finite) {
        return Ok(());
    }
    Err(Error::data(format!(
        "column `{path}` has a number that is NaN or infinite"
    ))
    .with_hint(
        "JSON has no such number; replace it in the query, for example with \
         `CASE WHEN abs(x) < CAST('Infinity' AS DOUBLE) THEN x END`",
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Date32Array, Float32Array, Float64Array, ListArray, StructArray, TimestampMicrosecondArray,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn check(column: ArrayRef) -> Option<String> {
        let batch = RecordBatch::try_from_iter_with_nullable([("v", column, true)]).unwrap();
        check_values(&batch).err().map(|error| error.to_string())
    }

    fn days(days: &[Option<i32>]) -> ArrayRef {
        Arc::new(Date32Array::from(days.to_vec()))
    }

    #[test]
    fn the_first_and_the_last_time_are_accepted_and_no_other() {
        assert_eq!(check(days(&[Some(-719_162), Some(2_932_896), None])), None);
        for wrong in [-719_163, 2_932_897, i32::MAX, i32::MIN] {
            let error = check(days(&[Some(0), Some(wrong)])).unwrap();
            assert_eq!(
                error,
                "column `v` has a time outside the years 0001 to 9999"
            );
        }
        let last = 253_402_300_799_999_999;
        let micros =
            |value: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![value])) };
        assert_eq!(check(micros(last)), None);
        assert!(check(micros(last + 1)).is_some());
        assert!(check(micros(i64::MAX)).is_some());
        assert_eq!(check(micros(-62_135_596_800_000_000)), None);
        assert!(check(micros(-62_135_596_800_000_001)).is_some());
    }

    #[test]
    fn no_number_is_infinite_but_what_a_null_hides_does_not_count() {
        let doubles = |values: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
        assert_eq!(check(doubles(vec![0.0, -0.0, f64::MAX, f64::MIN])), None);
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = check(doubles(vec![1.0, wrong])).unwrap();
            assert_eq!(error, "column `v` has a number that is NaN or infinite");
        }
        let reals: ArrayRef = Arc::new(Float32Array::from(vec![f32::NAN]));
        assert!(check(reals).is_some());
        let nulls = Some(vec![true, false].into());
        let hidden = Float64Array::new(vec![1.0, f64::NAN].into(), nulls);
        assert_eq!(check(Arc::new(hidden)), None);
    }

    #[test]
    fn nested_times_are_checked_too() {
        let field = Arc::new(Field::new("day", DataType::Date32, true));
        let object: ArrayRef = Arc::new(StructArray::from(vec![(field, days(&[Some(i32::MAX)]))]));
        let item = Arc::new(Field::new("item", object.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([1]);
        let list: ArrayRef = Arc::new(ListArray::new(item, offsets, object, None));
        let error = check(list).unwrap();
        assert!(error.starts_with("column `v.day`"), "{error}");
    }
}
