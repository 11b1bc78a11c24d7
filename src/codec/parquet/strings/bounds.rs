//! The minimum and maximum value of a page.

use std::cmp::Ordering;

/// The bounds of a page, as offsets in the buffer of its values, each of which follows its length.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    min_max: Option<MinMax>,
}

/// The minimum and maximum so far.
#[derive(Debug, Clone, Copy)]
struct MinMax {
    min: BoundCandidate,
    max: BoundCandidate,
}

/// A value that may be a bound.
#[derive(Debug, Clone, Copy)]
struct BoundCandidate {
    /// The first bytes of the value as a number, which decides most comparisons.
    prefix: u64,
    at: usize,
}

/// Returns the value at `at` of `buffer`, where its length precedes it.
pub(super) fn value_at(buffer: &[u8], at: usize) -> &[u8] {
    let value = buffer.get(at..).and_then(|rest| {
        let (len, rest) = rest.split_first_chunk::<4>()?;
        rest.get(..u32::from_le_bytes(*len) as usize)
    });
    value.unwrap_or_default()
}

/// Returns true if two values are equal; most are short, so that a call to the C library would take
/// most of the time.
#[inline(always)]
pub(super) fn is_equal(a: &[u8], b: &[u8]) -> bool {
    #[inline(always)]
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
        let first = a.first_chunk::<N>()? == b.first_chunk::<N>()?;
        Some(first & (a.last_chunk::<N>()? == b.last_chunk::<N>()?))
    }
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0 => true,
        1 => a.first() == b.first(),
        2..4 => ends::<2>(a, b) == Some(true),
        4..8 => ends::<4>(a, b) == Some(true),
        8..16 => ends::<8>(a, b) == Some(true),
        16..32 => ends::<16>(a, b) == Some(true),
        32..64 => ends::<32>(a, b) == Some(true),
        64..=128 => ends::<64>(a, b) == Some(true),
        _ => a == b,
    }
}

/// Returns the first 8 bytes of a value as a number of the same order.
#[inline]
fn prefix(value: &[u8]) -> u64 {
    if let Some(first) = value.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(value) {
        *to = *from;
    }
    u64::from_be_bytes(first)
}

impl Bounds {
    /// Adds `value`, which is at `at` of `buffer`.
    #[inline]
    pub(super) fn add(&mut self, buffer: &[u8], value: &[u8], at: usize) {
        let candidate = BoundCandidate {
            prefix: prefix(value),
            at,
        };
        let Some(MinMax { min, max }) = &mut self.min_max else {
            self.min_max = Some(MinMax {
                min: candidate,
                max: candidate,
            });
            return;
        };
        let cmp = |bound: &BoundCandidate| {
            let by_prefix = candidate.prefix.cmp(&bound.prefix);
            by_prefix.then_with(|| value.cmp(value_at(buffer, bound.at)))
        };
        if candidate.prefix <= min.prefix && cmp(min) == Ordering::Less {
            *min = candidate;
        } else if candidate.prefix >= max.prefix && cmp(max) == Ordering::Greater {
            *max = candidate;
        }
    }

    /// Returns the minimum and maximum of the values added since the last call.
    pub(super) fn take<'a>(&mut self, buffer: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let MinMax { min, max } = self.min_max.take()?;
        Some((value_at(buffer, min.at), value_at(buffer, max.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_equal_only_with_all_bytes() {
        for len in 0..200 {
            let one: Vec<u8> = (0..len).map(|n| n as u8).collect();
            assert!(is_equal(&one, &one.clone()));
            assert!(!is_equal(&one, &[one.as_slice(), b"x"].concat()));
            for at in 0..len {
                let mut other = one.clone();
                other[at] ^= 0x40;
                assert!(!is_equal(&one, &other), "{len}, {at}");
            }
        }
    }

    #[test]
    fn bounds_are_those_of_all_values() {
        let values = [
            "b",
            "",
            "b\0",
            "prefix alike 1",
            "prefix alike 0",
            "prefix a",
            "é",
            "\0",
            "a",
        ];
        for first in 0..values.len() {
            for last in first + 1..=values.len() {
                let (mut buffer, mut bounds) = (Vec::new(), Bounds::default());
                for value in &values[first..last] {
                    let at = buffer.len();
                    buffer.extend((value.len() as u32).to_le_bytes());
                    buffer.extend(value.as_bytes());
                    bounds.add(&buffer, value.as_bytes(), at);
                }
                let expected = (
                    values[first..last].iter().min(),
                    values[first..last].iter().max(),
                );
                let found = bounds.take(&buffer).unwrap();
                assert_eq!(found.0, expected.0.unwrap().as_bytes());
                assert_eq!(found.1, expected.1.unwrap().as_bytes());
                assert!(bounds.take(&buffer).is_none());
            }
        }
    }
}
