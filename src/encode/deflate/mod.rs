//! DEFLATE (RFC 1951) in members of gzip (RFC 1952).
//!
//! ```text
//! text ─matches→ tokens: literals, matches ─block→ frequencies ─huffman→ codes ─bits→ member
//! ```
//!
//! Made for lines of JSON, which take about the space that they take with libdeflate's level 4 and
//! 0.6 of its time. Program code and the like, with many short matches, take a tenth more space.

mod bits;
mod block;
mod header;
mod huffman;
mod matches;
mod symbols;
#[cfg(test)]
mod tests;
mod tokens;

use bits::Rest;
use matches::Matcher;
use tokens::Tokens;

/// Magic, method, no flags, no time, no extra flags, unknown system (RFC 1952 §2.3).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Bytes in which matches are looked for, so that positions and distances fit 32 bits.
const MOST_AT_ONCE: usize = 1 << 30;

/// A compressor, which takes about 770 KiB and is worth to be used again. What it wrote before
/// makes no difference.
pub struct Deflater {
    matcher: Matcher,
    tokens: Tokens,
}

/// An array on the heap, where it is too large for the stack.
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
    pub fn new() -> Self {
        Self {
            matcher: Matcher::new(),
            tokens: Tokens::new(),
        }
    }

    /// Adds a whole member of gzip, which has neither name nor time, to `member`.
    pub fn gzip(&mut self, bytes: &[u8], member: &mut Vec<u8>) {
        member.extend(GZIP_HEADER);
        self.deflate(bytes, member);
        member.extend(libdeflater::crc32(bytes).to_le_bytes());
        // Modulo 2^32 (RFC 1952 §2.3.1).
        member.extend((bytes.len() as u32).to_le_bytes());
    }

    fn deflate(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        let mut rest = Rest::default();
        let mut left = bytes;
        loop {
            let (text, others) = left.split_at(left.len().min(MOST_AT_ONCE));
            rest = self.deflate_text(text, others.is_empty(), rest, to);
            left = others;
            if left.is_empty() {
                break;
            }
        }
        if rest.count > 0 {
            to.push(rest.bits);
        }
    }

    /// Adds blocks, at least one; the last of them ends the stream if the text `is_last`.
    fn deflate_text(&mut self, text: &[u8], is_last: bool, rest: Rest, to: &mut Vec<u8>) -> Rest {
        self.matcher.forget();
        let (mut start, mut rest) = (0, rest);
        loop {
            let end = self.matcher.cut(text, start, &mut self.tokens);
            let of_block = text.get(start as usize..end as usize).unwrap_or_default();
            let ends = end as usize >= text.len();
            rest = block::write(of_block, &self.tokens, is_last && ends, rest, to);
            if ends {
                return rest;
            }
            start = end;
        }
    }
}
