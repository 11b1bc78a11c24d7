//! The header of a block with dynamic codes: the lengths of its codes, coded in turn
//! (RFC 1951 §3.2.7).

use std::ops::RangeInclusive;

use super::bits::BitWriter;
use super::huffman::{code_lengths, codes};
use super::symbols::{DISTANCES, FIRST_LENGTH, LITERALS_AND_LENGTHS};

/// The number of symbols of the alphabet of code lengths.
const SYMBOLS: usize = 19;
/// The maximum bits of the code of a code length.
const MAX_CODE_BITS: usize = 7;
/// The symbol of 3 to 6 copies of the previous length.
const REPEAT: u8 = 16;
/// The symbol of 3 to 10 zeros.
const ZEROS: u8 = 17;
/// The symbol of 11 to 138 zeros.
const MANY_ZEROS: u8 = 18;
/// The order in which the lengths of the codes of code lengths are written.
const ORDER: [usize; SYMBOLS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// A symbol of the header: a code length or a run of them.
#[derive(Debug, Clone, Copy, Default)]
struct Item {
    symbol: u8,
    /// The length of the run beyond the minimum of its kind.
    extra: u8,
}

impl Item {
    fn extra_bits(self) -> u32 {
        match self.symbol {
            REPEAT => 2,
            ZEROS => 3,
            MANY_ZEROS => 7,
            _ => 0,
        }
    }
}

/// The header of a block with dynamic codes.
#[derive(Debug)]
pub(super) struct Header {
    /// The number of code lengths of literals and lengths.
    literal_lengths: usize,
    /// The number of code lengths of distances.
    distance_lengths: usize,
    items: Vec<Item>,
    /// The bits of the code of each code length.
    lengths: [u8; SYMBOLS],
    /// The number of `lengths` that are written.
    explicit: usize,
}

/// Returns the lengths without the zeros at the end, but at least `min` of them.
fn without_trailing_zeros(lengths: &[u8], min: usize) -> &[u8] {
    let last_used = lengths.iter().rposition(|length| *length > 0);
    let count = last_used.map_or(0, |last| last + 1).max(min);
    lengths.get(..count).unwrap_or(lengths)
}

impl Header {
    /// Builds the header from the code lengths of both alphabets.
    pub(super) fn new(literals: &[u8; LITERALS_AND_LENGTHS], distances: &[u8; DISTANCES]) -> Self {
        let literals = without_trailing_zeros(literals, FIRST_LENGTH);
        let distances = without_trailing_zeros(distances, 1);
        // A run may continue from one alphabet into the other.
        let items = items(&[literals, distances].concat());
        let mut frequencies = [0; SYMBOLS];
        for item in &items {
            if let Some(frequency) = frequencies.get_mut(usize::from(item.symbol)) {
                *frequency += 1;
            }
        }
        let lengths = code_lengths(&frequencies, MAX_CODE_BITS);
        let in_order = ORDER.map(|symbol| lengths[symbol]);
        Self {
            literal_lengths: literals.len(),
            distance_lengths: distances.len(),
            items,
            lengths,
            explicit: without_trailing_zeros(&in_order, 4).len(),
        }
    }

    /// Returns the bits of the code of a code length.
    fn length(&self, symbol: u8) -> u32 {
        self.lengths
            .get(usize::from(symbol))
            .copied()
            .unwrap_or(0)
            .into()
    }

    /// Returns the size of the header, in bits.
    pub(super) fn bits(&self) -> u64 {
        let item_bits = |item: &Item| u64::from(self.length(item.symbol) + item.extra_bits());
        let all_items: u64 = self.items.iter().map(item_bits).sum();
        5 + 5 + 4 + 3 * self.explicit as u64 + all_items
    }

    /// Writes the header.
    pub(super) fn write(&self, bits: &mut BitWriter<'_>) {
        bits.add((self.literal_lengths - FIRST_LENGTH) as u32, 5);
        bits.add((self.distance_lengths - 1) as u32, 5);
        bits.add((self.explicit - 4) as u32, 4);
        bits.flush();
        for symbol in ORDER.iter().take(self.explicit) {
            bits.add(self.lengths[*symbol].into(), 3);
            bits.flush();
        }
        let codes = codes(&self.lengths);
        for item in &self.items {
            let code = codes.get(usize::from(item.symbol)).copied().unwrap_or(0);
            bits.add(code.into(), self.length(item.symbol));
            bits.add(item.extra.into(), item.extra_bits());
            bits.flush();
        }
    }
}

/// Encodes code lengths as items, runs of equal lengths as one.
fn items(lengths: &[u8]) -> Vec<Item> {
    let mut items = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|a, b| a == b) {
        let Some(&length) = run.first() else { continue };
        let once = Item {
            symbol: length,
            extra: 0,
        };
        let single = if length == 0 {
            let shorter = push_runs(&mut items, MANY_ZEROS, 11..=138, run.len());
            push_runs(&mut items, ZEROS, 3..=10, shorter)
        } else {
            // A run repeats the length before it.
            items.push(once);
            push_runs(&mut items, REPEAT, 3..=6, run.len() - 1)
        };
        items.extend(std::iter::repeat_n(once, single));
    }
    items
}

/// Adds runs of `symbol`, each of `run_lengths`; returns the part of `remaining` that is too short
/// for a run.
fn push_runs(
    items: &mut Vec<Item>,
    symbol: u8,
    run_lengths: RangeInclusive<usize>,
    mut remaining: usize,
) -> usize {
    while remaining >= *run_lengths.start() {
        let run = remaining.min(*run_lengths.end());
        let extra = (run - run_lengths.start()) as u8;
        items.push(Item { symbol, extra });
        remaining -= run;
    }
    remaining
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::deflate::bits::PartialByte;

    /// Reads a header, bit by bit; returns its code lengths and its size in bits.
    fn read(bytes: &[u8]) -> (Vec<u8>, usize) {
        let mut at = 0;
        let mut bits = |count: usize| -> usize {
            let bit = |at: usize| usize::from(bytes[at / 8] >> (at % 8) & 1);
            at += count;
            (0..count).map(|n| bit(at - count + n) << n).sum()
        };
        let literal_lengths = bits(5) + FIRST_LENGTH;
        let all = literal_lengths + bits(5) + 1;
        let explicit = bits(4) + 4;
        let mut lengths = [0u8; SYMBOLS];
        for symbol in &ORDER[..explicit] {
            lengths[*symbol] = bits(3) as u8;
        }
        let codes = codes(&lengths);
        let mut read = Vec::new();
        while read.len() < all {
            let (mut code, mut count) = (0, 0);
            let symbol = loop {
                code |= bits(1) << count;
                count += 1;
                let is_it = |symbol: &usize| {
                    usize::from(lengths[*symbol]) == count && usize::from(codes[*symbol]) == code
                };
                if let Some(symbol) = (0..SYMBOLS).find(is_it) {
                    break symbol;
                }
            };
            let (length, times) = match symbol {
                16 => (*read.last().unwrap(), 3 + bits(2)),
                17 => (0, 3 + bits(3)),
                18 => (0, 11 + bits(7)),
                _ => (symbol as u8, 1),
            };
            read.extend(std::iter::repeat_n(length, times));
        }
        (read, at)
    }

    #[track_caller]
    fn check(literals: &[u8; LITERALS_AND_LENGTHS], distances: &[u8; DISTANCES]) -> Header {
        let header = Header::new(literals, distances);
        let mut bytes = vec![0; 1000];
        let mut bits = BitWriter::new(&mut bytes, PartialByte::default());
        header.write(&mut bits);
        let (whole, rest) = bits.finish();
        assert_eq!(header.bits(), 8 * whole as u64 + u64::from(rest.count));
        let (lengths, bits) = read(&bytes);
        assert_eq!(bits as u64, header.bits());
        let (of_literals, of_distances) = lengths.split_at(header.literal_lengths);
        assert_eq!(of_literals, &literals[..header.literal_lengths]);
        assert!(
            literals[header.literal_lengths..]
                .iter()
                .all(|length| *length == 0)
        );
        assert_eq!(of_distances, &distances[..header.distance_lengths]);
        assert!(
            distances[header.distance_lengths..]
                .iter()
                .all(|length| *length == 0)
        );
        header
    }

    #[test]
    fn runs_of_any_length_are_read_back() {
        for run in 1..250 {
            for length in [0, 7] {
                let mut literals = [0; LITERALS_AND_LENGTHS];
                literals[3] = 5;
                literals[4..4 + run].fill(length);
                literals[4 + run] = 5;
                literals[256] = 1;
                check(&literals, &[length; DISTANCES]);
            }
        }
    }

    /// Code lengths with the Fibonacci numbers as frequencies would need codes of 10 bits.
    #[test]
    fn codes_of_code_lengths_have_at_most_seven_bits() {
        let mut literals = [0; LITERALS_AND_LENGTHS];
        let counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89];
        let lengths = counts.iter().zip(1..);
        let mut lengths: Vec<u8> = lengths.flat_map(|(n, length)| vec![length; *n]).collect();
        // Neighbours differ, so that there are no runs.
        lengths.sort_by_key(|length| (usize::from(*length) * 31) % 7);
        let (mut at, mut step) = (0, 0);
        while at < lengths.len() {
            literals[step] = lengths[at];
            at += 1;
            step += 1 + usize::from(at % 5 == 0);
        }
        literals[256] = 1;
        let header = check(&literals, &[4; DISTANCES]);
        assert!(
            header
                .lengths
                .iter()
                .all(|length| usize::from(*length) <= MAX_CODE_BITS)
        );
    }
}
