//! Columns of lists.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, GenericListArray, OffsetSizeTrait};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;

use crate::jsonl::fast::column::ColumnDecoder;
use crate::jsonl::fast::scan::{byte, skip_space};

/// Decodes a column of type `List` or `LargeList`.
pub(crate) struct ListColumn<O> {
    element: FieldRef,
    elements: Box<dyn ColumnDecoder>,
    /// A zero, then the end of each row among the elements.
    offsets: Vec<O>,
    validity: NullBufferBuilder,
    nullable: bool,
}

impl<O: OffsetSizeTrait> ListColumn<O> {
    pub(crate) fn new(element: FieldRef, elements: Box<dyn ColumnDecoder>, nullable: bool) -> Self {
        Self {
            element,
            elements,
            offsets: vec![O::zero()],
            validity: NullBufferBuilder::new(0),
            nullable,
        }
    }

    fn end(&self) -> O {
        self.offsets.last().copied().unwrap_or_default()
    }
}

impl<O: OffsetSizeTrait> ColumnDecoder for ListColumn<O> {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn is_nullable(&self) -> bool {
        self.nullable
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing > 0 {
            self.offsets.resize(rows + 1, self.end());
            self.validity.append_n_nulls(missing);
        }
    }

    fn read(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        if byte(line, at) != b'[' {
            return self.read_null(line, at, row);
        }
        self.claim(row)?;
        let first = skip_space(line, at + 1);
        let end = match byte(line, first) {
            b']' => first + 1,
            _ => self.elements.read_list(line, first)?,
        };
        self.offsets.push(O::from_usize(self.elements.len())?);
        self.validity.append_non_null();
        Some(end)
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.validity.truncate(rows);
        self.elements.truncate(self.end().as_usize());
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        let elements = self.elements.finish(self.end().as_usize())?;
        let next = Vec::with_capacity(self.offsets.len());
        let offsets = std::mem::replace(&mut self.offsets, next);
        self.offsets.push(O::zero());
        let lists = GenericListArray::try_new(
            Arc::clone(&self.element),
            OffsetBuffer::new(offsets.into()),
            elements,
            self.validity.finish(),
        )?;
        Ok(Arc::new(lists))
    }
}
