//! Values of sample rows as text of a bounded length.

use serde_json::Value;

use crate::visible::visible_line;

/// The maximum length of a value, in characters.
const MAX_LENGTH: usize = 60;

/// The characters that are kept before the first difference of two long values.
const BEFORE_DIFFERENCE: usize = 20;

/// Returns a value: a string in quotes, NULL in capitals.
pub(super) fn value(value: &Value) -> String {
    cut(&whole(value), 0)
}

/// Returns two values, of which the parts that differ are shown.
pub(super) fn pair(left: &Value, right: &Value) -> (String, String) {
    let (left, right) = (whole(left), whole(right));
    let is_long = |text: &str| text.chars().count() > MAX_LENGTH;
    let same = left.chars().zip(right.chars());
    let start = match is_long(&left) || is_long(&right) {
        true => same.take_while(|(left, right)| left == right).count(),
        false => 0,
    };
    let start = match start > BEFORE_DIFFERENCE * 2 {
        true => start - BEFORE_DIFFERENCE,
        false => 0,
    };
    (cut(&left, start), cut(&right, start))
}

/// Returns a key: its values, separated by commas.
pub(super) fn key(values: &[Value]) -> String {
    let values: Vec<String> = values.iter().map(value).collect();
    values.join(", ")
}

fn whole(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        value => visible_line(&value.to_string()).into_owned(),
    }
}

/// Cuts a text to the maximum length, from the character `start`.
fn cut(text: &str, start: usize) -> String {
    let mut cut = String::new();
    if start > 0 {
        cut.push('…');
    }
    let mut rest = text.chars().skip(start);
    cut.extend(rest.by_ref().take(MAX_LENGTH));
    if rest.next().is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_told_from_texts_and_long_values_from_each_other() {
        assert_eq!(value(&Value::Null), "NULL");
        assert_eq!(value(&json!("NULL")), "\"NULL\"");
        assert_eq!(
            value(&json!("a\u{1b}[31m\u{202e}")),
            "\"a\\u001b[31m\\u{202e}\""
        );
        let long = |end: &str| json!(format!("{}{end}", "x".repeat(200)));
        let (left, right) = pair(&long("left"), &long("right"));
        assert_eq!(left, format!("…{}left\"", "x".repeat(20)));
        assert_eq!(right, format!("…{}right\"", "x".repeat(20)));
        assert_eq!(value(&long("")).chars().count(), MAX_LENGTH + 1);
    }
}
