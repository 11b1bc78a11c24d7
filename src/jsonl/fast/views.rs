//! Columns of string views.

#![expect(
    unsafe_code,
    reason = "a second UTF-8 check of all text costs about as much as copying it"
)]

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, ByteView, StringViewArray};
use arrow::buffer::Buffer;
use arrow::error::ArrowError;

use crate::jsonl::fast::column::ColumnDecoder;
use crate::jsonl::fast::scan::byte;
use crate::jsonl::fast::string_arena::StringArena;

/// The maximum length of strings that are stored in the view itself, in bytes.
const MAX_INLINE_BYTES: usize = 12;

/// Decodes a column of type `Utf8View`. The text of all its strings is in one buffer.
pub(crate) struct StringViewColumn {
    /// The text of the strings that are too long for their view.
    text: StringArena,
    views: Vec<u128>,
    validity: NullBufferBuilder,
    nullable: bool,
}

impl StringViewColumn {
    pub(crate) fn new(nullable: bool) -> Self {
        Self {
            text: StringArena::default(),
            views: Vec::new(),
            validity: NullBufferBuilder::new(0),
            nullable,
        }
    }

    /// Creates the view of the text from `start` on. Text that fits into the view is removed from
    /// the buffer.
    #[inline(always)]
    fn view(&mut self, start: usize) -> Option<u128> {
        let length = self.text.len() - start;
        let head = u128::from_le_bytes(*self.text.block(start)?);
        if length <= MAX_INLINE_BYTES {
            self.text.truncate(start);
            let bits = head & ((1 << (8 * length)) - 1);
            return Some(bits << 32 | length as u128);
        }
        let view = ByteView {
            length: u32::try_from(length).ok()?,
            prefix: head as u32,
            buffer_index: 0,
            offset: u32::try_from(start).ok()?,
        };
        Some(view.as_u128())
    }
}

impl ColumnDecoder for StringViewColumn {
    #[inline(always)]
    fn len(&self) -> usize {
        self.views.len()
    }

    fn is_nullable(&self) -> bool {
        self.nullable
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing > 0 {
            self.views.resize(rows, 0);
            self.validity.append_n_nulls(missing);
        }
    }

    fn read(&mut self, line: &[u8], at: usize, row: usize) -> Option<usize> {
        if byte(line, at) != b'"' {
            return self.read_null(line, at, row);
        }
        self.claim(row)?;
        let start = self.text.len();
        let Some(end) = self.text.append(line, at + 1) else {
            self.text.truncate(start);
            return None;
        };
        let view = self.view(start)?;
        self.views.push(view);
        self.validity.append_non_null();
        Some(end)
    }

    /// Removes rows. The text of the removed rows stays in the buffer.
    fn truncate(&mut self, rows: usize) {
        self.views.truncate(rows);
        self.validity.truncate(rows);
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        let next = Vec::with_capacity(rows);
        let views = std::mem::replace(&mut self.views, next);
        let text = Buffer::from_vec(self.text.take());
        let nulls = self.validity.finish();
        let buffers = if text.is_empty() { vec![] } else { vec![text] };
        // SAFETY: each view was made by `view` of a string that was read from a line of UTF-8
        // between two ASCII quotes, with its escapes decoded to whole characters, or is 0 for a
        // NULL. Strings longer than 12 bytes are in the one buffer, and only text after them is
        // ever removed from it. Validity has a bit for each row.
        let strings = unsafe { StringViewArray::new_unchecked(views.into(), buffers, nulls) };
        Ok(Arc::new(strings))
    }
}
