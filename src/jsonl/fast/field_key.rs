//! The key of a field in its usual form.

use crate::jsonl::fast::scan::{BLOCK, block};

/// The key `"name":`, without white space or escapes.
pub(crate) struct FieldKey {
    text: Vec<u8>,
    /// The first two blocks of the text, padded with zeros, and a mask of the bits that belong to
    /// the text. Comparing integers takes a fraction of the time of a call that compares slices.
    blocks: [(u128, u128); 2],
}

impl FieldKey {
    /// Creates the key of a field. Returns `None` if JSON has to escape a character of its name.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let is_escaped = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\');
        if name.bytes().any(is_escaped) {
            return None;
        }
        let text = format!("\"{name}\":").into_bytes();
        let padded = |start: usize, fill: fn(u8) -> u8| {
            let mut block = [0; BLOCK];
            for (to, from) in block.iter_mut().zip(text.iter().skip(start)) {
                *to = fill(*from);
            }
            u128::from_le_bytes(block)
        };
        let blocks = [0, BLOCK].map(|start| (padded(start, |byte| byte), padded(start, |_| 0xFF)));
        Some(Self { text, blocks })
    }

    /// Returns the name of the field.
    pub(crate) fn name(&self) -> &[u8] {
        let name = self.text.get(1..self.text.len() - 2);
        name.unwrap_or_default()
    }

    /// Returns the end of this key, if it begins at `at`.
    #[inline(always)]
    pub(crate) fn end(&self, line: &[u8], at: usize) -> Option<usize> {
        let [first, second] = self.blocks;
        let equal = |text: &[u8; BLOCK], (expected, mask): (u128, u128)| {
            u128::from_le_bytes(*text) & mask == expected
        };
        let length = self.text.len();
        let found = match block(line, at) {
            Some(text) if length <= BLOCK => equal(text, first),
            Some(text) if length <= 2 * BLOCK => match block(line, at + BLOCK) {
                Some(more) => equal(text, first) && equal(more, second),
                None => self.is_slice_at(line, at),
            },
            _ => self.is_slice_at(line, at),
        };
        found.then_some(at + length)
    }

    #[inline(never)]
    fn is_slice_at(&self, line: &[u8], at: usize) -> bool {
        line.get(at..at + self.text.len()) == Some(self.text.as_slice())
    }
}
