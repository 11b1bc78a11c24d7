//! Numbers of a file as those of another type, none of which changes its value.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type,
};
use datafusion::arrow::error::ArrowError;

/// Casts with NULL in place of what does not fit.
const NULL_IF_UNFIT: CastOptions<'static> = CastOptions {
    safe: true,
    format_options: datafusion::arrow::util::display::FormatOptions::new(),
};

/// A cast array, or the index of the first value that the cast would change.
pub(super) type Cast = Result<Result<ArrayRef, usize>, ArrowError>;

/// Returns true if every number of `from` is one of `to`, so that a cast changes none.
pub(super) fn is_widening(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Decimal128, Float16, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32,
        UInt64,
    };
    match (from, to) {
        (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
        | (Int16, Int32 | Int64 | Float32 | Float64)
        | (Int32, Int64 | Float64)
        | (UInt8, UInt16 | UInt32 | UInt64 | Int16 | Int32 | Int64 | Float32 | Float64)
        | (UInt16, UInt32 | UInt64 | Int32 | Int64 | Float32 | Float64)
        | (UInt32, UInt64 | Int64 | Float64)
        | (Float16, Float32 | Float64)
        | (Float32, Float64) => true,
        (Decimal128(precision, scale), Decimal128(to_precision, to_scale)) => {
            let digits = |precision: &u8, scale: &i8| i16::from(*precision) - i16::from(*scale);
            to_scale >= scale && digits(to_precision, to_scale) >= digits(precision, scale)
        }
        _ => false,
    }
}

/// Casts numbers, each of which is exactly the same afterwards.
pub(super) fn round_trip(array: &ArrayRef, to: &DataType) -> Cast {
    let cast = cast_with_options(array, to, &NULL_IF_UNFIT)?;
    let back = cast_with_options(&cast, array.data_type(), &NULL_IF_UNFIT)?;
    let differs = distinct(array, &back)?;
    let different = differs.values().set_indices();
    let mut changed = different.filter(|index| !is_zero(array, *index) || !is_zero(&back, *index));
    Ok(match changed.next() {
        Some(index) => Err(index),
        None => Ok(cast),
    })
}

/// Casts floats to narrower ones: the nearest number is taken, but none becomes infinite.
pub(super) fn nearest(array: &ArrayRef, to: &DataType) -> Cast {
    let cast = cast_with_options(array, to, &NULL_IF_UNFIT)?;
    let finite = |array: &ArrayRef, index: usize| match array.data_type() {
        DataType::Float16 => array.as_primitive::<Float16Type>().value(index).is_finite(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(index).is_finite(),
        _ => array.as_primitive::<Float64Type>().value(index).is_finite(),
    };
    let mut valid = (0..array.len()).filter(|index| array.is_valid(*index));
    let overflow = valid.find(|index| finite(array, *index) && !finite(&cast, *index));
    Ok(match overflow {
        Some(index) => Err(index),
        None => Ok(cast),
    })
}

/// Returns true if a value is 0 or -0 of a float: Arrow distinguishes the two, numbers do not.
fn is_zero(array: &ArrayRef, index: usize) -> bool {
    fn is<T: ArrowPrimitiveType>(array: &ArrayRef, index: usize, zero: T::Native) -> bool {
        array.is_valid(index) && array.as_primitive::<T>().value(index) == zero
    }
    match array.data_type() {
        DataType::Float16 => is::<Float16Type>(array, index, Default::default()),
        DataType::Float32 => is::<Float32Type>(array, index, 0.0),
        DataType::Float64 => is::<Float64Type>(array, index, 0.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Decimal128Array, Float64Array, Int64Array, UInt64Array};

    use super::*;

    fn first_changed(array: impl Array + 'static, to: DataType) -> Option<usize> {
        let array: ArrayRef = Arc::new(array);
        round_trip(&array, &to).unwrap().err()
    }

    #[test]
    fn whole_doubles_are_integers_and_no_others() {
        let doubles = |values: &[f64]| Float64Array::from(values.to_vec());
        let whole = [1.0, -1.0, -0.0, 9_007_199_254_740_992.0];
        assert_eq!(first_changed(doubles(&whole), DataType::Int64), None);
        for wrong in [1.5, f64::NAN, f64::INFINITY, 9.3e18, -1e300] {
            let array = doubles(&[2.0, wrong]);
            assert_eq!(first_changed(array, DataType::Int64), Some(1), "{wrong}");
        }
    }

    #[test]
    fn decimals_keep_all_their_digits() {
        let decimals = |value: i128| {
            let array = Decimal128Array::from(vec![None, Some(value)]);
            array.with_precision_and_scale(10, 2).unwrap()
        };
        assert_eq!(
            first_changed(decimals(150), DataType::Decimal128(10, 1)),
            None
        );
        assert_eq!(
            first_changed(decimals(155), DataType::Decimal128(10, 1)),
            Some(1)
        );
        assert_eq!(
            first_changed(decimals(99_999), DataType::Decimal128(4, 2)),
            Some(1)
        );
        assert_eq!(first_changed(decimals(200), DataType::Int64), None);
        assert_eq!(first_changed(decimals(201), DataType::Int64), Some(1));
        assert_eq!(first_changed(decimals(10), DataType::Float64), None);
    }

    #[test]
    fn doubles_are_decimals_if_these_are_read_as_the_same_double() {
        let one = |value: f64| Float64Array::from(vec![value]);
        let decimal = DataType::Decimal128(12, 2);
        assert_eq!(first_changed(one(0.1), decimal.clone()), None);
        assert_eq!(first_changed(one(1_234_567.89), decimal.clone()), None);
        assert_eq!(first_changed(one(0.125), decimal.clone()), Some(0));
        assert_eq!(first_changed(one(1e300), decimal), Some(0));
    }

    #[test]
    fn integers_that_a_double_would_round_are_found() {
        let one = |value: i64| Int64Array::from(vec![value]);
        assert_eq!(first_changed(one(1 << 53), DataType::Float64), None);
        assert_eq!(
            first_changed(one((1 << 53) + 1), DataType::Float64),
            Some(0)
        );
        assert_eq!(first_changed(one(i64::MAX), DataType::Float64), Some(0));
        assert_eq!(first_changed(one(300), DataType::Int8), Some(0));
        let large = UInt64Array::from(vec![u64::MAX]);
        assert_eq!(first_changed(large, DataType::Int64), Some(0));
    }

    #[test]
    fn no_double_becomes_infinite() {
        let array = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
        let real = DataType::Float32;
        for kept in [0.1, 1e-300, f64::NAN, f64::INFINITY] {
            assert!(nearest(&array(kept), &real).unwrap().is_ok(), "{kept}");
        }
        assert_eq!(nearest(&array(1e300), &real).unwrap().err(), Some(0));
    }
}
