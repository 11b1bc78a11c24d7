//! The first value of a text of JSON.

use serde::de::IgnoredAny;
use serde_json::Deserializer;
use serde_json::error::Category;

/// The first value of a text of JSON.
pub(super) enum FirstValue {
    Complete {
        /// The length of the value, in bytes.
        length: usize,
    },
    /// The text ends before the value does.
    Unfinished,
    Malformed {
        /// The line of the error, from 1.
        line: usize,
    },
}

/// Reads the first value of a text.
pub(super) fn first_value(text: &[u8]) -> FirstValue {
    let mut values = Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => FirstValue::Complete {
            length: values.byte_offset(),
        },
        Some(Err(error)) if error.classify() != Category::Eof => {
            FirstValue::Malformed { line: error.line() }
        }
        _ => FirstValue::Unfinished,
    }
}
