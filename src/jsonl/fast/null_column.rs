//! Columns that are not selected.

use arrow::array::{ArrayRef, new_empty_array, new_null_array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use crate::jsonl::fast::column::ColumnDecoder;
use crate::jsonl::fast::skip::skip_value;

/// Skips the values of a column, which must be valid JSON. All rows of it are NULL.
pub(crate) struct NullColumn {
    data_type: DataType,
    /// The longest array so far. Shorter ones are slices of it.
    nulls: ArrayRef,
}

impl NullColumn {
    pub(crate) fn new(data_type: &DataType) -> Self {
        Self {
            data_type: data_type.clone(),
            nulls: new_empty_array(data_type),
        }
    }
}

impl ColumnDecoder for NullColumn {
    fn len(&self) -> usize {
        0
    }

    fn is_nullable(&self) -> bool {
        true
    }

    fn pad(&mut self, _: usize) {}

    fn read(&mut self, line: &[u8], at: usize, _: usize) -> Option<usize> {
        skip_value(line, at)
    }

    fn truncate(&mut self, _: usize) {}

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        if self.nulls.len() < rows {
            self.nulls = new_null_array(&self.data_type, rows);
        }
        Ok(self.nulls.slice(0, rows))
    }
}
