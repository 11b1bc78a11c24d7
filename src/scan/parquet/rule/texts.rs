//! Bytes of a file as text: they must be UTF-8.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;

/// Returns the bytes as text, or the index of the first value that is none.
pub(super) fn text(array: &ArrayRef, to: &DataType) -> Result<Result<ArrayRef, usize>, ArrowError> {
    let bytes = match array.data_type() {
        // The reader does not look into bytes that the file does not declare as text.
        DataType::Utf8View => array.as_string_view().clone().to_binary_view(),
        DataType::BinaryView => array.as_binary_view().clone(),
        _ => {
            let binary = match array.data_type() {
                DataType::Utf8 => cast(array, &DataType::Binary)?,
                DataType::LargeUtf8 => cast(array, &DataType::LargeBinary)?,
                _ => ArrayRef::clone(array),
            };
            cast(&binary, &DataType::BinaryView)?
                .as_binary_view()
                .clone()
        }
    };
    if let Some(index) = first_invalid(&bytes) {
        return Ok(Err(index));
    }
    let text: ArrayRef = std::sync::Arc::new(bytes.to_string_view()?);
    cast(&text, to).map(Ok)
}

fn first_invalid(bytes: &BinaryViewArray) -> Option<usize> {
    let mut values = bytes.iter();
    values.position(|value| value.is_some_and(|value| std::str::from_utf8(value).is_err()))
}
