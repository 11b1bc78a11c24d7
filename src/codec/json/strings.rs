//! Writes strings, escaped as JSON requires.

use std::ops::Range;

use arrow::array::{ByteView, GenericStringArray, OffsetSizeTrait, StringViewArray};
use arrow::buffer::Buffer;

use crate::codec::json::output_text::OutputText;

/// The bytes beyond a string that a search for the next byte to escape covers.
const SEARCH_AHEAD: usize = 4 << 10;

/// The bytes that are searched at once, so that the compiler makes vector instructions of it.
const STEP: usize = 64;

/// The bytes of a short string that are searched at once.
const SHORT_STEP: usize = 16;

/// The maximum length of a string that is stored in the view itself.
const MAX_INLINE: usize = 12;

const SPACES: u128 = u128::from_le_bytes([b' '; 16]);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Returns true for `"`, `\` and control characters; all other bytes are written as they are.
#[inline(always)]
fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Returns the index of the first byte of `bytes[range]` to escape, or the end of the range.
fn next_escaped(bytes: &[u8], range: Range<usize>) -> usize {
    let (mut at, end) = (range.start, range.end);
    let (steps, _) = bytes[range].as_chunks::<STEP>();
    for step in steps {
        if step
            .iter()
            .fold(0, |any, byte| any | u8::from(is_escaped(*byte)))
            != 0
        {
            break;
        }
        at += STEP;
    }
    let rest = &bytes[at..end];
    at + rest
        .iter()
        .position(|byte| is_escaped(*byte))
        .unwrap_or(rest.len())
}

/// Writes the escape sequence of a byte (RFC 8259 §7), the short one if there is one.
fn escape(byte: u8, text: &mut OutputText) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
            return text.push_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    text.push_slice(&[b'\\', short]);
}

/// Writes a whole string with both quotes.
pub(super) fn quoted(string: &str, text: &mut OutputText) {
    text.push_byte(b'"');
    escaped(string.as_bytes(), text);
    text.push_byte(b'"');
}

/// Writes a string without quotes.
fn escaped(bytes: &[u8], text: &mut OutputText) {
    let mut at = 0;
    loop {
        let stop = next_escaped(bytes, at..bytes.len());
        text.push_range(bytes, at, stop);
        let Some(byte) = bytes.get(stop) else {
            return;
        };
        escape(*byte, text);
        at = stop + 1;
    }
}

/// Writes a column of contiguous strings.
///
/// Most need no escape, so that the search for a byte to escape covers many strings at once; its
/// result is kept.
pub(super) struct ContiguousStrings<'a, O> {
    offsets: &'a [O],
    bytes: &'a [u8],
    /// A range of bytes without any to escape.
    plain: Range<usize>,
}

impl<'a, O: OffsetSizeTrait> ContiguousStrings<'a, O> {
    /// Borrows the strings of `array`.
    pub(super) fn new(array: &'a GenericStringArray<O>) -> Self {
        Self {
            offsets: array.value_offsets(),
            bytes: array.value_data(),
            plain: 0..0,
        }
    }

    /// Writes the string of a row and its closing quote.
    #[inline(always)]
    pub(super) fn write(&mut self, row: usize, text: &mut OutputText) {
        let (start, end) = (
            self.offsets[row].as_usize(),
            self.offsets[row + 1].as_usize(),
        );
        if start >= self.plain.start && end <= self.plain.end {
            text.push_range(self.bytes, start, end);
        } else {
            self.search(start, end, text);
        }
        text.push_byte(b'"');
    }

    #[inline(never)]
    fn search(&mut self, start: usize, end: usize, text: &mut OutputText) {
        let mut at = start;
        while at < end {
            if !self.plain.contains(&at) {
                let limit = (end + SEARCH_AHEAD).min(self.bytes.len());
                self.plain = at..next_escaped(self.bytes, at..limit);
            }
            let stop = self.plain.end.min(end);
            text.push_range(self.bytes, at, stop);
            at = stop;
            if at < end && is_escaped(self.bytes[at]) {
                escape(self.bytes[at], text);
                at += 1;
            }
        }
    }
}

/// Writes a column of string views.
pub(super) struct StringViews<'a> {
    views: &'a [u128],
    buffers: &'a [Buffer],
}

impl<'a> StringViews<'a> {
    /// Borrows the strings of `array`.
    pub(super) fn new(array: &'a StringViewArray) -> Self {
        Self {
            views: array.views(),
            buffers: array.data_buffers(),
        }
    }

    /// Writes the string of a row and its closing quote.
    #[inline(always)]
    pub(super) fn write(&self, row: usize, text: &mut OutputText) {
        let view = self.views[row];
        let len = view as u32 as usize;
        if len <= MAX_INLINE {
            // The string follows its length.
            let string = view >> 32;
            let bytes = string.to_le_bytes();
            // The rest becomes spaces, which need no escape.
            let spaced = string | SPACES << (8 * len);
            match any_escaped(&spaced.to_le_bytes()) {
                false => text.push_prefix(&bytes, len),
                true => escaped(&bytes[..len], text),
            }
        } else {
            let view = ByteView::from(view);
            let buffer = self.buffers[view.buffer_index as usize].as_slice();
            let start = view.offset as usize;
            match is_plain(&buffer[start..start + len]) {
                true => text.push_range(buffer, start, start + len),
                false => escaped(&buffer[start..start + len], text),
            }
        }
        text.push_byte(b'"');
    }
}

#[inline(always)]
fn any_escaped<const SIZE: usize>(bytes: &[u8; SIZE]) -> bool {
    bytes
        .iter()
        .fold(0, |any, byte| any | u8::from(is_escaped(*byte)))
        != 0
}

/// Returns true if no byte of at least 8 needs an escape.
#[inline(always)]
fn is_plain(bytes: &[u8]) -> bool {
    // The last step may overlap the one before it.
    let (steps, rest) = bytes.as_chunks::<SHORT_STEP>();
    let any = steps.iter().any(any_escaped);
    !any && (rest.is_empty()
        || match (
            bytes.last_chunk::<SHORT_STEP>(),
            bytes.first_chunk::<8>(),
            bytes.last_chunk::<8>(),
        ) {
            (Some(last), ..) => !any_escaped(last),
            (None, Some(first), Some(last)) => !any_escaped(first) && !any_escaped(last),
            _ => next_escaped(bytes, 0..bytes.len()) == bytes.len(),
        })
}
