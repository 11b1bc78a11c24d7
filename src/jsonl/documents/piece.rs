//! A piece of the text of documents, and the position in it.

use crate::jsonl::documents::found::{Break, Found};

/// The piece of the text that is parsed.
pub(super) struct Piece<'a> {
    pub(super) text: &'a [u8],
    /// The offset of the piece.
    pub(super) base: u64,
    /// The position in the piece.
    pub(super) at: usize,
    /// The records that were found.
    pub(super) found: &'a mut Vec<Found>,
}

impl Piece<'_> {
    /// Returns the offset of the position.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Returns the position of an offset in the piece; that of its start if the offset lies before it.
    pub(super) fn position_of(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }

    /// Moves to the next byte that is not white space, and returns it.
    pub(super) fn next_visible(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !is_space(*byte) {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Returns the break at the position.
    pub(super) fn invalid(&self, expected: &str) -> Break {
        Break {
            offset: self.offset(),
            reason: format!("{expected} is expected between the records here"),
            head: None,
        }
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
