//! The symbols of lengths and distances, and their extra bits (RFC 1951 §3.2.5).

/// The number of symbols of literals, the end of a block, and lengths. The last two never occur, but
/// have fixed codes.
pub(super) const LITERALS_AND_LENGTHS: usize = 288;
pub(super) const END_OF_BLOCK: usize = 256;
/// The symbol of the shortest length.
pub(super) const FIRST_LENGTH: usize = 257;
/// The number of distance symbols.
pub(super) const DISTANCES: usize = 30;

/// The minimum length of a match, in bytes.
pub(super) const MIN_LENGTH: u32 = 3;
/// The maximum length of a match, in bytes.
pub(super) const MAX_LENGTH: u32 = 258;
/// The maximum distance of a match, in bytes.
pub(super) const MAX_DISTANCE: u32 = 32_768;

/// The number of extra bits after each symbol from [`FIRST_LENGTH`] on.
pub(super) const LENGTH_EXTRA: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];

/// A symbol of a length or distance, counted from the first of its kind, and its extra bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CodedSymbol {
    pub(super) symbol: u8,
    pub(super) extra: u16,
    pub(super) extra_bits: u8,
}

/// The coded lengths, by [`length_index`].
pub(super) const LENGTHS: [CodedSymbol; 256] = lengths();

/// Returns the index of a length in [`LENGTHS`].
#[inline(always)]
pub(super) fn length_index(length: u16) -> u8 {
    length.wrapping_sub(MIN_LENGTH as u16) as u8
}

const fn lengths() -> [CodedSymbol; 256] {
    let mut lengths = [CodedSymbol {
        symbol: 0,
        extra: 0,
        extra_bits: 0,
    }; 256];
    let (mut symbol, mut length) = (0, 0);
    while symbol < LENGTH_EXTRA.len() {
        // The maximum length has a symbol of its own, though the one before could express it.
        if symbol + 1 == LENGTH_EXTRA.len() {
            length -= 1;
        }
        let extra_bits = LENGTH_EXTRA[symbol];
        let mut extra = 0;
        while extra < 1 << extra_bits {
            lengths[length] = CodedSymbol {
                symbol: symbol as u8,
                extra,
                extra_bits,
            };
            length += 1;
            extra += 1;
        }
        symbol += 1;
    }
    lengths
}

/// Returns the number of extra bits after a distance symbol.
pub(super) fn distance_extra(symbol: usize) -> u32 {
    (symbol as u32 / 2).saturating_sub(1)
}

/// Returns the code of a distance from 1 to [`MAX_DISTANCE`].
#[inline(always)]
pub(super) fn coded_distance(distance: u16) -> CodedSymbol {
    let distance = u32::from(distance.wrapping_sub(1)) & (MAX_DISTANCE - 1);
    // From 2 on there are two symbols for each number of extra bits.
    let extra_bits = (distance | 2).ilog2() - 1;
    CodedSymbol {
        symbol: (2 * extra_bits + (distance >> extra_bits)) as u8,
        extra: (distance & ((1 << extra_bits) - 1)) as u16,
        extra_bits: extra_bits as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1951 §3.2.5: the first value of each symbol.
    const LENGTH_BASES: [u32; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
        131, 163, 195, 227, 258,
    ];
    const DISTANCE_BASES: [u32; 30] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
        2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
    ];

    fn check(value: u32, bases: &[u32], coded: CodedSymbol, extra_bits: u32) {
        let symbol = bases.iter().rposition(|base| *base <= value).unwrap();
        let extra = value - bases[symbol];
        assert_eq!(usize::from(coded.symbol), symbol, "{value}");
        assert_eq!(u32::from(coded.extra), extra, "{value}");
        assert_eq!(u32::from(coded.extra_bits), extra_bits, "{value}");
        assert!(extra < 1 << extra_bits, "{value}");
    }

    #[test]
    fn lengths_are_coded_as_in_the_rfc() {
        for length in MIN_LENGTH..=MAX_LENGTH {
            let coded = LENGTHS[usize::from(length_index(length as u16))];
            let extra_bits = LENGTH_EXTRA[usize::from(coded.symbol)];
            check(length, &LENGTH_BASES, coded, extra_bits.into());
        }
    }

    #[test]
    fn distances_are_coded_as_in_the_rfc() {
        for distance in 1..=MAX_DISTANCE {
            let coded = coded_distance(distance as u16);
            let extra_bits = distance_extra(coded.symbol.into());
            check(distance, &DISTANCE_BASES, coded, extra_bits);
        }
    }
}
