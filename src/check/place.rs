//! The place in a file that a message is about: messages begin with `file:line: `.

use std::path::Path;

use serde::Serialize;

/// A range of a line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    /// The file as the message names it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column of the first character, from 1.
    pub column: usize,
    /// The column after the last character.
    pub end_column: usize,
}

impl Place {
    /// Returns the place of a message that begins with the file and the line, if there is such a file. The columns
    /// are those of the first word of the message that the line has, quoted ones before others, or else of the whole
    /// line.
    pub(crate) fn of(message: &str) -> Option<Self> {
        let (file, rest) = split(message)?;
        let (number, what) = rest.split_once(": ")?;
        let text = std::fs::read_to_string(file).ok()?;
        let line: usize = number.parse().ok()?;
        let content = text.lines().nth(line.checked_sub(1)?).unwrap_or_default();
        let (column, end_column) = columns(content, what);
        Some(Self {
            file: file.to_owned(),
            line,
            column,
            end_column,
        })
    }

    /// Returns the message without the file and the line.
    pub(crate) fn without_prefix<'a>(&self, message: &'a str) -> &'a str {
        let prefix = format!("{}:{}: ", self.file, self.line);
        message.strip_prefix(&prefix).unwrap_or(message)
    }
}

/// Splits `file:line: …` before the line, where there is such a file. A file's name may have colons.
fn split(message: &str) -> Option<(&str, &str)> {
    let mut colons = message.match_indices(':').map(|(at, _)| at);
    let is_place = |at: &usize| {
        let (file, rest) = message.split_at(*at);
        let digits = rest.trim_start_matches(':').split(':').next();
        let is_line = digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        is_line && Path::new(file).is_file()
    };
    let at = colons.find(is_place)?;
    Some((message.get(..at)?, message.get(at + 1..)?))
}

/// Returns the columns of the first word that the line has: quoted words name what a message is about.
fn columns(line: &str, what: &str) -> (usize, usize) {
    let column = |bytes: usize| line.get(..bytes).unwrap_or_default().chars().count() + 1;
    let quoted = what.split(['`', '\'', '"']).skip(1).step_by(2);
    let found = quoted
        .chain(what.split_whitespace().filter(|word| word.len() > 3))
        .map(|word| word.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ':')))
        .filter(|word| !word.is_empty())
        .find_map(|word| find(line, word).map(|at| (at, word)));
    match found {
        Some((at, word)) => (column(at), column(at + word.len())),
        None => {
            let start = line.len() - line.trim_start().len();
            (
                column(start),
                column(line.trim_end().len()).max(column(start)),
            )
        }
    }
}

/// Finds a word that is no part of a longer one, in any case.
fn find(line: &str, word: &str) -> Option<usize> {
    let (lower, word) = (line.to_ascii_lowercase(), word.to_ascii_lowercase());
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut places = lower.match_indices(&word).map(|(at, _)| at);
    places.find(|at| {
        let before = lower.get(..*at).and_then(|text| text.chars().next_back());
        let after = lower
            .get(at + word.len()..)
            .and_then(|text| text.chars().next());
        let (first, last) = (word.chars().next(), word.chars().next_back());
        !(is_word(before) && is_word(first) || is_word(last) && is_word(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_about_what_it_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a: 1:b.sql");
        std::fs::write(&file, "COPY (\n  SELECT ünit, Prize, prizes\n\n)").unwrap();
        let file = file.display();
        for (message, expected) in [
            (format!("{file}:2: no column `prize`"), Some((2, 16, 21))),
            (
                format!("{file}:2: the column 'x' is prizes"),
                Some((2, 23, 29)),
            ),
            (format!("{file}:2: nothing of it"), Some((2, 3, 29))),
            (format!("{file}:3: an empty line"), Some((3, 1, 1))),
            (format!("{file}:9: beyond"), Some((9, 1, 1))),
            (format!("{file}: no line"), None),
            ("s3://bucket:80: x".to_owned(), None),
            ("nowhere.sql:2: x".to_owned(), None),
        ] {
            let place = Place::of(&message);
            let found = place
                .as_ref()
                .map(|place| (place.line, place.column, place.end_column));
            assert_eq!(found, expected, "{message}");
            if let Some(place) = place {
                assert!(
                    !place.without_prefix(&message).contains(".sql"),
                    "{message}"
                );
            }
        }
    }
}
