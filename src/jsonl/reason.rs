//! Reasons why a line is malformed, in words for the person who has to fix it.

use arrow::error::ArrowError;

/// Turns the decoder's error about one line into a reason, which names the field and no value.
///
/// ```text
/// Json error: whilst decoding field 'a': whilst decoding field 'b': expected string got 1
///   → field `a.b`: the value does not fit the column's type
/// ```
pub(crate) fn reason(error: &ArrowError) -> String {
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
        return "a value does not fit its column's type".to_owned();
    }
    format!(
        "field `{}`: the value does not fit the column's type",
        fields.join(".")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_by_their_path_and_values_are_not_quoted() {
        let reason_of = |message: &str| reason(&ArrowError::JsonError(message.to_owned()));
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
