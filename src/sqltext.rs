//! What dayport asks of the text of an SQL file: its comment, its tokens, the line of a complaint.

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::Error;

/// The `--` lines before the first statement, without their dashes.
pub fn leading_comment(text: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| line.is_empty())
        .map_while(|line| line.strip_prefix("--"));
    let lines: Vec<&str> = lines.map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

/// The tokens with their places, white space and comments left out; empty if the text is not SQL.
pub fn tokens(text: &str) -> Vec<TokenWithSpan> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    let mut tokens = tokens.unwrap_or_default();
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    tokens
}

/// The line of the first token after the first `;`, where there is one.
pub fn second_statement_line(text: &str) -> Option<u64> {
    tokens(text)
        .into_iter()
        .skip_while(|token| token.token != Token::SemiColon)
        .find(|token| token.token != Token::SemiColon)
        .map(|token| token.span.start.line)
}

/// Turns an error of DataFusion about an SQL file into ours, with the line where it is known.
pub fn complaint(file: &str, error: &DataFusionError) -> Error {
    let message = innermost(error);
    match line_of(error, &message) {
        Some(line) => Error::invalid(format!("{file}:{line}: {message}")),
        None => Error::invalid(format!("{file}: {message}")),
    }
}

/// The message without the wrappings that say nothing to the author of the file.
fn innermost(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            innermost(inner)
        }
        DataFusionError::SQL(inner, _) => {
            use datafusion::sql::sqlparser::parser::ParserError;
            match inner.as_ref() {
                ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
                other => other.to_string(),
            }
        }
        DataFusionError::Plan(text) => text.clone(),
        other => other.strip_backtrace(),
    }
}

fn line_of(error: &DataFusionError, message: &str) -> Option<u64> {
    let diagnosed = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| span.start.line);
    diagnosed.or_else(|| {
        // sqlparser ends its messages with `at Line: 3, Column: 5`.
        let (_, place) = message.rsplit_once("Line: ")?;
        let digits = place.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leading_comment_is_the_description() {
        let text = "\n-- Page views.\n-- One row each.\n\nCOPY (SELECT 1 -- no\n) TO 'x'";
        assert_eq!(leading_comment(text), "Page views.\nOne row each.");
        assert_eq!(leading_comment("COPY (SELECT 1) TO 'x' -- no"), "");
    }

    #[test]
    fn a_second_statement_is_found_past_comments_and_strings() {
        assert_eq!(second_statement_line("SELECT ';' -- ;\n;\n-- end\n"), None);
        assert_eq!(second_statement_line("SELECT 1;\n\nSELECT 2"), Some(3));
    }
}
