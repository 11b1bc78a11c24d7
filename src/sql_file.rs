//! SQL files: their statements, their leading comments, and complaints that name file and line.

mod fields;
mod folder;
mod option_key;
mod statements;
mod type_brackets;

use std::collections::BTreeMap;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::engine_error::{line_in_dump, own, unplanned, without_dumps};
use crate::error::{Error, Result};

pub(crate) use folder::{parse_files, parse_folder};
pub(crate) use option_key::column_of;

/// An SQL file, split into tokens. [`SqlFile::statement`] parses them.
#[derive(Debug, Clone)]
pub struct SqlFile {
    /// The file's name in messages: `sql/sources/events.sql`.
    name: String,
    text: String,
    tokens: Vec<TokenWithSpan>,
}

impl SqlFile {
    /// Splits a text into tokens. Messages call the file `name`.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line if the text cannot be split (a quote is not closed).
    pub fn new(name: String, text: String) -> Result<Self> {
        let tokens = match Tokenizer::new(&GenericDialect {}, &text).tokenize_with_location() {
            Ok(tokens) => tokens,
            Err(error) => {
                let line = error.location.line.max(1);
                return Err(complaint(&name, line, &error.message));
            }
        };
        Ok(Self { name, text, tokens })
    }

    /// Parses the file's only statement.
    ///
    /// # Errors
    /// [`Error::invalid`] with file and line if it does not parse, or if there is none or more than
    /// one.
    pub fn statement(&self) -> Result<Statement> {
        let dialect = GenericDialect {};
        let text = type_brackets::separate_closing_brackets(&self.text, &self.tokens);
        let mut statements = DFParserBuilder::new(text.as_ref())
            .with_dialect(&dialect)
            .build()
            .and_then(|mut parser| parser.parse_statements())
            .map_err(|error| self.rejected(&error))?;
        if statements.len() > 1 {
            return Err(self.complaint(
                self.second_statement_line(),
                "a second statement; write one statement a file",
            ));
        }
        let mut statement = statements
            .pop_front()
            .ok_or_else(|| self.complaint(1, "there is no statement in this file"))?;
        fields::name_fields_after_indexes(&mut statement);
        Ok(statement)
    }

    /// Returns an [`Error::invalid`] with the message `file:line: what`.
    pub fn complaint(&self, line: u64, what: impl AsRef<str>) -> Error {
        complaint(&self.name, line, what.as_ref())
    }

    /// Returns a position in this file, as `file:line`.
    pub fn position(&self, line: u64) -> String {
        format!("{}:{line}", self.name)
    }

    /// Converts an error of DataFusion's parser or planner about this file, with the line that it
    /// names, if it names one. An error of dayport keeps its kind and hint.
    pub fn rejected(&self, error: &DataFusionError) -> Error {
        if let Some(ours) = own(error) {
            return ours.context(&self.name);
        }
        let message = innermost_message(error);
        if let Some((what, hint)) = unplanned(&message) {
            let line = line_in_dump(&message).unwrap_or_else(|| self.first_line());
            return self.complaint(line, what).with_hint(hint);
        }
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
        if let Some(span) = span {
            return self.complaint(span.start.line, without_dumps(&message));
        }
        let (what, line) = split_position(&message);
        let line = line
            .or_else(|| line_in_dump(&message))
            .or_else(|| self.line_named_in(what));
        let line = line.unwrap_or_else(|| match what.ends_with("found: EOF") {
            true => self.last_line(),
            false => self.first_line(),
        });
        self.complaint(line, without_dumps(what))
    }

    /// Returns the file's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the `$name` parameters outside of strings and comments, with the line of their first
    /// use.
    pub fn parameters(&self) -> BTreeMap<String, u64> {
        let mut lines = BTreeMap::new();
        for token in self.code() {
            if let Token::Placeholder(name) = &token.token {
                let name = name.trim_start_matches('$').to_owned();
                lines.entry(name).or_insert(token.span.start.line);
            }
        }
        lines
    }

    /// Returns the line of the first token that is neither blank nor a comment.
    pub fn first_line(&self) -> u64 {
        self.code()
            .next()
            .map_or(1, |token| token.span.start.line.max(1))
    }

    fn last_line(&self) -> u64 {
        self.code()
            .last()
            .map_or(1, |token| token.span.start.line.max(1))
    }

    /// Returns the line of the first token that spells `word`, or else the statement's first line.
    pub fn first_line_of(&self, word: &str) -> u64 {
        self.find_line_of(word).unwrap_or_else(|| self.first_line())
    }

    /// Returns the line of the first token that spells `word`, if there is one.
    pub fn find_line_of(&self, word: &str) -> Option<u64> {
        self.code()
            .find(|token| spells(&token.token, word))
            .map(|token| token.span.start.line)
    }

    /// Returns the numbers as they are written, each with its line.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, u64)> {
        self.code().filter_map(|token| match &token.token {
            Token::Number(number, _) => Some((number.as_str(), token.span.start.line)),
            _ => None,
        })
    }

    /// Returns the line of the first token that spells `first` and is followed by one that spells `second`.
    pub(crate) fn find_line_of_pair(&self, first: &str, second: &str) -> Option<u64> {
        let pairs = self.code().zip(self.code().skip(1));
        let is_word = |token: &TokenWithSpan, word: &str| matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
        pairs
            .filter(|(one, next)| is_word(one, first) && is_word(next, second))
            .map(|(one, _)| one.span.start.line)
            .next()
    }

    /// Returns the line of the last token that spells `word`, or else the statement's first line.
    ///
    /// It is for the words of clauses that follow the columns, since a column may have the same name.
    pub fn last_line_of(&self, word: &str) -> u64 {
        self.code()
            .filter(|token| spells(&token.token, word))
            .last()
            .map_or_else(|| self.first_line(), |token| token.span.start.line)
    }

    /// Returns the comment in front of the statement, one line for each of its lines.
    pub fn leading_comment(&self) -> Option<String> {
        let lines: Vec<&str> = self
            .tokens
            .iter()
            .map_while(|token| match &token.token {
                Token::Whitespace(space) => Some(space),
                _ => None,
            })
            .filter_map(|space| match space {
                Whitespace::SingleLineComment { comment, .. } => Some(comment.as_str()),
                Whitespace::MultiLineComment(comment) => Some(comment.as_str()),
                _ => None,
            })
            .flat_map(str::lines)
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn code(&self) -> impl Iterator<Item = &TokenWithSpan> {
        self.tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
    }

    /// Returns the line of the first word of the file that a message names, as in "Field urll not found in struct".
    fn line_named_in(&self, message: &str) -> Option<u64> {
        let quoted = message.split(['`', '\'', '"']).skip(1).step_by(2);
        let words: Vec<&str> = message.split_whitespace().collect();
        let marked = words
            .windows(2)
            .filter(|pair| {
                MARKS_OF_NAMES
                    .iter()
                    .any(|mark| pair[0].eq_ignore_ascii_case(mark))
            })
            .map(|pair| pair[1]);
        quoted.chain(marked).find_map(|name| {
            let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
            let name = name.rsplit('.').next().unwrap_or(name);
            let named = self.code().find(|token| spells(&token.token, name));
            named.map(|token| token.span.start.line)
        })
    }

    fn second_statement_line(&self) -> u64 {
        self.code()
            .skip_while(|token| token.token != Token::SemiColon)
            .find(|token| token.token != Token::SemiColon)
            .map_or_else(|| self.first_line(), |token| token.span.start.line)
    }
}

fn complaint(file: &str, line: u64, what: &str) -> Error {
    // Some of DataFusion's messages have several lines.
    let what = what.replace('\n', " ");
    Error::invalid(format!("{file}:{line}: {what}"))
}

/// The words of DataFusion's messages after which a name of the query stands.
const MARKS_OF_NAMES: [&str; 6] = ["field", "named", "column", "function", "table", "type"];

fn spells(token: &Token, word: &str) -> bool {
    match token {
        Token::Word(found) => found.value.eq_ignore_ascii_case(word),
        Token::SingleQuotedString(found) => found.eq_ignore_ascii_case(word),
        Token::Placeholder(found) => found.trim_start_matches('$').eq_ignore_ascii_case(word),
        _ => false,
    }
}

/// Returns the message without the prefixes that each wrapper adds ("SQL error: ParserError(…)").
fn innermost_message(error: &DataFusionError) -> String {
    match error {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                message.clone()
            }
            other => other.to_string(),
        },
        DataFusionError::Plan(message) | DataFusionError::NotImplemented(message) => {
            message.clone()
        }
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            innermost_message(inner)
        }
        other => other.strip_backtrace(),
    }
}

/// Splits the parser's ` at Line: 3, Column: 7` off its message. Returns the message and the line.
fn split_position(message: &str) -> (&str, Option<u64>) {
    let Some((what, position)) = message.split_once(" at Line: ") else {
        return (message, None);
    };
    let digits = position.split(',').next().unwrap_or_default();
    (what, digits.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SqlFile {
        SqlFile::new("sql/sources/x.sql".to_owned(), text.to_owned()).unwrap()
    }

    #[test]
    fn the_leading_comment_is_the_description() {
        let file = file("-- Page views.\n/* Of all\n workspaces. */\nSELECT 1 -- not this");
        assert_eq!(
            file.leading_comment().unwrap(),
            "Page views.\nOf all\nworkspaces."
        );
        assert_eq!(file.first_line(), 4);
    }

    #[test]
    fn parameters_are_found_outside_of_strings_and_comments() {
        let file = file("SELECT '$no' -- $neither\nWHERE a >= $b AND\n c = $b + $d");
        let lines = BTreeMap::from([("b".to_owned(), 2), ("d".to_owned(), 3)]);
        assert_eq!(file.parameters(), lines);
    }

    #[test]
    fn a_message_without_a_position_is_about_the_line_that_has_the_name() {
        let sql = file("COPY (\n  SELECT p['url'],\n    p['urll']\n  FROM events)");
        for (message, line) in [
            ("Field urll not found in struct", 3),
            ("Invalid function 'nothing' or 'urll'", 3),
            ("No table named datafusion.public.events", 4),
            ("the field is not there", 1),
        ] {
            let error = sql.rejected(&DataFusionError::Plan(message.to_owned()));
            let expected = format!("sql/sources/x.sql:{line}: ");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn complaints_name_the_line() {
        for broken in ["SELECT 1\nFROM )\n\n", "SELECT 1\nFROM (\n\n"] {
            let error = file(broken).statement().unwrap_err().to_string();
            assert!(error.starts_with("sql/sources/x.sql:2: "), "{error}");
        }
        let two = file("SELECT 1;\n\n-- more\nSELECT 2").statement();
        assert_eq!(
            two.unwrap_err().to_string(),
            "sql/sources/x.sql:4: a second statement; write one statement a file"
        );
        let none = file("-- nothing\n").statement().unwrap_err();
        assert_eq!(
            none.to_string(),
            "sql/sources/x.sql:1: there is no statement in this file"
        );
        let quote = SqlFile::new("x.sql".to_owned(), "SELECT\n'open".to_owned()).unwrap_err();
        assert!(quote.to_string().starts_with("x.sql:2: "), "{quote}");
    }

    #[test]
    fn nested_types_are_parsed_as_they_are_written() {
        for nested in [
            "STRUCT<a STRUCT<b INT>>[]",
            "STRUCT<a STRUCT<b STRUCT<c INT>>>[]",
            "STRUCT<a STRUCT<b STRUCT<c INT>>[]>[]",
            "STRUCT<a STRUCT<b STRUCT<c STRUCT<d INT>>>>[]",
        ] {
            let statement = file(&format!("SELECT CAST(x AS {nested}) >> 2")).statement();
            let shown = statement.unwrap().to_string();
            assert!(shown.contains(nested), "{shown}");
        }
    }

    #[test]
    fn words_are_found_first_and_last() {
        let file = file("SELECT time\nFROM x\nWHERE name = 'time'");
        assert_eq!(file.first_line_of("TIME"), 1);
        assert_eq!(file.last_line_of("time"), 3);
    }
}
