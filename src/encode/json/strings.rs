//! Strings, escaped as JSON asks for.

use std::ops::Range;

use arrow::array::{ByteView, GenericStringArray, OffsetSizeTrait, StringViewArray};
use arrow::buffer::Buffer;

use crate::encode::json::text::Text;

/// How far a search for the next byte to escape goes beyond the string it is for, in bytes.
const AHEAD: usize = 4 << 10;

/// What is searched at once: the compiler makes vector instructions of it.
const STEP: usize = 64;

/// The same of a short string.
const SHORT_STEP: usize = 16;

/// Strings up to this length are in the view itself.
const INLINE: usize = 12;

const SPACES: u128 = u128::from_le_bytes([b' '; 16]);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// `"`, `\` and control characters; everything else stands for itself.
#[inline(always)]
fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// The first byte of `bytes[range]` that must be escaped, or the end of the range.
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

/// Spelled as RFC 8259 §7 has it, short where there is a short form.
fn escape(byte: u8, text: &mut Text) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
            return text.slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    text.slice(&[b'\\', short]);
}

/// A whole string that lies anywhere, with both quotes.
pub fn quoted(string: &str, text: &mut Text) {
    text.byte(b'"');
    escaped(string.as_bytes(), text);
    text.byte(b'"');
}

fn escaped(bytes: &[u8], text: &mut Text) {
    let mut at = 0;
    loop {
        let stop = next_escaped(bytes, at..bytes.len());
        text.part_of(bytes, at, stop);
        let Some(byte) = bytes.get(stop) else {
            return;
        };
        escape(*byte, text);
        at = stop + 1;
    }
}

/// A column of strings that lie one after the other. Most need no escape, and the search for those
/// that do goes over many strings at once: what it has found is remembered.
pub struct Strings<'a, O> {
    offsets: &'a [O],
    bytes: &'a [u8],
    /// No byte in here is escaped.
    plain: Range<usize>,
}

impl<'a, O: OffsetSizeTrait> Strings<'a, O> {
    pub fn new(array: &'a GenericStringArray<O>) -> Self {
        Self {
            offsets: array.value_offsets(),
            bytes: array.value_data(),
            plain: 0..0,
        }
    }

    /// The string of a row and its closing quote.
    #[inline(always)]
    pub fn write(&mut self, row: usize, text: &mut Text) {
        let (start, end) = (
            self.offsets[row].as_usize(),
            self.offsets[row + 1].as_usize(),
        );
        if start >= self.plain.start && end <= self.plain.end {
            text.part_of(self.bytes, start, end);
        } else {
            self.search(start, end, text);
        }
        text.byte(b'"');
    }

    #[inline(never)]
    fn search(&mut self, start: usize, end: usize, text: &mut Text) {
        let mut at = start;
        while at < end {
            if !self.plain.contains(&at) {
                let limit = (end + AHEAD).min(self.bytes.len());
                self.plain = at..next_escaped(self.bytes, at..limit);
            }
            let stop = self.plain.end.min(end);
            text.part_of(self.bytes, at, stop);
            at = stop;
            if at < end && is_escaped(self.bytes[at]) {
                escape(self.bytes[at], text);
                at += 1;
            }
        }
    }
}

/// A column of strings that lie anywhere.
pub struct Views<'a> {
    views: &'a [u128],
    buffers: &'a [Buffer],
}

impl<'a> Views<'a> {
    pub fn new(array: &'a StringViewArray) -> Self {
        Self {
            views: array.views(),
            buffers: array.data_buffers(),
        }
    }

    /// The string of a row and its closing quote.
    #[inline(always)]
    pub fn write(&self, row: usize, text: &mut Text) {
        let view = self.views[row];
        let len = view as u32 as usize;
        if len <= INLINE {
            // Behind its length.
            let string = view >> 32;
            let bytes = string.to_le_bytes();
            // Spaces behind the string, as they need no escape.
            let spaced = string | SPACES << (8 * len);
            match any_escaped(&spaced.to_le_bytes()) {
                false => text.start_of(&bytes, len),
                true => escaped(&bytes[..len], text),
            }
        } else {
            let view = ByteView::from(view);
            let buffer = self.buffers[view.buffer_index as usize].as_slice();
            let start = view.offset as usize;
            match is_plain(&buffer[start..start + len]) {
                true => text.part_of(buffer, start, start + len),
                false => escaped(&buffer[start..start + len], text),
            }
        }
        text.byte(b'"');
    }
}

#[inline(always)]
fn any_escaped<const SIZE: usize>(bytes: &[u8; SIZE]) -> bool {
    bytes
        .iter()
        .fold(0, |any, byte| any | u8::from(is_escaped(*byte)))
        != 0
}

/// Whether nothing needs an escape, of at least 8 bytes.
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
