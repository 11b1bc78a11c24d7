//! Columns that nobody reads.

use datafusion::arrow::array::{ArrayRef, new_empty_array, new_null_array};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;

use crate::jsonl::fast::column::Column;
use crate::jsonl::fast::skip::skip_value;

/// A column whose values must be JSON, and which is NULL.
pub(crate) struct Unwanted {
    data_type: DataType,
    /// The longest array so far: the others are the beginning of it.
    nulls: ArrayRef,
}

impl Unwanted {
    pub(crate) fn new(data_type: &DataType) -> Self {
        Self {
            data_type: data_type.clone(),
            nulls: new_empty_array(data_type),
        }
    }
}

impl Column for Unwanted {
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
