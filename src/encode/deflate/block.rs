//! One block of a stream, in the shortest of the three ways to write it (RFC 1951 §3.2.3).

use super::bits::{BitWriter, Rest};
use super::header::Header;
use super::huffman::{code_lengths, codes};
use super::symbols::{
    DISTANCES, END_OF_BLOCK, FIRST_LENGTH, LENGTH_EXTRA, LENGTHS, LITERALS_AND_LENGTHS,
    coded_distance, distance_extra, place,
};
use super::tokens::{Sequence, Tokens};

/// The longest code of a literal or length. One bit less than allowed costs next to nothing, and
/// four literals fit between two flushes.
const LITERAL_LIMIT: usize = 14;
const DISTANCE_LIMIT: usize = 15;
const LITERALS_A_FLUSH: usize = 4;
const _: () = assert!(LITERALS_A_FLUSH * LITERAL_LIMIT <= BitWriter::ROOM as usize);
const _: () = assert!(LITERAL_LIMIT + 5 + DISTANCE_LIMIT + 13 <= BitWriter::ROOM as usize);
/// The most bytes of a stored block.
const MOST_STORED: usize = 65_535;

/// Masks for the first so many of three; a table, as the compiler would make branches of
/// comparisons.
static FIRST: [[u32; LITERALS_A_FLUSH - 1]; LITERALS_A_FLUSH] =
    [[0, 0, 0], [!0, 0, 0], [!0, !0, 0], [!0, !0, !0]];

/// Bits and how many there are, in one word: one load for each literal.
#[derive(Debug, Clone, Copy, Default)]
struct Ready(u32);

impl Ready {
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

/// How often each symbol occurs.
struct Frequencies {
    literals: [u32; LITERALS_AND_LENGTHS],
    distances: [u32; DISTANCES],
}

impl Frequencies {
    fn of(tokens: &Tokens) -> Self {
        // Neighbours are often alike; counts of one place would wait for each other.
        let mut by_place = [[0u32; 256]; 4];
        let (fours, rest) = tokens.literals().as_chunks::<4>();
        for four in fours {
            for (counts, literal) in by_place.iter_mut().zip(four) {
                counts[usize::from(*literal)] += 1;
            }
        }
        let [counts, ..] = &mut by_place;
        for literal in rest {
            counts[usize::from(*literal)] += 1;
        }
        let (mut by_length, mut by_distance) = ([0u32; 256], [0u32; 32]);
        for sequence in tokens.sequences() {
            by_length[usize::from(place(sequence.length))] += 1;
            let symbol = coded_distance(sequence.distance).symbol;
            by_distance[usize::from(symbol % 32)] += 1;
        }
        Self::sum(&by_place, &by_length, &by_distance)
    }
}

impl Frequencies {
    fn sum(by_place: &[[u32; 256]; 4], by_length: &[u32; 256], by_distance: &[u32; 32]) -> Self {
        let mut literals = [0; LITERALS_AND_LENGTHS];
        for counts in by_place {
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

/// Bits of the codes of a block.
struct Lengths {
    literals: [u8; LITERALS_AND_LENGTHS],
    distances: [u8; DISTANCES],
}

impl Lengths {
    /// The shortest for these frequencies.
    fn dynamic(frequencies: &Frequencies) -> Self {
        Self {
            literals: code_lengths(&frequencies.literals, LITERAL_LIMIT),
            distances: code_lengths(&frequencies.distances, DISTANCE_LIMIT),
        }
    }

    /// RFC 1951 §3.2.6.
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

    /// What all symbols take, with their extra bits.
    fn bits(&self, frequencies: &Frequencies) -> u64 {
        let no_extra = std::iter::repeat_n(&0, FIRST_LENGTH);
        let extra = no_extra.chain(&LENGTH_EXTRA).map(|bits| u32::from(*bits));
        let literals = frequencies.literals.iter().zip(&self.literals).zip(extra);
        let extra = (0..).map(distance_extra);
        let distances = frequencies.distances.iter().zip(&self.distances).zip(extra);
        let bits = |((frequency, length), extra): ((&u32, &u8), u32)| {
            u64::from(*frequency) * u64::from(u32::from(*length) + extra)
        };
        literals.map(bits).sum::<u64>() + distances.map(bits).sum::<u64>()
    }
}

/// The codes of a block as they are written.
struct Codes {
    literals: [Ready; 256],
    end: Ready,
    /// With the extra bits; by [`place`].
    lengths: [Ready; 256],
    distances: [Ready; 32],
}

impl Codes {
    fn new(lengths: &Lengths) -> Self {
        let ready = |code: &u16, length: &u8| Ready::new(u32::from(*code), u32::from(*length));
        let codes_of_literals = codes(&lengths.literals);
        let mut all = codes_of_literals.iter().zip(&lengths.literals);
        let mut next = || {
            all.next()
                .map_or(Ready::default(), |(code, length)| ready(code, length))
        };
        let literals = std::array::from_fn(|_| next());
        let end = next();
        let by_symbol: [Ready; 29] = std::array::from_fn(|_| next());
        let lengths_ready = LENGTHS.map(|coded| {
            let code = by_symbol
                .get(usize::from(coded.symbol))
                .copied()
                .unwrap_or_default();
            let bits = code.bits() | u32::from(coded.extra) << code.count();
            Ready::new(bits, code.count() + u32::from(coded.extra_bits))
        });
        let mut distances = [Ready::default(); 32];
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
        let mut literals = tokens.literals_and_more();
        let mut left = tokens.literals().len();
        for sequence in tokens.sequences() {
            let count = sequence.literals as usize;
            literals = self.write_literals(literals, count, &mut bits);
            left -= count;
            self.write_match(*sequence, &mut bits);
        }
        self.write_literals(literals, left, &mut bits);
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
        while count >= LITERALS_A_FLUSH
            && let Some((four, rest)) = literals.split_first_chunk::<LITERALS_A_FLUSH>()
        {
            for literal in four {
                self.literals[usize::from(*literal)].add_to(bits);
            }
            bits.flush();
            literals = rest;
            count -= LITERALS_A_FLUSH;
        }
        // How many are left cannot be foreseen, unless none: the mask goes without a branch.
        if count > 0
            && let Some(three) = literals.first_chunk::<{ LITERALS_A_FLUSH - 1 }>()
        {
            for (literal, mask) in three.iter().zip(FIRST[count % LITERALS_A_FLUSH]) {
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
        self.lengths[usize::from(place(sequence.length))].add_to(bits);
        let coded = coded_distance(sequence.distance);
        self.distances[usize::from(coded.symbol % 32)].add_to(bits);
        bits.add(coded.extra.into(), coded.extra_bits.into());
        bits.flush();
    }
}

/// What a stored block takes, with the bits up to the next byte.
fn stored_bits(text: &[u8], rest: Rest) -> u64 {
    let blocks = text.len().div_ceil(MOST_STORED).max(1) as u64;
    let to_byte = u64::from((rest.count + 3).wrapping_neg() % 8);
    3 + to_byte + 32 + (blocks - 1) * 40 + 8 * text.len() as u64
}

/// Writes `text`, which `tokens` stand for, after the bits that are left of the block before.
pub(super) fn write(
    text: &[u8],
    tokens: &Tokens,
    is_last: bool,
    rest: Rest,
    to: &mut Vec<u8>,
) -> Rest {
    let frequencies = Frequencies::of(tokens);
    let dynamic = Lengths::dynamic(&frequencies);
    let header = Header::new(&dynamic.literals, &dynamic.distances);
    let dynamic_bits = 3 + header.bits() + dynamic.bits(&frequencies);
    let fixed = Lengths::fixed();
    let fixed_bits = 3 + fixed.bits(&frequencies);
    let least = dynamic_bits.min(fixed_bits);
    if stored_bits(text, rest) <= least {
        return write_stored(text, is_last, rest, to);
    }
    let start = to.len();
    let bytes = (u64::from(rest.count) + least).div_ceil(8) as usize;
    to.resize(start + bytes + BitWriter::SLACK, 0);
    let mut bits = BitWriter::new(to.get_mut(start..).unwrap_or_default(), rest);
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
    let (written, rest) = bits.finish();
    to.truncate(start + written);
    rest
}

/// RFC 1951 §3.2.4.
fn write_stored(text: &[u8], is_last: bool, mut rest: Rest, to: &mut Vec<u8>) -> Rest {
    let mut left = text;
    loop {
        let (stored, others) = left.split_at(left.len().min(MOST_STORED));
        let is_final = is_last && others.is_empty();
        // The type is 0, as the bits are up to the next byte.
        to.push(rest.bits | u8::from(is_final) << rest.count);
        if rest.count > 5 {
            to.push(0);
        }
        rest = Rest::default();
        let length = stored.len() as u16;
        to.extend(length.to_le_bytes());
        to.extend((!length).to_le_bytes());
        to.extend_from_slice(stored);
        left = others;
        if left.is_empty() {
            return rest;
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

    /// Even those that the matcher does not look for.
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
            // The bits before are of another block, which is cut off.
            let rest = Rest { bits, count };
            let mut deflated = Vec::new();
            let last = write(&text, &tokens, true, rest, &mut deflated);
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
    fn stored_blocks_are_as_long_as_foretold() {
        let text: Vec<u8> = (0..200_000u32)
            .map(|n| (n.wrapping_mul(0x9e37_79b1) >> 13) as u8)
            .collect();
        for length in [0, 1, 65_534, 65_535, 65_536, 131_070, 131_071, 200_000] {
            for count in 0..8 {
                let (rest, text) = (Rest { bits: 0, count }, &text[..length]);
                let mut deflated = Vec::new();
                assert_eq!(
                    write_stored(text, true, rest, &mut deflated),
                    Rest::default()
                );
                let bits = 8 * deflated.len() as u64 - u64::from(count);
                assert_eq!(bits, stored_bits(text, rest), "{length}, {count}");
            }
        }
    }
}
