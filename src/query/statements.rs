//! Text into SQL statements, at the semicolons that end them.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// The statements of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statements<'a> {
    /// Without their semicolons.
    pub ended: Vec<&'a str>,
    /// What follows the last semicolon; empty if it is blank or a comment.
    pub open: &'a str,
}

/// Splits at semicolons, but not at those in quotes and comments. A text with a quote or a comment
/// that does not end is open as a whole.
pub fn split(text: &str) -> Statements<'_> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    let Ok(tokens) = tokens else {
        return Statements {
            ended: Vec::new(),
            open: text,
        };
    };
    let mut ended = Vec::new();
    let (mut start, mut has_code) = (0, false);
    for TokenWithSpan { token, span } in &tokens {
        match token {
            Token::SemiColon => {
                if has_code {
                    ended.push(text[start..offset(text, span.start)].trim());
                }
                (start, has_code) = (offset(text, span.end), false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => has_code = true,
        }
    }
    let open = match has_code {
        true => text[start..].trim(),
        false => "",
    };
    Statements { ended, open }
}

/// In bytes; locations count lines and characters from 1.
fn offset(text: &str, location: Location) -> usize {
    let before = location.line.saturating_sub(1) as usize;
    let line_start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    let column = location.column.saturating_sub(1) as usize;
    let line = text[line_start..].char_indices();
    let in_line = line.map(|(index, _)| index).nth(column);
    in_line.map_or(text.len(), |index| line_start + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ended: &[&str], open: &str) {
        let ended = ended.to_vec();
        assert_eq!(split(text), Statements { ended, open }, "{text:?}");
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
    fn quotes_and_comments_hide_them() {
        check("SELECT ';' , \";\";", &["SELECT ';' , \";\""], "");
        check("SELECT 'it''s;'; x", &["SELECT 'it''s;'"], "x");
        check("SELECT 1 -- ; no\n;", &["SELECT 1 -- ; no"], "");
        check("SELECT /* ; */ 1;", &["SELECT /* ; */ 1"], "");
        check("SELECT 1; -- done", &["SELECT 1"], "");
        check("-- only this\n;", &[], "");
    }

    #[test]
    fn what_does_not_end_is_open() {
        for text in ["SELECT 'a;", "SELECT 1; SELECT \"b;", "SELECT /* ;"] {
            check(text, &[], text);
        }
    }
}
