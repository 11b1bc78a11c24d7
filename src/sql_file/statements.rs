//! The statements of a file that may have several, each as a file of its own.

use std::iter::repeat_n;

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Whitespace};

use crate::error::Result;
use crate::sql_file::SqlFile;

impl SqlFile {
    /// Returns each statement of the file with the comments in front of it, as a file of the same name whose
    /// lines are those of this file. A comment that begins on the line on which a statement ends belongs to that
    /// statement, and is left out.
    pub(crate) fn statements(&self) -> Result<Vec<SqlFile>> {
        let mut statements = Vec::new();
        let mut part = Part::default();
        for token in &self.tokens {
            match &token.token {
                Token::SemiColon => {
                    statements.extend(self.statement_of(&std::mem::take(&mut part))?);
                    part.ended_on = Some(token.span.start.line);
                }
                Token::EOF => {}
                _ => part.push(token),
            }
        }
        statements.extend(self.statement_of(&part)?);
        Ok(statements)
    }

    /// Returns a part of the file, unless there is nothing in it but comments.
    fn statement_of(&self, part: &Part<'_>) -> Result<Option<SqlFile>> {
        let (Some(first), Some(last)) = (part.tokens.first(), part.tokens.last()) else {
            return Ok(None);
        };
        if !part.has_code {
            return Ok(None);
        }
        let (start, end) = (first.span.start, last.span.end);
        let (from, to) = (self.offset_of(start), self.offset_of(end));
        let text = self.text.get(from..to).unwrap_or_default();
        let lines = usize::try_from(start.line.saturating_sub(1)).unwrap_or(0);
        let columns = usize::try_from(start.column.saturating_sub(1)).unwrap_or(0);
        let padding = repeat_n('\n', lines).chain(repeat_n(' ', columns));
        let padded: String = padding.chain(text.chars()).collect();
        SqlFile::new(self.name.clone(), padded).map(Some)
    }

    /// Returns the byte at a position, whose column counts characters.
    fn offset_of(&self, position: Location) -> usize {
        let line = usize::try_from(position.line.saturating_sub(1)).unwrap_or(0);
        let column = usize::try_from(position.column.saturating_sub(1)).unwrap_or(0);
        let start: usize = self
            .text
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let rest = self.text.get(start..).unwrap_or_default();
        let within = rest.char_indices().nth(column);
        start + within.map_or(rest.len(), |(offset, _)| offset)
    }
}

/// The tokens of one statement.
#[derive(Default)]
struct Part<'a> {
    tokens: Vec<&'a TokenWithSpan>,
    has_code: bool,
    /// The line on which the statement before ended.
    ended_on: Option<u64>,
}

impl<'a> Part<'a> {
    fn push(&mut self, token: &'a TokenWithSpan) {
        let is_space = matches!(token.token, Token::Whitespace(_));
        let is_comment = matches!(
            token.token,
            Token::Whitespace(
                Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)
            )
        );
        let belongs_before = self.ended_on == Some(token.span.start.line);
        if self.tokens.is_empty() && is_space && (!is_comment || belongs_before) {
            return;
        }
        self.has_code |= !is_space;
        self.tokens.push(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> Vec<SqlFile> {
        let file = SqlFile::new("x.sql".to_owned(), text.to_owned()).unwrap();
        file.statements().unwrap()
    }

    #[test]
    fn statements_keep_their_lines_and_their_comments() {
        let text = "-- One; of two.\nSELECT 'é;' FROM a; -- of the first\n-- Two.\n  SELECT 2 FROM b\n;\n-- the end\n";
        let found = statements(text);
        let shown: Vec<(u64, Option<String>, &str)> = found
            .iter()
            .map(|file| {
                (
                    file.first_line(),
                    file.leading_comment(),
                    file.text().trim(),
                )
            })
            .collect();
        let expected = [
            (
                2,
                Some("One; of two.".to_owned()),
                "-- One; of two.\nSELECT 'é;' FROM a",
            ),
            (4, Some("Two.".to_owned()), "-- Two.\n  SELECT 2 FROM b"),
        ];
        assert_eq!(shown, expected);
        assert!(statements("-- nothing\n;;\n").is_empty());
    }

    #[test]
    fn two_statements_on_a_line_keep_their_columns() {
        let found = statements("SELECT 1; SELECT 2");
        assert_eq!(found[1].text(), "          SELECT 2");
    }
}
