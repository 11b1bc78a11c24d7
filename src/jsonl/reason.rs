//! Reasons why a line is malformed, in words for the person who has to fix it.

use arrow::error::ArrowError;

/// The maximum length of a message that quotes values, in characters.
const MAX_REASON_CHARS: usize = 200;

/// Turns the decoder's error about one line into a reason.
///
/// ```text
/// Json error: whilst decoding field 'a': whilst decoding field 'b': expected string got 1
///   → field `a.b`: expected string got 1
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
    let missing_field = rest
        .strip_prefix("Encountered unmasked nulls in non-nullable StructArray child: Field { \"")
        .and_then(|rest| rest.split_once("\": "));
    if let Some((field, _)) = missing_field {
        fields.push(field);
        return format!("required field `{}` is missing or null", fields.join("."));
    }
    let problem = truncated(rest);
    if fields.is_empty() {
        return format!("not valid JSON: {problem}");
    }
    format!("field `{}`: {problem}", fields.join("."))
}

/// Returns the reason of a line that does not begin with an object.
pub(crate) fn no_object(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.trim_ascii());
    format!(
        "a JSON object is expected, found `{}`",
        text.chars().take(20).collect::<String>()
    )
}

fn truncated(text: &str) -> String {
    match text.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason_of(message: &str) -> String {
        reason(&ArrowError::JsonError(message.to_owned()))
    }

    #[test]
    fn fields_are_named_by_their_path() {
        assert_eq!(
            reason_of(
                "whilst decoding field 'a': whilst decoding field 'b': expected string got 1"
            ),
            "field `a.b`: expected string got 1"
        );
        assert_eq!(
            reason_of(
                "Encountered unmasked nulls in non-nullable StructArray child: Field { \"id\": Utf8 }"
            ),
            "required field `id` is missing or null"
        );
        assert_eq!(
            reason_of("Encountered unexpected 'x' whilst parsing value"),
            "not valid JSON: Encountered unexpected 'x' whilst parsing value"
        );
    }

    #[test]
    fn long_values_are_cut() {
        let long = reason_of(&format!(
            "whilst decoding field 'a': got {}",
            "é".repeat(1000)
        ));
        assert!(long.ends_with("é…") && long.chars().count() < 230);
        assert_eq!(
            no_object(b" [1, 2] "),
            "a JSON object is expected, found `[1, 2]`"
        );
    }
}
