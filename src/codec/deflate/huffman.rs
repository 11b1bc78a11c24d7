//! Length-limited Huffman codes (RFC 1951 §3.2.2).

/// An upper bound of the levels of a tree whose weights are counts of less than 2^32 symbols: the
/// weights grow at least like the Fibonacci numbers.
const MAX_LEVELS: usize = 48;
/// The maximum bits of any code of DEFLATE.
const MAX_CODE_BITS: usize = 15;

/// Returns the bits of the code of each symbol: at most `limit`, and 0 where the frequency is 0.
///
/// At least two symbols have a code, as some readers require a code to be complete.
pub(super) fn code_lengths<const N: usize>(frequencies: &[u32; N], limit: usize) -> [u8; N] {
    let mut leaves = [Leaf::default(); N];
    let mut used = 0;
    for ((symbol, frequency), leaf) in frequencies
        .iter()
        .enumerate()
        .filter(is_used)
        .zip(&mut leaves)
    {
        *leaf = Leaf {
            frequency: *frequency,
            symbol: symbol as u16,
        };
        used += 1;
    }
    let mut lengths = [0; N];
    if used < 2 {
        // The only symbol and any other one.
        let only = usize::from(leaves.first().map_or(0, |leaf| leaf.symbol));
        let other = usize::from(only == 0);
        for symbol in [only, other] {
            if let Some(length) = lengths.get_mut(symbol) {
                *length = 1;
            }
        }
        return lengths;
    }
    let leaves = leaves.get_mut(..used).unwrap_or_default();
    leaves.sort_unstable();
    let mut counts = leaves_by_level::<N>(leaves);
    shorten(&mut counts, limit);
    let rarest_first = counts.iter().enumerate().rev();
    let by_leaf = rarest_first.flat_map(|(bits, count)| std::iter::repeat_n(bits, *count));
    for (leaf, bits) in leaves.iter().zip(by_leaf) {
        if let Some(length) = lengths.get_mut(usize::from(leaf.symbol)) {
            *length = bits as u8;
        }
    }
    lengths
}

fn is_used((_, frequency): &(usize, &u32)) -> bool {
    **frequency != 0
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Leaf {
    frequency: u32,
    /// Orders leaves of equal frequency, so that equal text has equal codes.
    symbol: u16,
}

/// Returns the number of leaves at each level of the Huffman tree of `leaves`, which are at least
/// two, in ascending order.
fn leaves_by_level<const N: usize>(leaves: &[Leaf]) -> [usize; MAX_LEVELS] {
    // Nodes are made in ascending order of weight, so that the two lightest without a parent are the
    // next leaves, the next nodes, or one of each.
    let nodes = leaves.len() - 1;
    let (mut weights, mut parents) = ([0u64; N], [0usize; N]);
    let mut levels = [0usize; N];
    let mut leaf_parents = [0usize; N];
    let (mut next_leaf, mut next_node) = (0, 0);
    for node in 0..nodes {
        for _ in 0..2 {
            let leaf = leaves.get(next_leaf).map(|leaf| u64::from(leaf.frequency));
            let lightest_node = weights.get(next_node).filter(|_| next_node < node);
            let weight = match (leaf, lightest_node) {
                (Some(leaf), Some(&lighter)) if lighter < leaf => {
                    parents[next_node] = node;
                    next_node += 1;
                    lighter
                }
                (Some(leaf), _) => {
                    leaf_parents[next_leaf] = node;
                    next_leaf += 1;
                    leaf
                }
                (None, lightest_node) => {
                    parents[next_node] = node;
                    next_node += 1;
                    lightest_node.copied().unwrap_or_default()
                }
            };
            weights[node] += weight;
        }
    }
    // The last node is the root; parents follow their children.
    for node in (0..nodes - 1).rev() {
        levels[node] = levels[parents[node]] + 1;
    }
    let mut counts = [0; MAX_LEVELS];
    for parent in leaf_parents.iter().take(leaves.len()) {
        let level = levels[*parent] + 1;
        counts[level.min(MAX_LEVELS - 1)] += 1;
    }
    counts
}

/// Moves leaves deeper than `limit` up, and others down, until the code is complete.
fn shorten(counts: &mut [usize; MAX_LEVELS], limit: usize) {
    for level in limit + 1..MAX_LEVELS {
        counts[limit] += std::mem::take(&mut counts[level]);
    }
    // In units of a code of `limit` bits, of which there are 2^limit (Kraft's inequality).
    let taken = |counts: &[usize; MAX_LEVELS]| -> usize {
        (1..=limit)
            .map(|level| counts[level] << (limit - level))
            .sum()
    };
    for _ in 1 << limit..taken(counts) {
        // A leaf moves down a level, and one of the deepest becomes its sibling: together they take
        // one unit less than before.
        if let Some(level) = (1..limit).rev().find(|level| counts[*level] > 0) {
            counts[level] -= 1;
            counts[level + 1] += 2;
            counts[limit] -= 1;
        }
    }
}

/// Returns the canonical codes of the given lengths, the first bit lowest, as
/// [`super::bits::BitWriter`] takes them.
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [u16; N] {
    let mut counts = [0u16; MAX_CODE_BITS + 1];
    for length in lengths.iter().filter(|length| **length > 0) {
        counts[usize::from(*length) % (MAX_CODE_BITS + 1)] += 1;
    }
    let mut next = [0u16; MAX_CODE_BITS + 1];
    for bits in 1..=MAX_CODE_BITS {
        next[bits] = (next[bits - 1] + counts[bits - 1]) << 1;
    }
    let mut codes = [0; N];
    for (code, length) in codes
        .iter_mut()
        .zip(lengths)
        .filter(|(_, length)| **length > 0)
    {
        let next = &mut next[usize::from(*length) % (MAX_CODE_BITS + 1)];
        *code = next.reverse_bits() >> (16 - u32::from(*length));
        *next = next.wrapping_add(1);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns true if every sequence of bits has a meaning in codes of these lengths (Kraft).
    fn is_complete(lengths: &[u8]) -> bool {
        let used = lengths.iter().filter(|length| **length > 0);
        used.map(|length| 1 << (32 - length)).sum::<u64>() == 1 << 32
    }

    fn bits<const N: usize>(frequencies: &[u32; N], lengths: &[u8; N]) -> u64 {
        let both = frequencies.iter().zip(lengths);
        both.map(|(frequency, length)| u64::from(*frequency) * u64::from(*length))
            .sum()
    }

    /// Returns the bits of an optimal code by its definition: the two lightest become one.
    fn optimal_bits(frequencies: &[u32]) -> u64 {
        let used = frequencies.iter().filter(|frequency| **frequency > 0);
        let mut weights: Vec<u64> = used.map(|frequency| u64::from(*frequency)).collect();
        let mut bits = 0;
        while weights.len() > 1 {
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let two = weights.split_off(weights.len() - 2).iter().sum();
            bits += two;
            weights.push(two);
        }
        bits
    }

    #[test]
    fn codes_are_complete_and_optimal() {
        for seed in 1..200u32 {
            let frequencies: [u32; 40] = std::array::from_fn(|n| {
                let mixed = (seed * 40 + n as u32).wrapping_mul(0x9e37_79b1) >> 7;
                (mixed % 1000) >> (mixed % (seed % 11 + 1))
            });
            let lengths = code_lengths(&frequencies, 15);
            assert!(is_complete(&lengths));
            assert_eq!(bits(&frequencies, &lengths), optimal_bits(&frequencies));
        }
    }

    #[test]
    fn no_code_is_longer_than_the_limit() {
        let mut fibonacci = [1u32; 45];
        for n in 2..45 {
            fibonacci[n] = fibonacci[n - 1] + fibonacci[n - 2];
        }
        for limit in [6, 7, 14, 15] {
            let lengths = code_lengths(&fibonacci, limit);
            assert!(
                lengths
                    .iter()
                    .all(|length| (1..=limit).contains(&usize::from(*length)))
            );
            assert!(is_complete(&lengths));
            // The more frequent, the shorter.
            assert!(lengths.is_sorted_by(|a, b| a >= b));
        }
        let lengths = code_lengths(&[u32::MAX; 288], 14);
        assert!(is_complete(&lengths));
    }

    #[test]
    fn there_are_two_codes_at_least() {
        assert_eq!(code_lengths(&[0; 5], 7), [1, 1, 0, 0, 0]);
        assert_eq!(code_lengths(&[9, 0, 0], 7), [1, 1, 0]);
        assert_eq!(code_lengths(&[0, 0, 9], 7), [1, 0, 1]);
        assert_eq!(code_lengths(&[0, 2, 9], 7), [0, 1, 1]);
    }

    /// RFC 1951 §3.2.2 has this example, with the first bit highest.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let expected = ["010", "011", "100", "101", "110", "00", "1110", "1111"];
        let lengths = [3, 3, 3, 3, 3, 2, 4, 4];
        for (code, expected) in codes(&lengths).iter().zip(expected) {
            let first_highest: String = expected.chars().rev().collect();
            assert_eq!(u16::from_str_radix(&first_highest, 2), Ok(*code));
        }
    }
}
