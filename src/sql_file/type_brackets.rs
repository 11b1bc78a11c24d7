//! `>>` at the end of nested types.
//!
//! The parser reads it as the operator of a shift. It closes both types at once then, so that what
//! follows the outer type is given to the inner one: `STRUCT<u STRUCT<n INT>>[]` would become a struct of
//! a list.

use std::borrow::Cow;
use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// The types whose parameters are in angle brackets.
const NESTED_TYPES: [&str; 3] = ["STRUCT", "ARRAY", "MAP"];

/// The words of expressions that no type has: what was opened before them is a comparison.
const OPERATORS: [&str; 2] = ["AND", "OR"];

/// Returns the text with a space after each bracket of a `>>` that closes two types. Its lines stay the
/// same.
pub(super) fn separate_closing_brackets<'a>(
    text: &'a str,
    tokens: &[TokenWithSpan],
) -> Cow<'a, str> {
    let closing = closing_pairs(tokens);
    if closing.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut separated = String::with_capacity(text.len() + closing.len());
    let (mut line, mut column) = (1, 1);
    for character in text.chars() {
        separated.push(character);
        if closing.contains(&(line, column)) {
            separated.push(' ');
        }
        if character == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    Cow::Owned(separated)
}

/// Returns the line and the column of each bracket of a `>>` that closes two types.
fn closing_pairs(tokens: &[TokenWithSpan]) -> BTreeSet<(u64, u64)> {
    let mut pairs = BTreeSet::new();
    // The types that are open, and the parentheses and brackets inside of them.
    let (mut open, mut inside) = (0_usize, 0_usize);
    let mut after_type = false;
    for TokenWithSpan { token, span } in tokens {
        let may_open = std::mem::take(&mut after_type);
        match token {
            Token::Whitespace(_) => after_type = may_open,
            Token::Word(word) if is_one_of(&word.value, &NESTED_TYPES) => after_type = true,
            Token::Word(word) if is_one_of(&word.value, &OPERATORS) => open = 0,
            Token::Lt if may_open => open += 1,
            Token::Gt => open = open.saturating_sub(1),
            Token::ShiftRight if open >= 2 => {
                let Location { line, column } = span.start;
                // Both, since a third bracket may follow.
                pairs.extend([(line, column), (line, column + 1)]);
                open -= 2;
            }
            Token::LParen | Token::LBracket => inside += 1,
            Token::RParen | Token::RBracket => inside = inside.saturating_sub(1),
            Token::Number(..) if inside > 0 => {}
            Token::Word(_) | Token::Comma | Token::Colon | Token::SingleQuotedString(_) => {}
            _ => open = 0,
        }
        if open == 0 {
            inside = 0;
        }
    }
    pairs
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn separated(text: &str) -> String {
        let tokens = Tokenizer::new(&GenericDialect {}, text)
            .tokenize_with_location()
            .unwrap();
        separate_closing_brackets(text, &tokens).into_owned()
    }

    #[test]
    fn nested_types_are_closed_one_by_one() {
        for (text, expected) in [
            (
                "r STRUCT<u STRUCT<n INT>>[]",
                "r STRUCT<u STRUCT<n INT> > []",
            ),
            (
                "r STRUCT<u STRUCT<n STRUCT<m DECIMAL(10, 2)>>>[]",
                "r STRUCT<u STRUCT<n STRUCT<m DECIMAL(10, 2)> > >[]",
            ),
            (
                "ä\n ü array<array<INT[3]>> , b",
                "ä\n ü array<array<INT[3]> >  , b",
            ),
            (
                "CAST(x AS ARRAY <STRUCT<a: INT>>)",
                "CAST(x AS ARRAY <STRUCT<a: INT> > )",
            ),
            (
                "STRUCT<a STRUCT<b INT>[], c STRUCT<d INT>>",
                "STRUCT<a STRUCT<b INT>[], c STRUCT<d INT> > ",
            ),
        ] {
            assert_eq!(separated(text), expected);
        }
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "a >> 2",
            "STRUCT<a INT> >> 2",
            "array < 3 AND struct < 4 AND x >> 2 > 1",
            "array < x AND struct < y >> 2",
            "'STRUCT<u STRUCT<n INT>>[]' -- STRUCT<u STRUCT<n INT>>[]",
            "/* STRUCT<u STRUCT<n INT>>[] */ \"STRUCT<u STRUCT<n INT>>[]\"",
            "STRUCT<u STRUCT<n INT> >[]",
        ] {
            assert_eq!(separated(text), text);
        }
    }
}
