//! The key of a field as it stands in a line.

use crate::jsonl::fast::scan::{BLOCK, block};

/// `"name":`, the usual form of a key.
pub(crate) struct Key {
    text: Vec<u8>,
    /// The text of up to two blocks, zeros behind it, and which of their bits count. Comparing
    /// numbers takes a fraction of the time of a call that compares slices.
    blocks: [(u128, u128); 2],
}

impl Key {
    /// `None` for a name that is not written in JSON as it is.
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

    pub(crate) fn name(&self) -> &[u8] {
        let quoted = self.text.get(1..self.text.len() - 2);
        quoted.unwrap_or_default()
    }

    /// The end of this key, if it stands at `at`.
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
