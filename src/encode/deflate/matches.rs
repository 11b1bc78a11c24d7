//! Where text was before, so that a match can stand for it.
//!
//! Tuned for lines of JSON: keys and values come back within a few lines, and between them stand
//! UUIDs and numbers that do not. Most positions are in the former, most searches in the latter.

use std::hint::select_unpredictable;

use super::boxed;
use super::symbols::{FARTHEST, LONGEST};
use super::tokens::{MOST_TEXT, Tokens};

/// How many bytes have to be alike. Four or five hex digits come back by chance, but where they
/// were takes more bits to say than they do; and a bucket has room for what matters.
const HASHED: u32 = 6;
/// How many bytes of each candidate are compared; what is alike beyond them does not decide.
const COMPARED: u32 = 16;
const BUCKETS_LOG: u32 = 15;
const BUCKETS: usize = 1 << BUCKETS_LOG;
/// Positions in a bucket.
const WAYS: usize = 4;
/// After so many literals in a row, which are then likely to go on, only every other position is
/// looked up: what is found one too late is extended backwards.
const PATIENCE: u32 = 4;
/// Of the positions in a match, every so many is remembered.
const STRIDE: u32 = 2;

/// The newest positions that share a hash, the newest lowest, all modulo 2^16. One of long ago
/// looks nearer than it is; the text there is compared like any other, so it does no harm.
type Bucket = u64;

/// Finds matches in a text; positions count from its begin.
pub(super) struct Matcher {
    buckets: Box<[Bucket; BUCKETS]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    length: u32,
    distance: u32,
}

/// The bytes at a position, the first lowest, or 0 if not all are there.
#[inline(always)]
fn word(text: &[u8], at: u32) -> u64 {
    let at = at as usize;
    let bytes = text.get(at..at.wrapping_add(8));
    let bytes = bytes.and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// How many bytes are alike from the first on, if these bits are not.
#[inline(always)]
fn alike(differing: u64) -> u32 {
    differing.trailing_zeros() / 8
}

#[inline(always)]
fn bucket_of(word: u64) -> usize {
    /// 2^64 divided by the golden ratio, and odd (Knuth, TAOCP 3, §6.4).
    const FACTOR: u64 = 0x9e37_79b1_85eb_ca87;
    let hashed = word << (64 - 8 * HASHED);
    (hashed.wrapping_mul(FACTOR) >> (64 - BUCKETS_LOG)) as usize % BUCKETS
}

/// Where text may have been before.
struct Candidates {
    distances: [u32; WAYS],
    /// The bits of the first 8 bytes that are not alike.
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

    /// Whether one has as many bytes alike as are hashed, though perhaps not before the text.
    #[inline(always)]
    fn is_any_alike(&self) -> bool {
        let mut differing = self.differing.iter();
        differing.any(|differing| differing << (64 - 8 * HASHED) == 0)
    }

    /// The match with most bytes alike, of the first [`COMPARED`]; the nearest of these.
    #[inline(always)]
    fn longest(&self, text: &[u8], at: u32) -> Option<Match> {
        let next = word(text, at + 8);
        let mut longest = 0;
        // Which of them is longer cannot be foreseen, so this goes without a branch.
        for (distance, differing) in self.distances.into_iter().zip(self.differing) {
            let next_before = word(text, at.wrapping_sub(distance).wrapping_add(8));
            let if_all_alike = 8 + alike(next ^ next_before);
            let length = select_unpredictable(differing == 0, if_all_alike, alike(differing));
            let is_before = distance.wrapping_sub(1) < at.min(FARTHEST);
            let length = select_unpredictable(is_before, length, 0);
            longest = longest.max(length << 16 | (0xffff - distance));
        }
        let length = longest >> 16;
        (length >= HASHED).then_some(Match {
            length,
            distance: 0xffff - (longest & 0xffff),
        })
    }
}

/// How long a match is of which the first [`COMPARED`] bytes are alike.
#[inline(always)]
fn whole_length(text: &[u8], at: u32, distance: u32) -> u32 {
    let most = LONGEST.min(text.len() as u32 - at);
    let mut length = COMPARED;
    while length + 8 <= most {
        let differing = word(text, at + length) ^ word(text, at + length - distance);
        if differing != 0 {
            return length + alike(differing);
        }
        length += 8;
    }
    let byte = |at: u32| text.get(at as usize);
    while length < most && byte(at + length) == byte(at + length - distance) {
        length += 1;
    }
    length
}

/// How many bytes before a match are alike as well, at most `most` and at most 8.
#[inline(always)]
fn length_before(text: &[u8], at: u32, distance: u32, most: u32) -> u32 {
    let before = at.wrapping_sub(8);
    let differing = word(text, before) ^ word(text, before.wrapping_sub(distance));
    let length = most.min(differing.leading_zeros() / 8);
    select_unpredictable(at >= distance + 8, length, 0)
}

impl Matcher {
    pub(super) fn new() -> Self {
        Self { buckets: boxed() }
    }

    /// Forgets what was before, for another text.
    pub(super) fn forget(&mut self) {
        self.buckets.fill(0);
    }

    #[inline(always)]
    fn remember(&mut self, word: u64, at: u32) -> Bucket {
        let bucket = &mut self.buckets[bucket_of(word)];
        let before = *bucket;
        *bucket = before << 16 | Bucket::from(at as u16);
        before
    }

    /// Remembers some positions of a match: the last but two is not before `start`.
    #[inline(always)]
    fn remember_within(&mut self, text: &[u8], start: u32, end: u32) {
        let mut remember = |at: u32| {
            self.remember(word(text, at), at);
        };
        // Where a match ends, another one begins more often than not.
        remember(start);
        remember(end - 3);
        remember(end - 1);
        let mut at = start + STRIDE;
        // Three at once: how often cannot be foreseen, and this asks less often.
        while at + 3 * STRIDE < end {
            remember(at);
            remember(at + STRIDE);
            remember(at + 2 * STRIDE);
            at += 3 * STRIDE;
        }
    }

    /// Makes tokens of the text from `start` on, up to the position that it returns: the end of
    /// the text, or earlier if the block is full. The text has less than 2^31 bytes.
    pub(super) fn cut(&mut self, text: &[u8], start: u32, tokens: &mut Tokens) -> u32 {
        let mut tokens = tokens.record();
        let text_length = text.len() as u32;
        // Where fewer bytes follow than are compared, there is no search.
        let last = text_length.saturating_sub(COMPARED);
        let end = last.min(start.saturating_add(MOST_TEXT));
        let (mut at, mut literals_from) = (start, start);
        while at < end {
            let here = word(text, at);
            let candidates = Candidates::new(text, at, here, self.remember(here, at));
            if !candidates.is_any_alike() {
                tokens.push(here as u8);
                if at - literals_from >= PATIENCE {
                    at += 1;
                    tokens.push((here >> 8) as u8);
                    self.remember(word(text, at), at);
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
            let candidates = Candidates::new(text, at + 1, next, self.remember(next, at + 1));
            let not_remembered = at + 2;
            // A literal first is worth it for a longer match.
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
            if length == COMPARED {
                length = whole_length(text, at, distance);
            }
            let literals = at - literals_from;
            let before = length_before(text, at, distance, literals.min(LONGEST - length));
            tokens.push_match(literals - before, before, length + before, distance);
            self.remember_within(text, not_remembered, at + length);
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

    /// All of one block, as text again.
    fn matches_of(text: &[u8]) -> Vec<Match> {
        let mut tokens = Tokens::new();
        let end = Matcher::new().cut(text, 0, &mut tokens);
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

    /// Bytes in which no six come twice.
    fn unique(count: usize) -> Vec<u8> {
        let numbers = (0u32..).map(|n| n.wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995);
        numbers.flat_map(u32::to_be_bytes).take(count).collect()
    }

    #[test]
    fn the_greatest_distance_is_used_and_none_beyond() {
        for (distance, expected) in [(32_767, 1), (32_768, 1), (32_769, 0), (65_536, 0)] {
            let piece = b"in two places, far from each other";
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
            // One of the least length is overlooked at every other position, and so may the rest be
            // of one that is too long.
            let least = if length > LONGEST { LONGEST } else { length };
            assert!(
                length <= HASHED || (least..=length).contains(&lengths),
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
        // Empty buckets say position 0; zeros are alike with what cannot be read.
        for zeros in 0..100 {
            matches_of(&[vec![0; zeros], unique(100)].concat());
            matches_of(&[unique(zeros), vec![0; 100]].concat());
        }
    }
}
