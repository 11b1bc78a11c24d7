//! What a block stands for: literals and matches.

use super::boxed;

/// Literals, then a match. What follows the last match of a block has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    /// How many.
    pub(super) literals: u32,
    pub(super) length: u16,
    pub(super) distance: u16,
}

/// More than a block has: [`Recorder::push`] goes round at the end instead of asking.
const MOST_LITERALS: usize = 1 << 18;
/// Bytes of text after which a block ends: not more than four stored blocks hold
/// (RFC 1951 §3.2.4), with what the matcher goes beyond.
pub(super) const MOST_TEXT: u32 = 4 * 65_535 - 512;
const MOST_SEQUENCES: usize = 1 << 15;

/// The sequences of a block, and apart from them the literals: these are counted without a look at
/// the sequences.
pub(super) struct Tokens {
    literals: Box<[u8; MOST_LITERALS]>,
    used: usize,
    sequences: Vec<Sequence>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            literals: boxed(),
            used: 0,
            sequences: Vec::with_capacity(MOST_SEQUENCES),
        }
    }

    /// Forgets what is there, for another block.
    pub(super) fn record(&mut self) -> Recorder<'_> {
        self.sequences.clear();
        Recorder {
            literals: &mut self.literals,
            used: 0,
            recorded: &mut self.used,
            sequences: &mut self.sequences,
        }
    }

    pub(super) fn literals(&self) -> &[u8] {
        self.literals.get(..self.used).unwrap_or_default()
    }

    /// With bytes of no meaning after them.
    pub(super) fn literals_and_more(&self) -> &[u8] {
        self.literals.as_slice()
    }

    pub(super) fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }
}

/// Adds to tokens, which have all of it once it is finished. It counts on its own, in a register.
pub(super) struct Recorder<'a> {
    literals: &'a mut [u8; MOST_LITERALS],
    used: usize,
    recorded: &'a mut usize,
    sequences: &'a mut Vec<Sequence>,
}

impl Recorder<'_> {
    #[inline(always)]
    pub(super) fn push(&mut self, literal: u8) {
        self.literals[self.used % MOST_LITERALS] = literal;
        self.used += 1;
    }

    /// Adds a match behind `literals`, in place of the last `instead` of those pushed.
    #[inline(always)]
    pub(super) fn push_match(&mut self, literals: u32, instead: u32, length: u32, distance: u32) {
        self.used -= instead as usize;
        self.sequences.push(Sequence {
            literals,
            length: length as u16,
            distance: distance as u16,
        });
    }

    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.sequences.len() >= MOST_SEQUENCES
    }

    pub(super) fn finish(self) {
        *self.recorded = self.used;
    }
}
