//! Splits text into SQL statements at the semicolons that end them.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// The statements of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statements<'a> {
    /// The statements that end with a semicolon, without it.
    pub complete: Vec<&'a str>,
    /// The text after the last semicolon; empty if it is blank or a comment.
    pub incomplete: &'a str,
}

/// Splits text at semicolons, but not at those in quotes and comments. Text with a quote or a
/// comment that does not end is incomplete as a whole.
pub(crate) fn split(text: &str) -> Statements<'_> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    let Ok(tokens) = tokens else {
        return Statements {
            complete: Vec::new(),
            incomplete: text,
        };
    };
    let mut complete = Vec::new();
    let (mut start, mut has_code) = (0, false);
    for TokenWithSpan { token, span } in &tokens {
        match token {
            Token::SemiColon => {
                if has_code {
                    complete.push(text[start..offset(text, span.start)].trim());
                }
                (start, has_code) = (offset(text, span.end), false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => has_code = true,
        }
    }
    let incomplete = match has_code {
        true => text[start..].trim(),
        false => "",
    };
    Statements {
        complete,
        incomplete,
    }
}

/// Returns the byte offset of a location, which counts lines and characters from 1.
fn offset(text: &str, location: Location) -> usize {
    let lines_before = location.line.saturating_sub(1) as usize;
    let line_start: usize = text
        .split_inclusive('\n')
        .take(lines_before)
        .map(str::len)
        .sum();
    let column = location.column.saturating_sub(1) as usize;
    let line = text[line_start..].char_indices();
    let in_line = line.map(|(index, _)| index).nth(column);
    in_line.map_or(text.len(), |index| line_start + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, complete: &[&str], incomplete: &str) {
        let expected = Statements {
            complete: complete.to_vec(),
            incomplete,
        };
        assert_eq!(split(text), expected, "{text:?}");
    }

    #[test]
    fn semicolons_end_statements() {
        check("SELECT 1;", &["SELECT 1"], "");
        check(" SELECT 1 ;\nSELECT\n 2; ", &["SELECT 1", "SELECT\n 2"], "");
        check("SELECT 1; SELECT 2", &["SELECT 1"], "SELECT 2");
        check("é; ü;\nö", &["é", "ü"], "ö");
        check("", &[], "");
        check(";;  ;", &[], "");
    }

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_split() {
        check("SELECT ';' , \";\";", &["SELECT ';' , \";\""], "");
        check("SELECT 'it''s;'; x", &["SELECT 'it''s;'"], "x");
        check("SELECT 1 -- ; no\n;", &["SELECT 1 -- ; no"], "");
        check("SELECT /* ; */ 1;", &["SELECT /* ; */ 1"], "");
        check("SELECT 1; -- done", &["SELECT 1"], "");
        check("-- only this\n;", &[], "");
    }

    #[test]
    fn text_with_an_open_quote_or_comment_is_incomplete() {
        for text in ["SELECT 'a;", "SELECT 1; SELECT \"b;", "SELECT /* ;"] {
            check(text, &[], text);
        }
    }
}
