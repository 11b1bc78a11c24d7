//! Writes one block of a stream, by the shortest of the three methods (RFC 1951 §3.2.3).

use super::bits::{BitWriter, PartialByte};
use super::header::Header;
use super::huffman::{code_lengths, codes};
use super::symbols::{
    DISTANCES, END_OF_BLOCK, FIRST_LENGTH, LENGTH_EXTRA, LENGTHS, LITERALS_AND_LENGTHS,
    coded_distance, distance_extra, length_index,
};
use super::tokens::{Sequence, Tokens};

/// The maximum bits of the code of a literal or length. One bit less than allowed costs next to
/// nothing, and four literals fit between two flushes.
const MAX_LITERAL_BITS: usize = 14;
/// The maximum bits of the code of a distance.
const MAX_DISTANCE_BITS: usize = 15;
/// The number of literals that are added between two flushes.
const LITERALS_PER_FLUSH: usize = 4;
const _: () = assert!(LITERALS_PER_FLUSH * MAX_LITERAL_BITS <= BitWriter::ROOM as usize);
const _: () = assert!(MAX_LITERAL_BITS + 5 + MAX_DISTANCE_BITS + 13 <= BitWriter::ROOM as usize);
/// The maximum bytes of a stored block.
const MAX_STORED: usize = 65_535;

/// The masks that keep the first 0 to 3 of three literals; a table, as comparisons would compile to
/// branches.
static FIRST: [[u32; LITERALS_PER_FLUSH - 1]; LITERALS_PER_FLUSH] =
    [[0, 0, 0], [!0, 0, 0], [!0, !0, 0], [!0, !0, !0]];

/// Bits and their number in one word: one load for each literal.
#[derive(Debug, Clone, Copy, Default)]
struct PackedBits(u32);

impl PackedBits {
    fn new(bits: u32, count: u32) -> Self {
        Self(bits | count << 24)
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        self.0 & 0xff_ffff
    }

    #[inline(always)]
    fn count(self) -> u32 {
        self.0 >> 24
    }

    #[inline(always)]
    fn add_to(self, bits: &mut BitWriter<'_>) {
        bits.add(self.bits(), self.count());
    }

    #[inline(always)]
    fn masked(self, mask: u32) -> Self {
        Self(self.0 & mask)
    }
}

/// The frequency of each symbol in a block.
struct Frequencies {
    literals: [u32; LITERALS_AND_LENGTHS],
    distances: [u32; DISTANCES],
}

impl Frequencies {
    /// Counts the symbols of a block.
    fn of(tokens: &Tokens) -> Self {
        // Neighbours are often equal; increments of one counter would depend on each other.
        let mut by_lane = [[0u32; 256]; 4];
        let (fours, rest) = tokens.literals().as_chunks::<4>();
        for four in fours {
            for (counts, literal) in by_lane.iter_mut().zip(four) {
                counts[usize::from(*literal)] += 1;
            }
        }
        let [counts, ..] = &mut by_lane;
        for literal in rest {
            counts[usize::from(*literal)] += 1;
        }
        let (mut by_length, mut by_distance) = ([0u32; 256], [0u32; 32]);
        for sequence in tokens.sequences() {
            by_length[usize::from(length_index(sequence.length))] += 1;
            let symbol = coded_distance(sequence.distance).symbol;
            by_distance[usize::from(symbol % 32)] += 1;
        }
        Self::sum(&by_lane, &by_length, &by_distance)
    }

    fn sum(by_lane: &[[u32; 256]; 4], by_length: &[u32; 256], by_distance: &[u32; 32]) -> Self {
        let mut literals = [0; LITERALS_AND_LENGTHS];
        for counts in by_lane {
            for (sum, count) in literals.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        if let Some(sum) = literals.get_mut(END_OF_BLOCK) {
            *sum = 1;
        }
        for (coded, count) in LENGTHS.iter().zip(by_length) {
            if let Some(sum) = literals.get_mut(FIRST_LENGTH + usize::from(coded.symbol)) {
                *sum += count;
            }
        }
        let mut distances = [0; DISTANCES];
        distances.copy_from_slice(&by_distance[..DISTANCES]);
        Self {
            literals,
            distances,
        }
    }
}

/// The bits of the codes of a block.
struct Lengths {
    literals: [u8; LITERALS_AND_LENGTHS],
    distances: [u8; DISTANCES],
}

impl Lengths {
    /// Returns the code lengths that are shortest for these frequencies.
    fn dynamic(frequencies: &Frequencies) -> Self {
        Self {
            literals: code_lengths(&frequencies.literals, MAX_LITERAL_BITS),
            distances: code_lengths(&frequencies.distances, MAX_DISTANCE_BITS),
        }
    }

    /// Returns the code lengths of fixed codes (RFC 1951 §3.2.6).
    fn fixed() -> Self {
        let literals = std::array::from_fn(|symbol| match symbol {
            0..144 => 8,
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        });
        Self {
            literals,
            distances: [5; DISTANCES],
        }
    }

    /// Returns the bits of all symbols of the block, with their extra bits.
    fn bits(&self, frequencies: &Frequencies) -> u64 {
        let no_extra = std::iter::repeat_n(&0, FIRST_LENGTH);
        let literal_extra = no_extra.chain(&LENGTH_EXTRA).map(|bits| u32::from(*bits));
        let literals = frequencies
            .literals
            .iter()
            .zip(&self.literals)
            .zip(literal_extra);
        let distance_extra = (0..).map(distance_extra);
        let distances = frequencies
            .distances
            .iter()
            .zip(&self.distances)
            .zip(distance_extra);
        let bits = |((frequency, length), extra): ((&u32, &u8), u32)| {
            u64::from(*frequency) * u64::from(u32::from(*length) + extra)
        };
        literals.map(bits).sum::<u64>() + distances.map(bits).sum::<u64>()
    }
}

/// The codes of a block, ready to be written.
struct Codes {
    literals: [PackedBits; 256],
    end: PackedBits,
    /// The codes with their extra bits, by [`length_index`].
    lengths: [PackedBits; 256],
    distances: [PackedBits; 32],
}

impl Codes {
    fn new(lengths: &Lengths) -> Self {
        let ready = |code: &u16, length: &u8| PackedBits::new(u32::from(*code), u32::from(*length));
        let codes_of_literals = codes(&lengths.literals);
        let mut all = codes_of_literals.iter().zip(&lengths.literals);
        let mut next = || {
            all.next()
                .map_or(PackedBits::default(), |(code, length)| ready(code, length))
        };
        let literals = std::array::from_fn(|_| next());
        let end = next();
        let by_symbol: [PackedBits; 29] = std::array::from_fn(|_| next());
        let lengths_ready = LENGTHS.map(|coded| {
            let code = by_symbol
                .get(usize::from(coded.symbol))
                .copied()
                .unwrap_or_default();
            let bits = code.bits() | u32::from(coded.extra) << code.count();
            PackedBits::new(bits, code.count() + u32::from(coded.extra_bits))
        });
        let mut distances = [PackedBits::default(); 32];
        let codes_of_distances = codes(&lengths.distances).into_iter().zip(lengths.distances);
        for (distance, (code, length)) in distances.iter_mut().zip(codes_of_distances) {
            *distance = ready(&code, &length);
        }
        Self {
            literals,
            end,
            lengths: lengths_ready,
            distances,
        }
    }

    fn write<'a>(&self, tokens: &Tokens, mut bits: BitWriter<'a>) -> BitWriter<'a> {
        let mut literals = tokens.padded_literals();
        let mut remaining = tokens.literals().len();
        for sequence in tokens.sequences() {
            let count = sequence.literals as usize;
            literals = self.write_literals(literals, count, &mut bits);
            remaining -= count;
            self.write_match(*sequence, &mut bits);
        }
        self.write_literals(literals, remaining, &mut bits);
        self.end.add_to(&mut bits);
        bits.flush();
        bits
    }

    /// Writes the first `count` literals; returns the others.
    #[inline(always)]
    fn write_literals<'a>(
        &self,
        mut literals: &'a [u8],
        mut count: usize,
        bits: &mut BitWriter<'_>,
    ) -> &'a [u8] {
        while count >= LITERALS_PER_FLUSH
            && let Some((four, rest)) = literals.split_first_chunk::<LITERALS_PER_FLUSH>()
        {
            for literal in four {
                self.literals[usize::from(*literal)].add_to(bits);
            }
            bits.flush();
            literals = rest;
            count -= LITERALS_PER_FLUSH;
        }
        // The number of remaining literals cannot be predicted, except 0: the mask needs no branch.
        if count > 0
            && let Some(three) = literals.first_chunk::<{ LITERALS_PER_FLUSH - 1 }>()
        {
            for (literal, mask) in three.iter().zip(FIRST[count % LITERALS_PER_FLUSH]) {
                self.literals[usize::from(*literal)]
                    .masked(mask)
                    .add_to(bits);
            }
            bits.flush();
        }
        literals.get(count..).unwrap_or_default()
    }

    #[inline(always)]
    fn write_match(&self, sequence: Sequence, bits: &mut BitWriter<'_>) {
        self.lengths[usize::from(length_index(sequence.length))].add_to(bits);
        let coded = coded_distance(sequence.distance);
        self.distances[usize::from(coded.symbol % 32)].add_to(bits);
        bits.add(coded.extra.into(), coded.extra_bits.into());
        bits.flush();
    }
}

/// Returns the bits of `text` in stored blocks, including the padding to the next byte.
fn stored_bits(text: &[u8], partial: PartialByte) -> u64 {
    let blocks = text.len().div_ceil(MAX_STORED).max(1) as u64;
    let to_byte = u64::from((partial.count + 3).wrapping_neg() % 8);
    3 + to_byte + 32 + (blocks - 1) * 40 + 8 * text.len() as u64
}

/// Appends a block of `text`, whose tokens are `tokens`, after the last bits of the block before.
pub(super) fn write(
    text: &[u8],
    tokens: &Tokens,
    is_last: bool,
    partial: PartialByte,
    out: &mut Vec<u8>,
) -> PartialByte {
    let frequencies = Frequencies::of(tokens);
    let dynamic = Lengths::dynamic(&frequencies);
    let header = Header::new(&dynamic.literals, &dynamic.distances);
    let dynamic_bits = 3 + header.bits() + dynamic.bits(&frequencies);
    let fixed = Lengths::fixed();
    let fixed_bits = 3 + fixed.bits(&frequencies);
    let coded_bits = dynamic_bits.min(fixed_bits);
    if stored_bits(text, partial) <= coded_bits {
        return write_stored(text, is_last, partial, out);
    }
    let start = out.len();
    let bytes = (u64::from(partial.count) + coded_bits).div_ceil(8) as usize;
    out.resize(start + bytes + BitWriter::SLACK, 0);
    let mut bits = BitWriter::new(out.get_mut(start..).unwrap_or_default(), partial);
    bits.add(is_last.into(), 1);
    if fixed_bits <= dynamic_bits {
        bits.add(1, 2);
        bits.flush();
        bits = Codes::new(&fixed).write(tokens, bits);
    } else {
        bits.add(2, 2);
        header.write(&mut bits);
        bits = Codes::new(&dynamic).write(tokens, bits);
    }
    let (written, next_partial) = bits.finish();
    out.truncate(start + written);
    next_partial
}

/// Appends `text` in stored blocks (RFC 1951 §3.2.4).
fn write_stored(
    text: &[u8],
    is_last: bool,
    mut partial: PartialByte,
    out: &mut Vec<u8>,
) -> PartialByte {
    let mut remaining = text;
    loop {
        let (stored, after) = remaining.split_at(remaining.len().min(MAX_STORED));
        let is_final = is_last && after.is_empty();
        // The type is 0, like the padding to the next byte.
        out.push(partial.bits | u8::from(is_final) << partial.count);
        if partial.count > 5 {
            out.push(0);
        }
        partial = PartialByte::default();
        let length = stored.len() as u16;
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(stored);
        remaining = after;
        if remaining.is_empty() {
            return partial;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(deflated: &[u8], length: usize) -> Vec<u8> {
        let mut inflated = vec![0; length];
        let read = libdeflater::Decompressor::new().deflate_decompress(deflated, &mut inflated);
        assert_eq!(read, Ok(length));
        inflated
    }

    /// Writes also matches that the matcher does not search for.
    #[test]
    fn matches_of_all_lengths_and_many_distances_are_written() {
        let mut text: Vec<u8> = (0..40_000u32)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        let mut tokens = Tokens::new();
        let mut recorder = tokens.record();
        for literal in &text {
            recorder.push(*literal);
        }
        let mut literals = text.len() as u32;
        for length in 3..=258u32 {
            for distance in [1, 2, 3, 4, 5, 6, 7, length, length * 97, 32_767, 32_768] {
                recorder.push_match(literals, 0, length, distance);
                for _ in 0..length {
                    text.push(text[text.len() - distance as usize]);
                }
                literals = distance % 9;
                for literal in 0..literals {
                    recorder.push(literal as u8);
                    text.push(literal as u8);
                }
            }
        }
        recorder.finish();
        for (bits, count) in [(0, 0), (1, 1), (0x55, 7)] {
            // The bits before belong to another block, which is cut off.
            let partial = PartialByte { bits, count };
            let mut deflated = Vec::new();
            let last = write(&text, &tokens, true, partial, &mut deflated);
            deflated.push(last.bits);
            let shifted: Vec<u8> = deflated
                .iter()
                .zip(deflated.iter().skip(1).chain([&0]))
                .map(|(byte, next)| ((u16::from(*next) << 8 | u16::from(*byte)) >> count) as u8)
                .collect();
            assert!(inflate(&shifted, text.len()) == text);
        }
    }

    #[test]
    fn stored_blocks_are_as_long_as_estimated() {
        let text: Vec<u8> = (0..200_000u32)
            .map(|n| (n.wrapping_mul(0x9e37_79b1) >> 13) as u8)
            .collect();
        for length in [0, 1, 65_534, 65_535, 65_536, 131_070, 131_071, 200_000] {
            for count in 0..8 {
                let (partial, stored) = (PartialByte { bits: 0, count }, &text[..length]);
                let mut deflated = Vec::new();
                assert_eq!(
                    write_stored(stored, true, partial, &mut deflated),
                    PartialByte::default()
                );
                let bits = 8 * deflated.len() as u64 - u64::from(count);
                assert_eq!(bits, stored_bits(stored, partial), "{length}, {count}");
            }
        }
    }
}
