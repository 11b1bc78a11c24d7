//! The tokens of a block: literals and matches.

/// A run of literals, then a match. The literals after the last match of a block have no sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The number of literals.
    pub(super) literals: u32,
    /// The length of the match, in bytes.
    pub(super) length: u16,
    /// The distance of the match, in bytes.
    pub(super) distance: u16,
}

/// The size of the buffer of literals. A block has fewer, so that [`Recorder::push`] wraps
/// around at the end instead of checking.
const MAX_LITERALS: usize = 1 << 18;
/// The bytes of text after which a block ends: at most what four stored blocks hold
/// (RFC 1951 §3.2.4), less the bytes by which the matcher may exceed it.
pub(super) const MAX_BLOCK_TEXT: u32 = 4 * 65_535 - 512;
const MAX_SEQUENCES: usize = 1 << 15;

/// The sequences of a block, and separately its literals, which can be counted without the
/// sequences.
pub(super) struct Tokens {
    literals: Box<[u8; MAX_LITERALS]>,
    /// The number of literals of the block.
    used: usize,
    sequences: Vec<Sequence>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            literals: boxed(),
            used: 0,
            sequences: Vec::with_capacity(MAX_SEQUENCES),
        }
    }

    /// Clears the tokens and starts to record another block.
    pub(super) fn record(&mut self) -> Recorder<'_> {
        self.sequences.clear();
        Recorder {
            literals: &mut self.literals,
            used: 0,
            recorded: &mut self.used,
            sequences: &mut self.sequences,
        }
    }

    /// Returns all literals of the block.
    pub(super) fn literals(&self) -> &[u8] {
        self.literals.get(..self.used).unwrap_or_default()
    }

    /// Returns the literals, followed by bytes without meaning.
    pub(super) fn padded_literals(&self) -> &[u8] {
        self.literals.as_slice()
    }

    /// Returns the matches of the block, with the literals before each.
    pub(super) fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }
}

/// Records the tokens of a block, which are complete once it is finished. It has a count of its own,
/// which stays in a register.
pub(super) struct Recorder<'a> {
    literals: &'a mut [u8; MAX_LITERALS],
    used: usize,
    recorded: &'a mut usize,
    sequences: &'a mut Vec<Sequence>,
}

impl Recorder<'_> {
    /// Adds a literal.
    #[inline(always)]
    pub(super) fn push(&mut self, literal: u8) {
        self.literals[self.used % MAX_LITERALS] = literal;
        self.used += 1;
    }

    /// Adds a match after `literals` literals, in place of the last `replaced` of those pushed.
    #[inline(always)]
    pub(super) fn push_match(&mut self, literals: u32, replaced: u32, length: u32, distance: u32) {
        self.used -= replaced as usize;
        self.sequences.push(Sequence {
            literals,
            length: length as u16,
            distance: distance as u16,
        });
    }

    /// Returns true if there is no room for another match.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.sequences.len() >= MAX_SEQUENCES
    }

    /// Ends the block.
    pub(super) fn finish(self) {
        *self.recorded = self.used;
    }
}

/// Returns an array on the heap, for one that is too large for the stack.
pub(super) fn boxed<T: Copy + Default, const N: usize>() -> Box<[T; N]> {
    let array = vec![T::default(); N].into_boxed_slice();
    array
        .try_into()
        .unwrap_or_else(|_| Box::new([T::default(); N]))
}
