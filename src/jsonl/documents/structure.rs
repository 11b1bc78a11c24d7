//! The end of an object or a list, found by its brackets outside of strings, a block at a time.
//!
//! The masks and the rule for escapes are those of simdjson (Langdale, Lemire: Parsing Gigabytes of
//! JSON per Second, 2019).

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "SSE2 intrinsics that load from a pointer are unsafe"
    )
)]

/// The number of bytes in a block: one for each bit of a mask.
const BLOCK: usize = 64;

/// The state of a search for the end of an object or a list, which may go on in the next piece of the
/// text.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// The number of brackets that are open.
    depth: usize,
    /// All bits are set if the text before is inside of a string, else none.
    in_string: u64,
    /// The lowest bit is set if the next byte is escaped.
    escaped: u64,
}

/// The bytes of a block that matter, as masks: bit n is byte n.
#[derive(Debug, Default, PartialEq, Eq)]
struct Masks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Structure {
    /// Returns the position in `text` after the bracket that closes the first one. The search begins at
    /// `at`, with the opening bracket or where the last piece of the text ended. Returns `None` if the
    /// bracket is not in this piece.
    pub(super) fn find_end(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let mut at = at;
        while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
            if let Some(end) = self.block(block, BLOCK) {
                return Some(at + end);
            }
            at += BLOCK;
        }
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let mut padded = [b' '; BLOCK];
        padded.get_mut(..rest.len())?.copy_from_slice(rest);
        self.block(&padded, rest.len()).map(|end| at + end)
    }

    /// Follows the first `length` bytes of a block; the others are spaces.
    #[inline(always)]
    fn block(&mut self, block: &[u8; BLOCK], length: usize) -> Option<usize> {
        let masks = masks(block);
        let escaped = self.escaped_bytes(masks.backslashes, length);
        let strings = prefix_xor(masks.quotes & !escaped) ^ self.in_string;
        self.in_string = 0_u64.wrapping_sub(strings >> (BLOCK - 1));
        let opening = masks.opening & !strings;
        let closing = masks.closing & !strings;
        let closed = closing.count_ones() as usize;
        if closed < self.depth {
            self.depth = self.depth + opening.count_ones() as usize - closed;
            return None;
        }
        let mut brackets = opening | closing;
        while brackets != 0 {
            let bit = brackets.trailing_zeros();
            brackets &= brackets - 1;
            if opening >> bit & 1 == 1 {
                self.depth += 1;
                continue;
            }
            self.depth = self.depth.saturating_sub(1);
            if self.depth == 0 {
                return Some(bit as usize + 1);
            }
        }
        None
    }

    /// Returns the mask of the bytes that a backslash before them escapes.
    #[inline(always)]
    fn escaped_bytes(&mut self, backslashes: u64, length: usize) -> u64 {
        const ODD_BITS: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let carried = self.escaped;
        if backslashes == 0 {
            self.escaped = 0;
            return carried;
        }
        // Of each run of backslashes, the first one, the third and so on escape the byte behind them.
        let potential = backslashes & !carried;
        let behind = potential << 1 | ODD_BITS;
        let escapes_and_ends = behind.wrapping_sub(potential) ^ ODD_BITS;
        let escaped = escapes_and_ends ^ (backslashes | carried);
        let escapes = escapes_and_ends & backslashes;
        self.escaped = escapes >> (length - 1) & 1;
        escaped
    }
}

/// Returns a mask whose bit n is the exclusive or of the bits up to n.
#[inline(always)]
fn prefix_xor(bits: u64) -> u64 {
    let bits = bits ^ bits << 1;
    let bits = bits ^ bits << 2;
    let bits = bits ^ bits << 4;
    let bits = bits ^ bits << 8;
    let bits = bits ^ bits << 16;
    bits ^ bits << 32
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn masks(block: &[u8; BLOCK]) -> Masks {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    let mut masks = Masks::default();
    for part in 0..BLOCK / 16 {
        // SAFETY: every x86-64 processor has SSE2. The load is 16 bytes within the block and needs no
        // alignment.
        unsafe {
            let text = _mm_loadu_si128(block.as_ptr().add(part * 16).cast());
            let is = |text: __m128i, byte: u8| {
                let equal = _mm_cmpeq_epi8(text, _mm_set1_epi8(byte.cast_signed()));
                u64::from(_mm_movemask_epi8(equal).cast_unsigned()) << (part * 16)
            };
            // The bit is all that `[` differs from `{` by, and `]` from `}`.
            let folded = _mm_or_si128(text, _mm_set1_epi8(0x20));
            masks.quotes |= is(text, b'"');
            masks.backslashes |= is(text, b'\\');
            masks.opening |= is(folded, b'{');
            masks.closing |= is(folded, b'}');
        }
    }
    masks
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn masks(block: &[u8; BLOCK]) -> Masks {
    portable_masks(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable_masks(block: &[u8; BLOCK]) -> Masks {
    let mut masks = Masks::default();
    for (index, byte) in block.iter().enumerate() {
        let bit = 1 << index;
        match byte {
            b'"' => masks.quotes |= bit,
            b'\\' => masks.backslashes |= bit,
            b'{' | b'[' => masks.opening |= bit,
            b'}' | b']' => masks.closing |= bit,
            _ => {}
        }
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds the end byte by byte. A backslash outside of a string, which is no JSON, escapes quotes only.
    fn plain_end(text: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut is_escaped) = (0, false, false);
        for (index, byte) in text.iter().enumerate() {
            let was_escaped = std::mem::take(&mut is_escaped);
            match byte {
                b'\\' => is_escaped = !was_escaped,
                b'"' if was_escaped => {}
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Returns pseudo-random bytes of few kinds, most of which matter.
    fn random_text(seed: &mut u64, length: usize) -> Vec<u8> {
        let mut text = vec![b'{'];
        let next = |_| {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            let kinds = b"\"\"\"\\\\\\\\{[]}  aaaaaa\xC3\xDB\xDD\xFB\xFD;|\x02\n";
            kinds[usize::try_from(*seed >> 32).unwrap() % kinds.len()]
        };
        text.extend((1..length).map(next));
        text
    }

    #[test]
    fn each_byte_is_told_from_all_others() {
        for byte in 0..=u8::MAX {
            let mut block = [b'a'; BLOCK];
            block[37] = byte;
            assert_eq!(masks(&block), portable_masks(&block), "{byte:#x}");
        }
    }

    #[test]
    fn ends_are_those_of_a_plain_search_wherever_the_text_is_cut() {
        let mut seed = 0x9E37_79B9_7F4A_7C15;
        for round in 0..3000 {
            let text = random_text(&mut seed, 1 + round % 200);
            let expected = plain_end(&text);
            assert_eq!(Structure::default().find_end(&text, 0), expected);
            for cut in 1..text.len() {
                let mut structure = Structure::default();
                let (first, second) = text.split_at(cut);
                let in_first = structure.find_end(first, 0);
                let end = in_first.or_else(|| {
                    let end = structure.find_end(second, 0)?;
                    Some(cut + end)
                });
                assert_eq!(end, expected, "cut at {cut}: {:?}", text.escape_ascii());
            }
        }
    }
}
