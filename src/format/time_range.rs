//! Checks that the times of rows can be written in every format: in the years 0001 to 9999.
//!
//! RFC 3339 has no other years, and readers of Parquet disagree about them. Both formats follow the one
//! rule, so that the same rows are published or refused whatever the format is.

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, PrimitiveArray, RecordBatch,
};
use arrow::compute::{max, min};
use arrow::datatypes::{
    ArrowNumericType, ArrowTimestampType, DataType, Date32Type, Date64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};

use crate::error::{Error, Result};

/// 0001-01-01, in days since 1970-01-01.
const FIRST_DAY: i64 = -719_162;

/// 9999-12-31, in days since 1970-01-01.
const LAST_DAY: i64 = 2_932_896;

const SECONDS_PER_DAY: i64 = 86_400;

/// Checks all dates and instants of a batch, also in structs and lists.
///
/// # Errors
/// [`Error::data`] that names the column of a time outside the years 0001 to 9999.
pub(super) fn check_times(batch: &RecordBatch) -> Result<()> {
    let fields = batch.schema_ref().fields();
    for (field, column) in fields.iter().zip(batch.columns()) {
        check_column(field.name(), column)?;
    }
    Ok(())
}

fn check_column(path: &str, column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Date32 => check_range::<Date32Type>(
            path,
            column.as_primitive(),
            FIRST_DAY as i32,
            LAST_DAY as i32,
        ),
        DataType::Date64 => {
            let (first, last) = instants_per_second(1_000);
            check_range::<Date64Type>(path, column.as_primitive(), first, last)
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            check_instants::<TimestampSecondType>(path, column, 1)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            check_instants::<TimestampMillisecondType>(path, column, 1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            check_instants::<TimestampMicrosecondType>(path, column, 1_000_000)
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
        // Nanoseconds count only the years 1677 to 2262.
        _ => Ok(()),
    }
}

/// Returns the elements of the lists of a column, without those of rows that were sliced off.
fn elements<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> ArrayRef {
    let offsets = lists.value_offsets();
    let bound = |offset: Option<&O>| offset.map_or(0, |offset| offset.as_usize());
    let (start, end) = (bound(offsets.first()), bound(offsets.last()));
    lists.values().slice(start, end - start)
}

/// Returns the first and the last instant of the years 0001 to 9999, in units of which a second has
/// `units`.
fn instants_per_second(units: i64) -> (i64, i64) {
    let first = FIRST_DAY * SECONDS_PER_DAY * units;
    (first, (LAST_DAY + 1) * SECONDS_PER_DAY * units - 1)
}

fn check_instants<T: ArrowTimestampType>(path: &str, column: &ArrayRef, units: i64) -> Result<()> {
    let (first, last) = instants_per_second(units);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, ListArray, StructArray, TimestampMicrosecondArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn check(column: ArrayRef) -> Option<String> {
        let batch = RecordBatch::try_from_iter_with_nullable([("v", column, true)]).unwrap();
        check_times(&batch).err().map(|error| error.to_string())
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
