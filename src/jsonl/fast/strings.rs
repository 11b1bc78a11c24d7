//! Columns of offset strings.

#![expect(
    unsafe_code,
    reason = "a second UTF-8 check of all text costs about as much as copying it"
)]

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, GenericStringArray, OffsetSizeTrait};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::error::ArrowError;

use crate::jsonl::fast::column::ColumnDecoder;
use crate::jsonl::fast::scan::byte;
use crate::jsonl::fast::string_arena::StringArena;

/// Decodes a column of type `Utf8` or `LargeUtf8`.
pub(crate) struct StringColumn<O> {
    text: StringArena,
    /// A zero, then the end of each row in the text.
    offsets: Vec<O>,
    validity: NullBufferBuilder,
    nullable: bool,
}

impl<O: OffsetSizeTrait> StringColumn<O> {
    pub(crate) fn new(nullable: bool) -> Self {
        Self {
            text: StringArena::default(),
            offsets: vec![O::zero()],
            validity: NullBufferBuilder::new(0),
            nullable,
        }
    }

    fn end(&self) -> O {
        self.offsets.last().copied().unwrap_or_default()
    }
}

impl<O: OffsetSizeTrait> ColumnDecoder for StringColumn<O> {
    #[inline(always)]
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
        if byte(line, at) != b'"' {
            return self.read_null(line, at, row);
        }
        self.claim(row)?;
        let end = self.text.append(line, at + 1)?;
        self.offsets.push(O::from_usize(self.text.len())?);
        self.validity.append_non_null();
        Some(end)
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.validity.truncate(rows);
        self.text.truncate(self.end().as_usize());
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        let next = Vec::with_capacity(self.offsets.len());
        let ends = std::mem::replace(&mut self.offsets, next);
        self.offsets.push(O::zero());
        let offsets = OffsetBuffer::new(ends.into());
        let text = Buffer::from_vec(self.text.take());
        let nulls = self.validity.finish();
        // SAFETY: the offsets rise from 0 to the length of the text, and each is the end of a
        // string that was read from a line of UTF-8 between two ASCII quotes, with its escapes
        // decoded to whole characters: every value is UTF-8. Validity has a bit for each row.
        // Validating the text again would cost about as much as copying it did.
        let strings = unsafe { GenericStringArray::new_unchecked(offsets, text, nulls) };
        Ok(Arc::new(strings))
    }
}
