//! Scanning of the bytes of a line, a block at a time.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "SSE2 intrinsics that load from a pointer are unsafe"
    )
)]

/// The number of bytes in a block.
pub(crate) const BLOCK: usize = 16;

/// Returns the block that begins at `at`, if the line is long enough.
#[inline(always)]
pub(crate) fn block(line: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    line.get(at..)?.first_chunk()
}

/// Returns a bit mask of the bytes of a block that are `"`, `\` or control characters, which a string
/// has to escape: bit n is byte n.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn specials(block: &[u8; BLOCK]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_xor_si128,
    };
    // SAFETY: every x86-64 processor has SSE2, and the load is as long as a block and needs no
    // alignment.
    unsafe {
        let text = _mm_loadu_si128(block.as_ptr().cast());
        // With bit 1 flipped, `"` is 0x20, and control characters are below it as before.
        let flipped = _mm_xor_si128(text, _mm_set1_epi8(2));
        let is_low = _mm_cmpeq_epi8(_mm_min_epu8(flipped, _mm_set1_epi8(0x20)), flipped);
        let escapes = _mm_cmpeq_epi8(text, _mm_set1_epi8(b'\\' as i8));
        _mm_movemask_epi8(_mm_or_si128(is_low, escapes)) as u32
    }
}

/// Returns a bit mask of the bytes of a block that are `"`, `\` or control characters, which a string
/// has to escape: bit n is byte n.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn specials(block: &[u8; BLOCK]) -> u32 {
    let special = |byte: &u8| u32::from(*byte == b'"' || *byte == b'\\' || *byte < 0x20);
    let bits = block.iter().enumerate();
    bits.fold(0, |bits, (n, byte)| bits | special(byte) << n)
}

/// Returns the first position from `at` on that is not white space.
///
/// No line contains a newline, but a record of a document may.
#[inline(always)]
pub(crate) fn skip_space(line: &[u8], at: usize) -> usize {
    match line.get(at) {
        Some(byte) if *byte <= b' ' => skip_more_space(line, at),
        _ => at,
    }
}

#[cold]
fn skip_more_space(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    at + rest.iter().take_while(is_space).count()
}

/// Returns the byte at `at`, or zero after the end of the line.
#[inline(always)]
pub(crate) fn byte(line: &[u8], at: usize) -> u8 {
    // No JSON token contains a zero byte.
    line.get(at).copied().unwrap_or_default()
}

/// Returns a string without escapes that begins at `at`, and its end.
pub(crate) fn plain_string(line: &[u8], at: usize) -> Option<(&str, usize)> {
    if byte(line, at) != b'"' {
        return None;
    }
    let rest = line.get(at + 1..)?;
    let is_special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    let length = rest.iter().position(is_special)?;
    if byte(rest, length) != b'"' {
        return None;
    }
    let text = str::from_utf8(rest.get(..length)?).ok()?;
    Some((text, at + length + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_control_characters_are_special() {
        for byte in 0..=u8::MAX {
            let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
            let mut block = [b'a'; BLOCK];
            block[5] = byte;
            assert_eq!(specials(&block), u32::from(is_special) << 5, "{byte:#x}");
        }
    }
}
