//! Minima and maxima for the metadata, truncated to the length that the properties say.

use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

/// A bound for the metadata, and true if it is the exact value.
type Bound = (Vec<u8>, bool);

/// Returns a lower bound of a minimum: its beginning, at most `max_len` bytes if possible.
pub(super) fn lower_bound(value: &[u8], max_len: Option<usize>) -> Bound {
    let truncated = longer_text(value, max_len).and_then(|(text, max_len)| {
        let end = text.floor_char_boundary(max_len);
        (end > 0).then(|| value.get(..end).unwrap_or(value).to_vec())
    });
    truncated.map_or_else(|| (value.to_vec(), true), |bound| (bound, false))
}

/// Returns an upper bound of a maximum: its beginning with the last character incremented, at most
/// `max_len` bytes if possible.
pub(super) fn upper_bound(value: &[u8], max_len: Option<usize>) -> Bound {
    let truncated = longer_text(value, max_len)
        .and_then(|(text, max_len)| increment(text.get(..text.floor_char_boundary(max_len))?));
    truncated.map_or_else(|| (value.to_vec(), true), |bound| (bound, false))
}

/// Returns the text of a value that is longer than `max_len`, with that length.
fn longer_text(value: &[u8], max_len: Option<usize>) -> Option<(&str, usize)> {
    let max_len = max_len.filter(|max_len| value.len() > *max_len)?;
    Some((std::str::from_utf8(value).ok()?, max_len))
}

/// Returns the text up to the last character that has a successor of the same length, replaced by
/// this successor.
fn increment(text: &str) -> Option<Vec<u8>> {
    text.char_indices().rev().find_map(|(at, last)| {
        let next = char::from_u32(last as u32 + 1)?;
        if next.len_utf8() != last.len_utf8() {
            return None;
        }
        let mut incremented = text.get(..at)?.to_owned();
        incremented.push(next);
        Some(incremented.into_bytes())
    })
}

/// Returns the statistics of a page or a chunk.
pub(super) fn statistics(
    bounds: Option<(&[u8], &[u8])>,
    nulls: u64,
    max_len: Option<usize>,
) -> Statistics {
    let min = bounds.map(|(min, _)| lower_bound(min, max_len));
    let max = bounds.map(|(_, max)| upper_bound(max, max_len));
    let is_exact = |bound: &Option<Bound>| bound.as_ref().is_some_and(|(_, exact)| *exact);
    let (min_is_exact, max_is_exact) = (is_exact(&min), is_exact(&max));
    let value = |bound: Option<Bound>| bound.map(|(value, _)| ByteArray::from(value));
    // Text is not ordered by signed bytes, so the fields of old readers stay empty.
    let values = ValueStatistics::new(value(min), value(max), None, Some(nulls), false);
    Statistics::ByteArray(
        values
            .with_min_is_exact(min_is_exact)
            .with_max_is_exact(max_is_exact),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncated(value: &str, max_len: usize) -> (String, String) {
        let text = |(bound, exact): Bound| {
            assert_eq!(exact, bound == value.as_bytes());
            String::from_utf8(bound).unwrap()
        };
        let (lower, upper) = (
            lower_bound(value.as_bytes(), Some(max_len)),
            upper_bound(value.as_bytes(), Some(max_len)),
        );
        (text(lower), text(upper))
    }

    fn both(lower: &str, upper: &str) -> (String, String) {
        (lower.to_owned(), upper.to_owned())
    }

    #[test]
    fn bounds_are_truncated_between_characters() {
        assert_eq!(truncated("abc", 3), both("abc", "abc"));
        assert_eq!(truncated("abcd", 3), both("abc", "abd"));
        assert_eq!(truncated("aéé", 4), both("aé", "aê"));
        assert_eq!(truncated("日本語", 2), both("日本語", "日本語"));
        // DEL has no successor of one byte, the last character no successor at all.
        assert_eq!(truncated("a\u{7f}xx", 2), both("a\u{7f}", "b"));
        assert_eq!(
            truncated("\u{10ffff}x", 4),
            both("\u{10ffff}", "\u{10ffff}x")
        );
        assert_eq!(truncated("\u{d7ff}x", 3), both("\u{d7ff}", "\u{d7ff}x"));
    }
}
