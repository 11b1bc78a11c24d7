//! Columns of string views.

use std::sync::Arc;

use datafusion::arrow::array::builder::NullBufferBuilder;
use datafusion::arrow::array::{ArrayRef, ByteView, StringViewArray};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::error::ArrowError;

use crate::jsonl::fast::column::Column;
use crate::jsonl::fast::scan::byte;
use crate::jsonl::fast::text::Text;

/// Strings up to this length are in the view itself.
const INLINE: usize = 12;

/// A column of type `Utf8View`. The text of all its strings is in one buffer.
pub(crate) struct StringViews {
    /// Of the strings that are not in their view.
    text: Text,
    views: Vec<u128>,
    validity: NullBufferBuilder,
    nullable: bool,
}

impl StringViews {
    pub(crate) fn new(nullable: bool) -> Self {
        Self {
            text: Text::default(),
            views: Vec::new(),
            validity: NullBufferBuilder::new(0),
            nullable,
        }
    }

    /// The view of the text from `start` on. Text that fits into it is taken off the buffer.
    #[inline(always)]
    fn view(&mut self, start: usize) -> Option<u128> {
        let length = self.text.len() - start;
        let head = u128::from_le_bytes(*self.text.block(start)?);
        if length <= INLINE {
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

impl Column for StringViews {
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

    /// The text of rows that are forgotten stays in the buffer.
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
        // between two ASCII quotes, escapes decoded to whole characters, or is 0 for a NULL. Those
        // that are longer than 12 bytes lie in the one buffer, from which only text behind them is
        // ever taken off. Validity has a bit for each row.
        let strings = unsafe { StringViewArray::new_unchecked(views.into(), buffers, nulls) };
        Ok(Arc::new(strings))
    }
}
