//! Finds earlier occurrences of text, so that a match can replace it.
//!
//! Tuned for lines of JSON: keys and values recur within a few lines, and between them stand UUIDs
//! and numbers that do not. Most positions are in the former, most searches in the latter.

use std::hint::select_unpredictable;

use super::symbols::{MAX_DISTANCE, MAX_LENGTH};
use super::tokens::{MAX_BLOCK_TEXT, Tokens, boxed};

/// The minimum length of a match, in bytes, and the bytes that are hashed. Four or five hex digits
/// recur by chance, but a match of them takes more bits than they do; and with six a bucket has room
/// for the matches that matter.
const HASHED_BYTES: u32 = 6;
/// The bytes of each candidate that are compared; equal bytes beyond them do not decide.
const COMPARED_BYTES: u32 = 16;
const BUCKETS_LOG: u32 = 15;
const BUCKETS: usize = 1 << BUCKETS_LOG;
/// The number of positions in a bucket.
const WAYS: usize = 4;
/// The literals in a row after which only every other position is looked up, as more literals are
/// likely to follow: a match that is found one byte late is extended backwards.
const LITERALS_BEFORE_SKIP: u32 = 4;
/// The distance of the positions in a match that are inserted.
const STRIDE: u32 = 2;

/// The newest positions that share a hash, the newest in the lowest bits, all modulo 2^16.
///
/// A position from long ago looks nearer than it is; the text there is compared like any other, so
/// that it does no harm.
type Bucket = u64;

/// Finds matches in a text; positions count from its start.
pub(super) struct Matcher {
    buckets: Box<[Bucket; BUCKETS]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    length: u32,
    distance: u32,
}

/// Returns the 8 bytes at a position, the first in the lowest bits, or 0 beyond the text.
#[inline(always)]
fn word(text: &[u8], at: u32) -> u64 {
    let start = at as usize;
    text.get(start..start.wrapping_add(8))
        .and_then(|bytes| bytes.first_chunk())
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Returns the number of equal bytes before the first of the `differing` bits.
#[inline(always)]
fn equal_prefix(differing: u64) -> u32 {
    differing.trailing_zeros() / 8
}

#[inline(always)]
fn bucket_of(word: u64) -> usize {
    /// 2^64 divided by the golden ratio, and odd (Knuth, TAOCP 3, §6.4).
    const FACTOR: u64 = 0x9e37_79b1_85eb_ca87;
    let hashed = word << (64 - 8 * HASHED_BYTES);
    (hashed.wrapping_mul(FACTOR) >> (64 - BUCKETS_LOG)) as usize % BUCKETS
}

/// The distances at which text may have occurred before.
struct Candidates {
    distances: [u32; WAYS],
    /// The bits of the first 8 bytes that differ.
    differing: [u64; WAYS],
}

impl Candidates {
    #[inline(always)]
    fn new(text: &[u8], at: u32, word_there: u64, bucket: Bucket) -> Self {
        let distance =
            |way: usize| u32::from((at as u16).wrapping_sub((bucket >> (16 * way)) as u16));
        let distances = std::array::from_fn(distance);
        let before = |distance: u32| word(text, at.wrapping_sub(distance));
        let differing = distances.map(|distance| word_there ^ before(distance));
        Self {
            distances,
            differing,
        }
    }

    /// Returns true if the hashed bytes of a candidate are equal, though its distance may not be
    /// valid.
    #[inline(always)]
    fn has_equal_hash_bytes(&self) -> bool {
        let mut differing = self.differing.iter();
        differing.any(|differing| differing << (64 - 8 * HASHED_BYTES) == 0)
    }

    /// Returns the nearest match with the most equal bytes among the first [`COMPARED_BYTES`].
    #[inline(always)]
    fn longest(&self, text: &[u8], at: u32) -> Option<Match> {
        let next = word(text, at + 8);
        let mut longest = 0;
        // Which of them is longer cannot be predicted, so there is no branch.
        for (distance, differing) in self.distances.into_iter().zip(self.differing) {
            let next_before = word(text, at.wrapping_sub(distance).wrapping_add(8));
            let if_all_equal = 8 + equal_prefix(next ^ next_before);
            let equal = select_unpredictable(differing == 0, if_all_equal, equal_prefix(differing));
            let is_before = distance.wrapping_sub(1) < at.min(MAX_DISTANCE);
            let length = select_unpredictable(is_before, equal, 0);
            longest = longest.max(length << 16 | (0xffff - distance));
        }
        let length = longest >> 16;
        (length >= HASHED_BYTES).then_some(Match {
            length,
            distance: 0xffff - (longest & 0xffff),
        })
    }
}

/// Returns the length of a match whose first [`COMPARED_BYTES`] bytes are equal.
#[inline(always)]
fn match_length(text: &[u8], at: u32, distance: u32) -> u32 {
    let max = MAX_LENGTH.min(text.len() as u32 - at);
    let mut length = COMPARED_BYTES;
    while length + 8 <= max {
        let differing = word(text, at + length) ^ word(text, at + length - distance);
        if differing != 0 {
            return length + equal_prefix(differing);
        }
        length += 8;
    }
    let byte = |at: u32| text.get(at as usize);
    while length < max && byte(at + length) == byte(at + length - distance) {
        length += 1;
    }
    length
}

/// Returns the number of bytes before a match that are equal as well, at most `max` and at most 8.
#[inline(always)]
fn backward_length(text: &[u8], at: u32, distance: u32, max: u32) -> u32 {
    let before = at.wrapping_sub(8);
    let differing = word(text, before) ^ word(text, before.wrapping_sub(distance));
    let length = max.min(differing.leading_zeros() / 8);
    select_unpredictable(at >= distance + 8, length, 0)
}

impl Matcher {
    pub(super) fn new() -> Self {
        Self { buckets: boxed() }
    }

    /// Removes all positions, for another text.
    pub(super) fn reset(&mut self) {
        self.buckets.fill(0);
    }

    /// Inserts a position; returns its bucket as it was before.
    #[inline(always)]
    fn insert(&mut self, word: u64, at: u32) -> Bucket {
        let bucket = &mut self.buckets[bucket_of(word)];
        let before = *bucket;
        *bucket = before << 16 | Bucket::from(at as u16);
        before
    }

    /// Inserts some positions of a match; its last three bytes must not begin before `start`.
    #[inline(always)]
    fn insert_within(&mut self, text: &[u8], start: u32, end: u32) {
        let mut insert = |at: u32| {
            self.insert(word(text, at), at);
        };
        // Usually another match begins where one ends.
        insert(start);
        insert(end - 3);
        insert(end - 1);
        let mut at = start + STRIDE;
        // Three at once: the number of rounds cannot be predicted, and this has fewer.
        while at + 3 * STRIDE < end {
            insert(at);
            insert(at + STRIDE);
            insert(at + 2 * STRIDE);
            at += 3 * STRIDE;
        }
    }

    /// Records the tokens of the text from `start` on; returns the position where it stopped: the end
    /// of the text, or earlier if the block is full. The text has less than 2^31 bytes.
    // Inlined into its caller, which some builds do, it runs 2.5 % more instructions.
    #[inline(never)]
    pub(super) fn tokenize(&mut self, text: &[u8], start: u32, tokens: &mut Tokens) -> u32 {
        let mut tokens = tokens.record();
        let text_length = text.len() as u32;
        // There is no search where fewer bytes follow than are compared.
        let last = text_length.saturating_sub(COMPARED_BYTES);
        let end = last.min(start.saturating_add(MAX_BLOCK_TEXT));
        let (mut at, mut literals_from) = (start, start);
        while at < end {
            let here = word(text, at);
            let candidates = Candidates::new(text, at, here, self.insert(here, at));
            if !candidates.has_equal_hash_bytes() {
                tokens.push(here as u8);
                if at - literals_from >= LITERALS_BEFORE_SKIP {
                    at += 1;
                    tokens.push((here >> 8) as u8);
                    self.insert(word(text, at), at);
                }
                at += 1;
                continue;
            }
            let Some(mut found) = candidates.longest(text, at) else {
                tokens.push(here as u8);
                at += 1;
                continue;
            };
            let next = word(text, at + 1);
            let candidates = Candidates::new(text, at + 1, next, self.insert(next, at + 1));
            let first_uninserted = at + 2;
            // Lazy matching: a literal first, if the match after it is longer.
            if let Some(later) = candidates.longest(text, at + 1)
                && later.length > found.length
            {
                tokens.push(here as u8);
                at += 1;
                found = later;
            }
            let Match {
                mut length,
                distance,
            } = found;
            if length == COMPARED_BYTES {
                length = match_length(text, at, distance);
            }
            let literals = at - literals_from;
            let before = backward_length(text, at, distance, literals.min(MAX_LENGTH - length));
            tokens.push_match(literals - before, before, length + before, distance);
            self.insert_within(text, first_uninserted, at + length);
            at += length;
            literals_from = at;
            if tokens.is_full() {
                break;
            }
        }
        if at >= last {
            for literal in text.get(at as usize..).unwrap_or_default() {
                tokens.push(*literal);
            }
            at = text_length;
        }
        tokens.finish();
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the matches of a text of one block, after checking that its tokens restore it.
    fn matches_of(text: &[u8]) -> Vec<Match> {
        let mut tokens = Tokens::new();
        let end = Matcher::new().tokenize(text, 0, &mut tokens);
        assert_eq!(end as usize, text.len());
        let mut again: Vec<u8> = Vec::new();
        let mut literals = tokens.literals().iter();
        for sequence in tokens.sequences() {
            again.extend(literals.by_ref().take(sequence.literals as usize));
            for _ in 0..sequence.length {
                again.push(again[again.len() - usize::from(sequence.distance)]);
            }
        }
        again.extend(literals);
        assert!(again == text);
        let sequences = tokens.sequences().iter();
        let matches = sequences.map(|sequence| Match {
            length: sequence.length.into(),
            distance: sequence.distance.into(),
        });
        matches.collect()
    }

    /// Returns bytes in which no six recur.
    fn unique(count: usize) -> Vec<u8> {
        let numbers = (0u32..).map(|n| n.wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995);
        numbers.flat_map(u32::to_be_bytes).take(count).collect()
    }

    #[test]
    fn the_greatest_distance_is_used_and_none_beyond() {
        for (distance, expected) in [(32_767, 1), (32_768, 1), (32_769, 0), (65_536, 0)] {
            let piece = b"in two positions, far from each other";
            let between = unique(distance - piece.len());
            let text = [b"at first ", piece.as_slice(), &between, piece, &[0xff; 20]].concat();
            let mut matches = matches_of(&text);
            matches.retain(|found| found.distance > 1);
            assert_eq!(matches.len(), expected, "{distance}");
            for found in matches {
                assert_eq!(found.distance as usize, distance);
                assert_eq!(found.length as usize, piece.len());
            }
        }
    }

    #[test]
    fn matches_have_any_length_up_to_the_longest() {
        let piece: Vec<u8> = unique(300);
        for length in 0..300 {
            let (before, between) = (b"at first ".as_slice(), [0; 7]);
            let text = [before, &piece, &between, &piece[..length], &[1; 20]].concat();
            let whole = matches_of(&text)
                .into_iter()
                .filter(|found| found.distance == 307);
            let length = length as u32;
            let lengths: u32 = whole.map(|found| found.length).sum();
            // A match of minimum length is missed at every other position, and so may be the rest of
            // one that is too long.
            let min = length.min(MAX_LENGTH);
            assert!(
                length <= HASHED_BYTES || (min..=length).contains(&lengths),
                "{length}"
            );
        }
    }

    #[test]
    fn one_byte_again_and_again_is_a_match_with_itself() {
        let matches = matches_of(&[b'x'; 5000]);
        assert!(matches.len() <= 5000 / 258 + 3);
    }

    #[test]
    fn what_was_before_the_text_is_no_match() {
        // Empty buckets stand for position 0; zeros are equal to what cannot be read.
        for zeros in 0..100 {
            matches_of(&[vec![0; zeros], unique(100)].concat());
            matches_of(&[unique(zeros), vec![0; 100]].concat());
        }
    }
}
