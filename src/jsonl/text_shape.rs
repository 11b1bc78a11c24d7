//! Recognizes what a text looks like of which no line is a row.

mod first_value;
mod list_key;
mod plain_text;
mod shape;
#[cfg(test)]
mod tests;

use serde_json::Deserializer;

use crate::jsonl::content::{HEAD_BYTES, is_text};
use crate::jsonl::text_shape::first_value::{FirstValue, first_value};

pub use self::shape::TextShape;

/// The separator in front of each value of a JSON text sequence (RFC 7464).
const RECORD_SEPARATOR: u8 = 0x1e;

impl TextShape {
    /// Recognizes the form of a text from its beginning, which ends with a line or the file.
    ///
    /// `is_declared` is true for the keys of columns: an object with such a key is a line, and is not
    /// taken for the frame of others. Returns `None` if the text begins with a line of the usual form.
    pub fn of(text: &[u8], is_declared: impl Fn(&str) -> bool) -> Option<Self> {
        let text = text.trim_ascii_start();
        let head = text.get(..HEAD_BYTES).unwrap_or(text);
        match head.first()? {
            &RECORD_SEPARATOR => return Some(Self::TextSequence),
            _ if is_text(head) => {}
            _ if has_no_control(head) => return Some(Self::NotUtf8),
            _ => return Some(Self::Binary),
        }
        match head.first()? {
            b'{' => Self::of_objects(text, is_declared),
            b'[' => Self::of_lists(text),
            b'"' => Self::of_strings(text),
            _ => Some(Self::of_other(text)),
        }
    }

    fn of_objects(text: &[u8], is_declared: impl Fn(&str) -> bool) -> Option<Self> {
        let (first, rest) = match first_value(text) {
            FirstValue::Complete { length } => text.split_at_checked(length)?,
            FirstValue::Unfinished => {
                let next_line = memchr::memchr(b'\n', text).and_then(|end| text.get(end..));
                let has_more = next_line.is_some_and(|more| !more.trim_ascii().is_empty());
                let by_returns = next_line.is_none() && text.contains(&b'\r');
                return (has_more || by_returns).then_some(Self::PrettyPrinted);
            }
            FirstValue::Malformed { line } if line > 1 => {
                let first_line = text.split(|byte| *byte == b'\n').next()?;
                let is_cut = matches!(first_value(first_line), FirstValue::Unfinished);
                return is_cut.then_some(Self::PrettyPrinted);
            }
            FirstValue::Malformed { .. } => return of_first_key(text),
        };
        if let Some(key) = list_key::list_key(first, is_declared) {
            return Some(Self::ObjectsInList(key));
        }
        let is_line = !first.contains(&b'\n') && !first.contains(&b'\r');
        let behind = rest.trim_ascii_start();
        let gap = rest.get(..rest.len() - behind.len()).unwrap_or_default();
        if !is_line {
            return Some(Self::PrettyPrinted);
        }
        match behind.first()? {
            b',' => Some(Self::CommaSeparated),
            b'\\' if behind.starts_with(b"\\n") || behind.starts_with(b"\\r") => {
                Some(Self::EscapedLineEnds)
            }
            b'{' if gap.contains(&b'\n') => None,
            b'{' if gap.contains(&b'\r') => Some(Self::CarriageReturns),
            b'{' => Some(Self::Joined),
            _ => None,
        }
    }

    fn of_lists(text: &[u8]) -> Option<Self> {
        match first_value(text) {
            FirstValue::Complete { length } => {
                let rest = text.get(length..)?;
                let is_alone = rest.trim_ascii().is_empty();
                Some(match is_alone {
                    true => Self::Array,
                    false => Self::ListLines,
                })
            }
            FirstValue::Unfinished => Some(Self::Array),
            // A list that is damaged further down, or another text that begins so.
            FirstValue::Malformed { .. } => {
                let item = text.get(1..)?.trim_ascii_start();
                Some(match item.starts_with(b"{\"") {
                    true => Self::Array,
                    false => Self::of_other(text),
                })
            }
        }
    }

    fn of_strings(text: &[u8]) -> Option<Self> {
        let mut strings = Deserializer::from_slice(text).into_iter::<String>();
        match strings.next() {
            Some(Ok(inner)) if inner.trim_start().starts_with('{') => Some(Self::EncodedTwice),
            _ => Some(Self::of_other(text)),
        }
    }

    fn of_other(text: &[u8]) -> Self {
        plain_text::shape_of(text)
    }
}

/// Recognizes an object that is not JSON by what its first key begins with.
fn of_first_key(text: &[u8]) -> Option<TextShape> {
    match text.get(1..)?.trim_ascii_start().first()? {
        b'\'' => Some(TextShape::SingleQuotes),
        letter if letter.is_ascii_alphabetic() || *letter == b'_' => Some(TextShape::BareKeys),
        _ => None,
    }
}

/// Returns true if there is no control character that text does not have.
fn has_no_control(head: &[u8]) -> bool {
    let ascii: Vec<u8> = head.iter().copied().filter(u8::is_ascii).collect();
    is_text(&ascii)
}
