//! Reasons why a line is malformed, in words for the person who has to fix it.

use arrow::error::ArrowError;

/// The fault of a line: why it is malformed, and where. No part of it quotes a value, so that it may be
/// stored at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineFault {
    /// The reason in words, with the field.
    pub(crate) reason: String,
    /// The path of the field, such as `client.title`; `None` if the fault is none of a declared field.
    pub(crate) field: Option<String>,
    /// The offset in the line of the value that is rejected, in bytes, if there is one.
    pub(crate) value_at: Option<usize>,
}

impl LineFault {
    /// Creates a fault that is none of a field.
    pub(crate) fn of_line(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            field: None,
            value_at: None,
        }
    }
}

/// Turns the decoder's error about one line into a fault, which names the field and no value.
///
/// ```text
/// Json error: whilst decoding field 'a': whilst decoding field 'b': expected string got 1
///   → field `a.b`: the value does not fit the column's type
/// ```
pub(crate) fn fault(error: &ArrowError) -> LineFault {
    let message = match error {
        ArrowError::JsonError(message) => message.clone(),
        other => other.to_string(),
    };
    let mut fields = Vec::new();
    let mut rest = message.as_str();
    while let Some((field, inner)) = rest
        .strip_prefix("whilst decoding field '")
        .and_then(|rest| rest.split_once("': "))
    {
        fields.push(field);
        rest = inner;
    }
    if fields.is_empty() {
        return LineFault::of_line("a value does not fit its column's type");
    }
    let path = fields.join(".");
    LineFault {
        reason: format!("field `{path}`: the value does not fit the column's type"),
        field: Some(path),
        value_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_by_their_path_and_values_are_not_quoted() {
        let reason_of = |message: &str| fault(&ArrowError::JsonError(message.to_owned())).reason;
        assert_eq!(
            reason_of(
                "whilst decoding field 'a': whilst decoding field 'b': expected string got 1"
            ),
            "field `a.b`: the value does not fit the column's type"
        );
        assert_eq!(
            reason_of("failed to parse secret as Time64"),
            "a value does not fit its column's type"
        );
    }
}
