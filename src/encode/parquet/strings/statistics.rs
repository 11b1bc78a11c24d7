//! Minima and maxima for the metadata, cut to the length that the properties ask for.

use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

/// A bound for the metadata, and whether it is a value rather than something beyond it.
type Bound = (Vec<u8>, bool);

/// The beginning of a smallest value: text that is no greater.
pub(super) fn lower_bound(value: &[u8], most: Option<usize>) -> Bound {
    let cut = text_beyond(value, most).and_then(|(text, most)| {
        let end = text.floor_char_boundary(most);
        (end > 0).then(|| value.get(..end).unwrap_or(value).to_vec())
    });
    cut.map_or_else(|| (value.to_vec(), true), |cut| (cut, false))
}

/// The beginning of a greatest value, its last character that can be raised: text that is greater.
pub(super) fn upper_bound(value: &[u8], most: Option<usize>) -> Bound {
    let cut = text_beyond(value, most).and_then(|(text, most)| {
        let text = text.get(..text.floor_char_boundary(most))?;
        raised(text)
    });
    cut.map_or_else(|| (value.to_vec(), true), |cut| (cut, false))
}

/// The text of a value that is longer than `most`.
fn text_beyond(value: &[u8], most: Option<usize>) -> Option<(&str, usize)> {
    let most = most.filter(|most| value.len() > *most)?;
    Some((std::str::from_utf8(value).ok()?, most))
}

/// The text up to the last character that another of the same length follows, and that one in its
/// place.
fn raised(text: &str) -> Option<Vec<u8>> {
    text.char_indices().rev().find_map(|(at, last)| {
        let next = char::from_u32(last as u32 + 1)?;
        if next.len_utf8() != last.len_utf8() {
            return None;
        }
        let mut raised = text.get(..at)?.to_owned();
        raised.push(next);
        Some(raised.into_bytes())
    })
}

/// Statistics of a page or a chunk.
pub(super) fn statistics(
    bounds: Option<(&[u8], &[u8])>,
    nulls: u64,
    most: Option<usize>,
) -> Statistics {
    let (min, max) = match bounds {
        Some((min, max)) => (Some(lower_bound(min, most)), Some(upper_bound(max, most))),
        None => (None, None),
    };
    let is_exact = |bound: &Option<Bound>| bound.as_ref().is_some_and(|(_, exact)| *exact);
    let (min_is_exact, max_is_exact) = (is_exact(&min), is_exact(&max));
    let value = |bound: Option<Bound>| bound.map(|(value, _)| ByteArray::from(value));
    // Text is not ordered by signed bytes, so the fields of old readers stay empty.
    let statistics = ValueStatistics::new(value(min), value(max), None, Some(nulls), false);
    Statistics::ByteArray(
        statistics
            .with_min_is_exact(min_is_exact)
            .with_max_is_exact(max_is_exact),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(value: &str, most: usize) -> (String, String) {
        let text = |(bound, exact): Bound| {
            assert_eq!(exact, bound == value.as_bytes());
            String::from_utf8(bound).unwrap()
        };
        let (lower, upper) = (
            lower_bound(value.as_bytes(), Some(most)),
            upper_bound(value.as_bytes(), Some(most)),
        );
        (text(lower), text(upper))
    }

    fn both(lower: &str, upper: &str) -> (String, String) {
        (lower.to_owned(), upper.to_owned())
    }

    #[test]
    fn bounds_are_cut_between_characters() {
        assert_eq!(cut("abc", 3), both("abc", "abc"));
        assert_eq!(cut("abcd", 3), both("abc", "abd"));
        assert_eq!(cut("aéé", 4), both("aé", "aê"));
        assert_eq!(cut("日本語", 2), both("日本語", "日本語"));
        // Nothing of one byte follows DEL, nothing at all the last character of all.
        assert_eq!(cut("a\u{7f}xx", 2), both("a\u{7f}", "b"));
        assert_eq!(cut("\u{10ffff}x", 4), both("\u{10ffff}", "\u{10ffff}x"));
        assert_eq!(cut("\u{d7ff}x", 3), both("\u{d7ff}", "\u{d7ff}x"));
    }
}
