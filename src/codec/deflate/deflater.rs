//! Compresses a text to a gzip member at the level that is made for lines of JSON.

use super::bits::PartialByte;
use super::block;
use super::matches::Matcher;
use super::tokens::Tokens;

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
