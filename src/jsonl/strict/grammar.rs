//! The grammar of RFC 8259: what values look like, whatever the fields are.

use super::reject::{LineReject, Problem, Strict};
use crate::jsonl::fast::escape;
use crate::jsonl::leaf_rule::LeafRules;

/// The maximum nesting depth of values.
pub(super) const MAX_DEPTH: usize = 1000;

/// Parses one line.
pub(super) struct Parser<'a> {
    pub(super) line: &'a [u8],
    /// The rules of the leaves of the fields.
    pub(super) rules: &'a LeafRules,
    pub(super) at: usize,
    /// The number of objects and lists around the position.
    pub(super) depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(line: &'a [u8], rules: &'a LeafRules) -> Self {
        Self {
            line,
            rules,
            at: 0,
            depth: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Returns the reject of text that is not JSON.
    pub(super) fn invalid(&self, expected: &str) -> LineReject {
        if self.at >= self.line.len() {
            return LineReject::of(Problem::EndOfLine);
        }
        let column = self.at + 1;
        LineReject::new(format!(
            "not valid JSON: {expected} is expected at byte {column} of the line"
        ))
    }

    /// Returns the kind of the next value, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.peek() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(_) if self.is_at("true") || self.is_at("false") => "a boolean",
            Some(_) if self.is_at("null") => "null",
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(_) => "text that is not JSON",
            None => "nothing",
        }
    }

    /// Returns the reject of a value of another kind than the type has.
    pub(super) fn unexpected(&self, expected: &str) -> LineReject {
        match self.kind() {
            "text that is not JSON" | "nothing" => self.invalid("a value"),
            kind => LineReject::new(format!("{expected} is expected, found {kind}")),
        }
    }

    pub(super) fn expect(&mut self, byte: u8, expected: &str) -> Strict<()> {
        if self.peek() != Some(byte) {
            return Err(self.invalid(expected));
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn is_at(&self, literal: &str) -> bool {
        let rest = self.line.get(self.at..).unwrap_or_default();
        rest.starts_with(literal.as_bytes())
    }

    /// Skips a literal, and returns false if there is another value.
    pub(super) fn take_literal(&mut self, literal: &str) -> Strict<bool> {
        if self.peek() != literal.bytes().next() {
            return Ok(false);
        }
        let rest = self.line.get(self.at..).unwrap_or_default();
        let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        if !rest.starts_with(literal.as_bytes()) || is_word(rest.get(literal.len())) {
            return Err(self.invalid("a value"));
        }
        self.at += literal.len();
        Ok(true)
    }

    /// Enters an object or a list.
    pub(super) fn enter(&mut self) -> Strict<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(LineReject::new(format!(
                "values are nested more than {MAX_DEPTH} levels deep"
            )));
        }
        Ok(())
    }

    /// Parses a key with its colon.
    pub(super) fn key(&mut self) -> Strict<String> {
        if self.peek() != Some(b'"') {
            return Err(self.invalid("a key in double quotes"));
        }
        let key = self.string()?;
        self.skip_space();
        self.expect(b':', "`:`")?;
        self.skip_space();
        Ok(key)
    }

    /// Parses the number at the position, and returns its text (RFC 8259 §6).
    pub(super) fn number(&mut self) -> Strict<&'a str> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'-' | b'+')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.line.get(start..self.at).unwrap_or_default();
        str::from_utf8(text).map_err(|_| self.invalid("a number"))
    }

    pub(super) fn digits(&mut self) -> Strict<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.invalid("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    /// Parses the string at the position (RFC 8259 §7).
    pub(super) fn string(&mut self) -> Strict<String> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let (character, end) = escape(self.line, self.at + 1)
                        .ok_or_else(|| self.invalid("an escape of a character"))?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at = end;
                }
                Some(0..0x20) => return Err(self.invalid("an escaped control character")),
                Some(byte) => {
                    text.push(byte);
                    self.at += 1;
                }
                None => return Err(self.invalid("`\"`")),
            }
        }
        self.at += 1;
        String::from_utf8(text).map_err(|_| self.invalid("UTF-8"))
    }

    /// Skips a value of no field, without recursion.
    pub(super) fn skip_value(&mut self) -> Strict<()> {
        let mut closing = Vec::new();
        loop {
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    self.enter()?;
                    let close = if open == b'{' { b'}' } else { b']' };
                    self.skip_space();
                    if self.peek() != Some(close) {
                        closing.push(close);
                        if close == b'}' {
                            self.key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                    self.depth -= 1;
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                _ => {
                    let is_literal = self.take_literal("true")?
                        || self.take_literal("false")?
                        || self.take_literal("null")?;
                    if !is_literal {
                        return Err(self.invalid("a value"));
                    }
                }
            }
            // A value has ended, and with it perhaps those around it.
            loop {
                let Some(close) = closing.last().copied() else {
                    return Ok(());
                };
                self.skip_space();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.skip_space();
                        if close == b'}' {
                            self.key()?;
                        }
                        break;
                    }
                    Some(byte) if byte == close => {
                        self.at += 1;
                        self.depth -= 1;
                        closing.pop();
                    }
                    _ => return Err(self.invalid("`,` or a closing bracket")),
                }
            }
        }
    }
}
