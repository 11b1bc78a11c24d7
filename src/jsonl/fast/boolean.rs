//! Columns of booleans.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::error::ArrowError;

use crate::jsonl::fast::column::ColumnDecoder;
use crate::jsonl::fast::skip::literal;

/// Decodes a column of type `Boolean`.
pub(crate) struct BooleanColumn {
    values: Vec<bool>,
    validity: NullBufferBuilder,
    nullable: bool,
}

impl BooleanColumn {
    pub(crate) fn new(nullable: bool) -> Self {
        Self {
            values: Vec::new(),
            validity: NullBufferBuilder::new(0),
            nullable,
        }
    }
}

impl ColumnDecoder for BooleanColumn {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn is_nullable(&self) -> bool {
        self.nullable
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing > 0 {
            self.values.resize(rows, false);
            self.validity.append_n_nulls(missing);
        }
    }

    fn read(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        let (value, end) = match line.get(at)? {
            b't' => (true, literal(line, at, b"true")?),
            b'f' => (false, literal(line, at, b"false")?),
            _ => return self.read_null(line, at, row),
        };
        self.claim(row)?;
        self.values.push(value);
        self.validity.append_non_null();
        Some(end)
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        let values = BooleanBuffer::from(self.values.as_slice());
        self.values.clear();
        Ok(Arc::new(BooleanArray::new(values, self.validity.finish())))
    }
}
