//! Tokens of Rust source text, as far as needed to follow paths.

/// A token of Rust source; literals, lifetimes and comments are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// The path separator, `::`.
    PathSeparator,
    Other(char),
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is(&self, character: char) -> bool {
        *self == Self::Other(character)
    }
}

/// Splits source text into its tokens.
pub(super) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_length(rest),
            '\'' => character_length(rest),
            ':' if rest.starts_with("::") => {
                tokens.push(Token::PathSeparator);
                2
            }
            _ if is_word(first) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(length);
                match raw_string_length(word, after) {
                    Some(string) => length + string,
                    None => {
                        tokens.push(Token::Word(word.to_owned()));
                        length
                    }
                }
            }
            _ => {
                if !first.is_whitespace() {
                    tokens.push(Token::Other(first));
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Returns the length of the string literal that `text` begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the length of what follows the prefix (`r`, `br`) of a raw string literal, or `None` if
/// the word is no such prefix.
fn raw_string_length(prefix: &str, after: &str) -> Option<usize> {
    let is_prefix = matches!(prefix, "r" | "br" | "cr");
    let hashes = after.find(|c| c != '#')?;
    if !is_prefix || !after[hashes..].starts_with('"') {
        return None;
    }
    let (opening, end) = (hashes + 1, format!("\"{}", &after[..hashes]));
    let content = after[opening..].find(&end)?;
    Some(opening + content + end.len())
}

/// Returns the length of the character literal that `text` begins with, or of the quote alone if it
/// begins a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    let (Some((_, first)), Some((second_at, second))) = (characters.next(), characters.next())
    else {
        return 1;
    };
    if first == '\\' {
        let content = second_at + second.len_utf8();
        return text[content..]
            .find('\'')
            .map_or(text.len(), |end| content + end + 1);
    }
    if second == '\'' { second_at + 1 } else { 1 }
}

#[test]
fn literals_and_comments_hold_no_words() {
    let source = "a::b('\\'', 'x', \"c \\\" d\", r#\"e \" f\"#, b\"g\") // h\n/* i */ <'j>";
    let tokens = tokenize(source);
    let words: Vec<&str> = tokens.iter().filter_map(Token::word).collect();
    // The prefix of a byte string and the name of a lifetime are harmless words.
    assert_eq!(words, ["a", "b", "b", "j"]);
}
