//! The arena that holds the text of one column of strings.

use crate::jsonl::fast::escape::escape;
use crate::jsonl::fast::scan::{BLOCK, block, specials};
use memchr::memchr2;

/// The maximum length of strings that are copied while their end is searched, in bytes.
const MAX_SHORT_BYTES: usize = 4 * BLOCK;

/// The contiguous text of many strings.
#[derive(Default)]
pub(crate) struct StringArena {
    /// The text, then zeros, so that whole blocks can be copied.
    bytes: Vec<u8>,
    length: usize,
}

impl StringArena {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Returns the block of text from `start` on. Bytes after the end of the text are arbitrary.
    #[inline(always)]
    pub(crate) fn block(&self, start: usize) -> Option<&[u8; BLOCK]> {
        block(&self.bytes, start)
    }

    /// Appends the string whose opening quote is just before `at`, and returns the string's end.
    ///
    /// `line` must be UTF-8. If this returns `None`, a part of the string may have been appended.
    #[inline(always)]
    pub(crate) fn append(&mut self, line: &[u8], at: usize) -> Option<usize> {
        if self.bytes.len() < self.length + MAX_SHORT_BYTES {
            self.grow(MAX_SHORT_BYTES);
        }
        let space = self
            .bytes
            .get_mut(self.length..)?
            .first_chunk_mut::<MAX_SHORT_BYTES>()?;
        for (n, target) in space.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let Some(text) = block(line, at + n * BLOCK) else {
                break;
            };
            *target = *text;
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

    /// Appends any string: also a long one, one with escapes, or one near the end of the line.
    #[inline(never)]
    fn append_any(&mut self, line: &[u8], mut at: usize) -> Option<usize> {
        loop {
            let rest = line.get(at..)?;
            let (text, special) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
            // A string has to escape control characters.
            if text.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20 {
                return None;
            }
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
        let target = self.bytes.get_mut(self.length..self.length + text.len());
        if let Some(target) = target {
            target.copy_from_slice(text);
            self.length += text.len();
        }
    }

    /// Makes space for `more` bytes.
    #[cold]
    fn grow(&mut self, more: usize) {
        let doubled = self.bytes.len() * 2;
        self.bytes.resize(doubled.max(self.length + more), 0);
    }

    /// Takes the text out, and allocates an arena of about the same size for the next batch.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.length);
        self.bytes = vec![0; self.length + self.length / 8 + MAX_SHORT_BYTES];
        self.length = 0;
        bytes
    }
}
