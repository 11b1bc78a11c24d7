//! The paths that a source file names, in its `use` declarations and in its code.

use std::collections::BTreeSet;

use crate::architecture::tokens::Token;

/// A name that a `use` declaration brings into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// The segments, such as `["crate", "store", "Destination"]`.
    pub(super) path: Vec<String>,
    /// The name in this file: the last segment, or what follows `as`.
    pub(super) name: String,
    /// True if other files can take the name from this one: `pub use` of any visibility.
    pub(super) is_public: bool,
}

/// The paths of a file.
#[derive(Debug, Default)]
pub(super) struct Paths {
    pub(super) imports: Vec<Import>,
    /// Paths of at least two segments outside of `use` declarations.
    pub(super) inline: Vec<Vec<String>>,
    /// The first segment of every path outside of `use` declarations, and every other word there.
    pub(super) words: BTreeSet<String>,
}

impl Paths {
    /// Reads the paths out of the tokens of a file.
    pub(super) fn parse(tokens: &[Token]) -> Self {
        let mut paths = Self::default();
        let mut cursor = Cursor { tokens };
        let mut is_public = false;
        while let Some(token) = cursor.next() {
            match token.word() {
                Some("pub") => {
                    cursor.skip_parentheses();
                    is_public = true;
                    continue;
                }
                // `use<'a>` in a return type captures lifetimes.
                Some("use") if !cursor.peek_is('<') => {
                    cursor.use_tree(&[], is_public, &mut paths.imports);
                }
                Some(word) => paths.add(cursor.path(word)),
                None => {}
            }
            is_public = false;
        }
        paths
    }

    /// Returns all paths, of declarations and of code.
    pub(super) fn all(&self) -> impl Iterator<Item = &Vec<String>> {
        let imported = self.imports.iter().map(|import| &import.path);
        imported.chain(&self.inline)
    }

    fn add(&mut self, path: Vec<String>) {
        self.words.insert(path[0].clone());
        if path.len() > 1 {
            self.inline.push(path);
        }
    }
}

struct Cursor<'a> {
    tokens: &'a [Token],
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn peek_is(&self, character: char) -> bool {
        self.tokens.first().is_some_and(|token| token.is(character))
    }

    fn take_if(&mut self, condition: impl Fn(&Token) -> bool) -> bool {
        let is_taken = self.tokens.first().is_some_and(condition);
        if is_taken {
            self.tokens = &self.tokens[1..];
        }
        is_taken
    }

    /// Skips `(crate)` and its like after `pub`.
    fn skip_parentheses(&mut self) {
        if self.peek_is('(') {
            let end = self.tokens.iter().position(|token| token.is(')'));
            self.tokens = &self.tokens[end.map_or(self.tokens.len(), |end| end + 1)..];
        }
    }

    /// Reads the rest of a path whose first segment is `first`.
    fn path(&mut self, first: &str) -> Vec<String> {
        let mut path = vec![first.to_owned()];
        while let [Token::PathSeparator, Token::Word(segment), ..] = self.tokens {
            path.push(segment.clone());
            self.tokens = &self.tokens[2..];
        }
        path
    }

    /// Reads one tree of a `use` declaration and adds an import for each of its leaves.
    fn use_tree(&mut self, prefix: &[String], is_public: bool, imports: &mut Vec<Import>) {
        self.take_if(|token| *token == Token::PathSeparator);
        let mut path = prefix.to_vec();
        loop {
            match self.next() {
                Some(Token::Word(word)) => path.push(word.clone()),
                Some(token) if token.is('*') => path.push("*".to_owned()),
                Some(token) if token.is('{') => {
                    while !self.take_if(|token| token.is('}')) {
                        self.use_tree(&path, is_public, imports);
                        self.take_if(|token| token.is(','));
                    }
                    return;
                }
                token => panic!("a `use` declaration with {token:?} after {path:?}"),
            }
            if !self.take_if(|token| *token == Token::PathSeparator) {
                break;
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if self.take_if(|token| token.word() == Some("as")) {
            let alias = self.next().and_then(Token::word);
            name = alias.expect("a name after `as`").to_owned();
        }
        imports.push(Import {
            path,
            name,
            is_public,
        });
    }
}

#[test]
fn paths_are_read_from_declarations_and_code() {
    let source = "pub(crate) use self::a::{B as C, d::{self, E}};\n\
                  use x::Y;\n\
                  fn f() -> super::G { crate::h::i::<u8>(Y::j) }";
    let paths = Paths::parse(&crate::architecture::tokens::tokenize(source));
    let imports: Vec<(String, &str, bool)> = paths
        .imports
        .iter()
        .map(|import| {
            (
                import.path.join("::"),
                import.name.as_str(),
                import.is_public,
            )
        })
        .collect();
    let expected = [
        ("self::a::B".to_owned(), "C", true),
        ("self::a::d".to_owned(), "d", true),
        ("self::a::d::E".to_owned(), "E", true),
        ("x::Y".to_owned(), "Y", false),
    ];
    assert_eq!(imports, expected);
    let inline: Vec<String> = paths.inline.iter().map(|path| path.join("::")).collect();
    assert_eq!(inline, ["super::G", "crate::h::i", "Y::j"]);
}
