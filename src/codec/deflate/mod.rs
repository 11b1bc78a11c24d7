//! DEFLATE (RFC 1951) in members of gzip (RFC 1952).
//!
//! ```text
//! text ─matches→ tokens: literals, matches ─block→ frequencies ─huffman→ codes ─bits→ member
//! ```
//!
//! Made for lines of JSON: at [`GzipLevel::default`] they compress to about the size of
//! libdeflate's level 4 in 0.6 of its time. Program code and the like, with many short matches,
//! takes a tenth more space. All other levels are libdeflate's.

mod bits;
mod block;
mod gzip;
mod header;
mod huffman;
mod matches;
mod symbols;
#[cfg(test)]
mod tests;
mod tokens;

pub use gzip::{GzipBlock, GzipLevel, GzipMember, GzipPool, MemoryGauge};

use bits::PartialByte;
use matches::Matcher;
use tokens::Tokens;

/// The gzip header: magic, method, no flags, no time, no extra flags, unknown system
/// (RFC 1952 §2.3).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The maximum bytes of text that the matcher sees at once, so that positions and distances fit
/// 32 bits.
const MAX_WINDOW_TEXT: usize = 1 << 30;

/// A DEFLATE compressor.
///
/// Takes about 770 KiB; reuse it. What it compressed before makes no difference.
pub struct Deflater {
    matcher: Matcher,
    tokens: Tokens,
}

/// Returns an array on the heap, for one that is too large for the stack.
fn boxed<T: Copy + Default, const N: usize>() -> Box<[T; N]> {
    let array = vec![T::default(); N].into_boxed_slice();
    array
        .try_into()
        .unwrap_or_else(|_| Box::new([T::default(); N]))
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflater {
    /// Creates a compressor.
    pub fn new() -> Self {
        Self {
            matcher: Matcher::new(),
            tokens: Tokens::new(),
        }
    }

    /// Appends a whole gzip member, which has neither name nor time, to `out`.
    pub fn gzip(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend(GZIP_HEADER);
        self.deflate(bytes, out);
        out.extend(libdeflater::crc32(bytes).to_le_bytes());
        // Modulo 2^32 (RFC 1952 §2.3.1).
        out.extend((bytes.len() as u32).to_le_bytes());
    }

    fn deflate(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut partial = PartialByte::default();
        let mut remaining = bytes;
        loop {
            let (text, after) = remaining.split_at(remaining.len().min(MAX_WINDOW_TEXT));
            partial = self.deflate_text(text, after.is_empty(), partial, out);
            remaining = after;
            if remaining.is_empty() {
                break;
            }
        }
        if partial.count > 0 {
            out.push(partial.bits);
        }
    }

    /// Appends at least one block; the last one ends the stream if the text `is_last`.
    fn deflate_text(
        &mut self,
        text: &[u8],
        is_last: bool,
        mut partial: PartialByte,
        out: &mut Vec<u8>,
    ) -> PartialByte {
        self.matcher.reset();
        let mut start = 0;
        loop {
            let end = self.matcher.tokenize(text, start, &mut self.tokens);
            let block_text = text.get(start as usize..end as usize).unwrap_or_default();
            let is_end = end as usize >= text.len();
            partial = block::write(block_text, &self.tokens, is_last && is_end, partial, out);
            if is_end {
                return partial;
            }
            start = end;
        }
    }
}
