//! The text of one column of strings.

use crate::jsonl::fast::escape::escape;
use crate::jsonl::fast::scan::{BLOCK, block, specials};
use memchr::memchr2;

/// Strings up to this length are copied while their end is looked for.
const SHORT: usize = 4 * BLOCK;

/// Text of many strings one behind the other.
#[derive(Default)]
pub(crate) struct Text {
    /// Zeros behind the text, so that whole blocks can be copied.
    bytes: Vec<u8>,
    length: usize,
}

impl Text {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The text from `start` on, with whatever is behind it.
    #[inline(always)]
    pub(crate) fn block(&self, start: usize) -> Option<&[u8; BLOCK]> {
        block(&self.bytes, start)
    }

    /// Appends the string whose opening quote stands before `at`: its end.
    ///
    /// `line` must be UTF-8. Where this is `None`, a part of the string may have been appended.
    #[inline(always)]
    pub(crate) fn append(&mut self, line: &[u8], at: usize) -> Option<usize> {
        if self.bytes.len() < self.length + SHORT {
            self.grow(SHORT);
        }
        let room = self
            .bytes
            .get_mut(self.length..)?
            .first_chunk_mut::<SHORT>()?;
        for (n, room) in room.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let Some(text) = block(line, at + n * BLOCK) else {
                break;
            };
            *room = *text;
            let found = specials(text);
            if found != 0 {
                let length = n * BLOCK + found.trailing_zeros() as usize;
                if line.get(at + length) != Some(&b'"') {
                    break;
                }
                self.length += length;
                return Some(at + length + 1);
            }
        }
        self.append_any(line, at)
    }

    /// Also what is long, has escapes or is at the end of the line.
    #[inline(never)]
    fn append_any(&mut self, line: &[u8], at: usize) -> Option<usize> {
        let mut at = at;
        loop {
            let rest = line.get(at..)?;
            let (text, special) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
            self.push(text);
            at += text.len() + 1;
            if special.first() == Some(&b'"') {
                return Some(at);
            }
            let (character, end) = escape(line, at)?;
            self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
            at = end;
        }
    }

    fn push(&mut self, text: &[u8]) {
        if self.bytes.len() < self.length + text.len() {
            self.grow(text.len());
        }
        let room = self.bytes.get_mut(self.length..self.length + text.len());
        if let Some(room) = room {
            room.copy_from_slice(text);
            self.length += text.len();
        }
    }

    /// Makes room for `more` bytes.
    #[cold]
    fn grow(&mut self, more: usize) {
        let doubled = self.bytes.len() * 2;
        self.bytes.resize(doubled.max(self.length + more), 0);
    }

    /// The text, with as much room for the next.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.length);
        // Of the next chunk about as much is expected.
        self.bytes = vec![0; self.length + self.length / 8 + SHORT];
        self.length = 0;
        bytes
    }
}
