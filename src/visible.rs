//! Makes invisible characters of data visible, before text goes to a terminal.
//!
//! Names of files, values, fields and answers of servers may hold characters that control a terminal
//! or change the order in which text is shown. Messages show them as escapes, such as `\u{1b}`.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns text of one or more lines in which only newlines and tabs are left of the characters that
/// are not visible.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| is_invisible(c) && !matches!(c, '\n' | '\t'),
        |escapes, c| escapes.extend(c.escape_default()),
    )
}

/// Returns text that stays within its line: its newlines are escaped, too.
pub(crate) fn visible_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_invisible, |escapes, c| {
        escapes.extend(c.escape_default());
    })
}

/// Returns JSON with the same values, in which invisible characters of strings are escaped.
pub(crate) fn visible_json(json: &str) -> Cow<'_, str> {
    // serde_json escapes C0. Outside of strings, JSON has no others than these two and spaces.
    escaped(
        json,
        |c| is_invisible(c) && !c.is_ascii_whitespace(),
        |escapes, c| {
            let _ = write!(escapes, "\\u{:04x}", u32::from(c));
        },
    )
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escapes = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_escaped(c) {
            true => escape(&mut escapes, c),
            false => escapes.push(c),
        }
    }
    Cow::Owned(escapes)
}

/// Returns true for control characters (C0, DEL, C1), separators of lines and paragraphs, and those
/// without width, among them the ones that change the direction of text.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped() {
        let data = "a\u{1b}[31mb\rc\u{7f}d\u{9b}e\u{202e}f\u{2066}g\u{200b}h\u{feff}i\u{2028}j\0";
        let shown = "a\\u{1b}[31mb\\rc\\u{7f}d\\u{9b}e\\u{202e}f\\u{2066}g\\u{200b}h\\u{feff}\
                     i\\u{2028}j\\u{0}";
        assert_eq!(visible(data), shown);
        assert_eq!(visible_line(data), shown);
        let text = "caf\u{e9} \u{4e16}\u{754c} \u{1f600} \u{627}\u{644}";
        assert_eq!(visible_line(text), text);
    }

    #[test]
    fn only_lines_of_our_own_end() {
        assert_eq!(visible("one\n\ttwo\n"), "one\n\ttwo\n");
        assert_eq!(visible_line("one\n\terror: two"), "one\\n\\terror: two");
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{1b}\u{7f}\u{202e}\n", "\u{feff}"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = visible_json(&text);
        assert!(shown.contains("\\u009b") && shown.contains("\\u202e") && shown.is_ascii());
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, value);
    }
}
