//! Sizes of the arguments of a function, row by row.

use datafusion::arrow::array::{Array, AsArray, Int64Array, OffsetSizeTrait};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::view_gc::used_bytes;

/// One number for each row: a constant for all, or a number of its own for each.
pub(super) enum PerRow<T> {
    Same(T),
    Each(Vec<T>),
}

impl<T: Copy + Default> PerRow<T> {
    /// Returns the number of a row.
    pub(super) fn get(&self, row: usize) -> T {
        match self {
            Self::Same(number) => *number,
            Self::Each(numbers) => numbers.get(row).copied().unwrap_or_default(),
        }
    }
}

/// Returns what `of_array` gives for each row of an argument.
fn per_row<T: Copy + Default>(
    argument: &ColumnarValue,
    of_array: impl Fn(&dyn Array) -> Result<Vec<T>>,
) -> Result<PerRow<T>> {
    Ok(match argument {
        ColumnarValue::Array(array) => PerRow::Each(of_array(array)?),
        ColumnarValue::Scalar(scalar) => {
            let value = of_array(&scalar.to_array()?)?;
            PerRow::Same(value.first().copied().unwrap_or_default())
        }
    })
}

/// Returns the bytes of each value of an argument; NULL has none.
pub(super) fn bytes(argument: &ColumnarValue) -> Result<PerRow<u64>> {
    per_row(argument, |array| Ok(array_bytes(array)))
}

/// Returns the number of elements of each list of an argument; those of other types have none.
pub(super) fn elements(argument: &ColumnarValue) -> Result<PerRow<u64>> {
    per_row(argument, |array| Ok(array_elements(array)))
}

/// Returns the values of an integer argument; NULL counts as 0. Timestamps and dates are those of their unit.
pub(super) fn integers(argument: &ColumnarValue) -> Result<PerRow<i64>> {
    per_row(argument, |array| {
        let numbers = match array.data_type() {
            // Days, as in the array.
            DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
            _ => cast(array, &DataType::Int64)?,
        };
        let numbers: &Int64Array = numbers.as_primitive::<Int64Type>();
        Ok(numbers.iter().map(Option::unwrap_or_default).collect())
    })
}

/// Returns the bytes of each value of an array; NULL has none.
pub(super) fn array_bytes(array: &dyn Array) -> Vec<u64> {
    let rows = || 0..array.len();
    let valid = |row: usize, bytes: usize| if array.is_valid(row) { bytes as u64 } else { 0 };
    match array.data_type() {
        DataType::Utf8 => text_bytes::<i32>(array),
        DataType::LargeUtf8 => text_bytes::<i64>(array),
        DataType::Utf8View => {
            let views = array.as_string_view().views();
            rows()
                .map(|row| valid(row, length_of_view(views[row])))
                .collect()
        }
        DataType::List(_) => list_bytes::<i32>(array),
        DataType::LargeList(_) => list_bytes::<i64>(array),
        DataType::Struct(_) => {
            let members: Vec<Vec<u64>> = array
                .as_struct()
                .columns()
                .iter()
                .map(|member| array_bytes(member))
                .collect();
            rows()
                .map(|row| members.iter().map(|member| member[row]).sum())
                .collect()
        }
        DataType::Null => vec![0; array.len()],
        other => match other.primitive_width() {
            Some(width) => vec![width as u64; array.len()],
            None if array.is_empty() => Vec::new(),
            None => {
                let total = used_bytes(array) as u64;
                vec![total.div_ceil(array.len() as u64); array.len()]
            }
        },
    }
}

fn text_bytes<O: OffsetSizeTrait>(array: &dyn Array) -> Vec<u64> {
    let values = array.as_string::<O>();
    (0..values.len())
        .map(|row| match values.is_valid(row) {
            true => values.value_length(row).as_usize() as u64,
            false => 0,
        })
        .collect()
}

fn list_bytes<O: OffsetSizeTrait>(array: &dyn Array) -> Vec<u64> {
    let lists = array.as_list::<O>();
    let elements = array_bytes(lists.values());
    let offsets = lists.value_offsets();
    offsets
        .windows(2)
        .map(|ends| {
            elements[ends[0].as_usize()..ends[1].as_usize()]
                .iter()
                .sum()
        })
        .collect()
}

fn array_elements(array: &dyn Array) -> Vec<u64> {
    match array.data_type() {
        DataType::List(_) => list_lengths::<i32>(array),
        DataType::LargeList(_) => list_lengths::<i64>(array),
        _ => vec![0; array.len()],
    }
}

fn list_lengths<O: OffsetSizeTrait>(array: &dyn Array) -> Vec<u64> {
    let lists = array.as_list::<O>();
    (0..lists.len())
        .map(|row| lists.value_length(row).as_usize() as u64)
        .collect()
}

/// Returns the length of the value of a view: its lower 32 bits.
fn length_of_view(view: u128) -> usize {
    (view & u128::from(u32::MAX)) as usize
}

/// Formats a size for an error.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..=0xf_ffff => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}
