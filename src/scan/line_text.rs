//! The text of a malformed line, bounded: for the operator, who has to find out what is wrong with it.

use serde::{Deserialize, Serialize};

use crate::jsonl::BadLine;

/// The maximum size of the text that is kept of a line, in bytes. Of an oversized line, the reader keeps
/// as many.
const MAX_TEXT_BYTES: usize = 4096;

/// The maximum size of the text that is kept of a value, in bytes.
const MAX_VALUE_BYTES: usize = 200;

/// The beginning of a malformed line, and that of the value that makes it so. Bytes that are not UTF-8 are
/// replaced by U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineText {
    /// The value that is rejected, as it is written in the line; `None` if the line is rejected for
    /// another reason.
    pub value: Option<String>,
    /// The text of the line.
    pub line: String,
}

impl LineText {
    /// Takes the text of a malformed line. `line` is its whole text, or the beginning of a long one.
    pub(super) fn of(bad: &BadLine, line: &[u8]) -> Self {
        let value = bad.value(line).filter(|value| !value.is_empty());
        Self {
            value: value.map(|value| beginning(value, MAX_VALUE_BYTES)),
            line: beginning(line, MAX_TEXT_BYTES),
        }
    }

    /// Returns the size of the texts, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.line.len() + self.value.as_ref().map_or(0, String::len)
    }
}

/// Returns the beginning of a text, at most `max_bytes` of it, without a part of a character at its end.
fn beginning(text: &[u8], max_bytes: usize) -> String {
    let is_continuation = |at: usize| text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let mut end = max_bytes.min(text.len());
    // A character has at most three continuation bytes. More of them are none.
    for _ in 0..3 {
        if is_continuation(end) {
            end -= 1;
        }
    }
    String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, max_bytes, kept) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("a\u{e9}b", 2, "a"),
            ("a\u{e9}b", 3, "a\u{e9}"),
            ("\u{1f600}x", 3, ""),
            ("\u{1f600}x", 4, "\u{1f600}"),
            ("", 9, ""),
        ] {
            assert_eq!(beginning(text.as_bytes(), max_bytes), kept, "{text}");
        }
        assert_eq!(beginning(b"a\xFFb", 9), "a\u{fffd}b");
        assert_eq!(beginning(&[0x80; 9], 5).chars().count(), 2);
    }

    #[test]
    fn the_value_is_that_of_the_fault() {
        let bad = |value_at| BadLine {
            line: 1,
            offset: 0,
            length: 0,
            reason: String::new(),
            field: None,
            value_at,
            is_record: false,
        };
        let line = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_TEXT_BYTES));
        let text = LineText::of(&bad(Some(5)), line.as_bytes());
        assert_eq!(text.value, Some(line[5..5 + MAX_VALUE_BYTES].to_owned()));
        assert_eq!(text.line, line[..MAX_TEXT_BYTES]);
        assert_eq!(text.bytes(), MAX_TEXT_BYTES + MAX_VALUE_BYTES);
        // A value behind the text that is left of an oversized line.
        assert_eq!(LineText::of(&bad(Some(5)), b"{\"a\"").value, None);
        assert_eq!(LineText::of(&bad(None), b"x").value, None);
    }
}
