//! The cast of a query's columns to the types of an export.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, PrimitiveArray, StructArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, FieldRef, Fields, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

/// Casts a column. Instants are cut to microseconds toward the earlier one, before and after 1970
/// alike; Arrow's own cast would move those before 1970 to the later one, and to the next day.
///
/// # Errors
/// Fails on a value that the type cannot hold; it never becomes NULL.
pub(super) fn cast_column(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(_, _)) => {
            let micros: PrimitiveArray<TimestampMicrosecondType> = array
                .as_primitive::<TimestampNanosecondType>()
                .unary(|nanoseconds| nanoseconds.div_euclid(1000));
            let utc: ArrayRef = Arc::new(micros.with_timezone("UTC"));
            cast_by_arrow(&utc, to)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => cast_struct(array.as_struct(), fields),
        (DataType::List(_), DataType::List(item)) => cast_list::<i32>(array.as_list(), item),
        _ => cast_by_arrow(array, to),
    }
}

fn cast_struct(structs: &StructArray, fields: &Fields) -> Result<ArrayRef, ArrowError> {
    let columns = structs
        .columns()
        .iter()
        .zip(fields)
        .map(|(column, field)| cast_column(column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(
        Fields::clone(fields),
        columns,
        structs.nulls().cloned(),
        structs.len(),
    )?))
}

fn cast_list<O: OffsetSizeTrait>(
    lists: &GenericListArray<O>,
    item: &FieldRef,
) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(GenericListArray::<O>::try_new(
        Arc::clone(item),
        lists.offsets().clone(),
        cast_column(lists.values(), item.data_type())?,
        lists.nulls().cloned(),
    )?))
}

fn cast_by_arrow(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    cast_with_options(array, to, &options)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListArray, TimestampNanosecondArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn micros() -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    }

    fn nanoseconds() -> ArrayRef {
        let values = vec![Some(-1), Some(1), Some(-1_000), Some(1_999), None];
        Arc::new(TimestampNanosecondArray::from(values))
    }

    fn micros_of(array: &ArrayRef) -> Vec<Option<i64>> {
        let array = array.as_primitive::<TimestampMicrosecondType>();
        array.iter().collect()
    }

    const EXPECTED: [Option<i64>; 5] = [Some(-1), Some(0), Some(-1), Some(1), None];

    #[test]
    fn instants_are_cut_toward_the_earlier_one() {
        let cast = cast_column(&nanoseconds(), &micros()).unwrap();
        assert_eq!(cast.data_type(), &micros());
        assert_eq!(micros_of(&cast), EXPECTED);
    }

    #[test]
    fn instants_in_structs_and_lists_are_cut_alike() {
        let from = Field::new("at", nanoseconds().data_type().clone(), true);
        let item = Arc::new(Field::new("item", from.data_type().clone(), true));
        let list: ArrayRef = Arc::new(ListArray::new(
            item,
            OffsetBuffer::from_lengths([5]),
            nanoseconds(),
            None,
        ));
        let to = DataType::List(Arc::new(Field::new("element", micros(), true)));
        let cast = cast_column(&list, &to).unwrap();
        assert_eq!(micros_of(cast.as_list::<i32>().values()), EXPECTED);

        let structs: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(from), nanoseconds())]));
        let to = DataType::Struct(vec![Field::new("at", micros(), true)].into());
        let cast = cast_column(&structs, &to).unwrap();
        assert_eq!(micros_of(cast.as_struct().column(0)), EXPECTED);
    }
}
