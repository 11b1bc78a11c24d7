//! The second opinion on lines that the fast decoder does not accept: strict JSON, exact values.
//!
//! ```text
//! line ─RFC 8259→ value of each field ─exact in its type→ canonical line ─arrow-json→ rows
//!                                      └─else→ reject: field and reason
//! ```
//! arrow-json is lenient in what it reads: it accepts text that is not JSON, and cuts numbers to fit.
//! Here each line is parsed by the grammar of [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259), and
//! each value of a field is written again in the one form that arrow-json reads exactly. A value that
//! its type cannot hold exactly is rejected. Reasons name the field, never the value: values may be
//! personal.
//!
//! | | rule |
//! |---|---|
//! | duplicate keys | the last one counts; each must fit the type |
//! | lone surrogates, in any field | rejected: they are no characters |
//! | `\u0000` | kept |
//! | nesting | at most [`MAX_DEPTH`] levels |

mod numeric;
mod reject;
mod temporal;

use arrow::datatypes::{DataType, Field, Fields, SchemaRef};

use self::reject::{LineReject, Problem, Scalar, Strict};
use crate::jsonl::fast::escape;

/// The maximum nesting depth of values.
const MAX_DEPTH: usize = 1000;

/// Appends the canonical form of a line to `out`: its fields in `schema`, with exact values.
///
/// # Errors
/// Returns the reason if the line is not a single JSON object, or if a value does not fit its type.
pub(crate) fn write_canonical(line: &[u8], schema: &SchemaRef, out: &mut Vec<u8>) -> Strict<()> {
    if str::from_utf8(line).is_err() {
        return Err(LineReject::new("not valid JSON: the text is not UTF-8"));
    }
    let mut parser = Parser {
        line,
        at: 0,
        depth: 0,
    };
    parser.skip_space();
    if parser.peek() != Some(b'{') {
        return Err(LineReject::new(format!(
            "a JSON object is expected, found {}",
            parser.kind()
        )));
    }
    parser.object(schema.fields(), out)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(()),
        Some(b'{') => Err(LineReject::new("more than one record on the line")),
        Some(_) => Err(parser.invalid("the end of the line")),
    }
}

/// Parses one line.
struct Parser<'a> {
    line: &'a [u8],
    at: usize,
    /// The number of objects and lists around the position.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Returns the reject of text that is not JSON.
    fn invalid(&self, expected: &str) -> LineReject {
        if self.at >= self.line.len() {
            return LineReject::of(Problem::EndOfLine);
        }
        let column = self.at + 1;
        LineReject::new(format!(
            "not valid JSON: {expected} is expected at byte {column} of the line"
        ))
    }

    /// Returns the kind of the next value, for messages.
    fn kind(&self) -> &'static str {
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
    fn unexpected(&self, expected: &str) -> LineReject {
        match self.kind() {
            "text that is not JSON" | "nothing" => self.invalid("a value"),
            kind => LineReject::new(format!("{expected} is expected, found {kind}")),
        }
    }

    fn expect(&mut self, byte: u8, expected: &str) -> Strict<()> {
        if self.peek() != Some(byte) {
            return Err(self.invalid(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn is_at(&self, literal: &str) -> bool {
        let rest = self.line.get(self.at..).unwrap_or_default();
        rest.starts_with(literal.as_bytes())
    }

    /// Skips a literal, and returns false if there is another value.
    fn take_literal(&mut self, literal: &str) -> Strict<bool> {
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
    fn enter(&mut self) -> Strict<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(LineReject::new(format!(
                "values are nested more than {MAX_DEPTH} levels deep"
            )));
        }
        Ok(())
    }

    /// Parses the object at the position, and writes the members that are `fields`.
    fn object(&mut self, fields: &Fields, out: &mut Vec<u8>) -> Strict<()> {
        self.enter()?;
        out.push(b'{');
        let mut seen = vec![false; fields.len()];
        let mut expected = 0;
        let mut is_first = true;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                let key = self.key()?;
                let index = index_of(fields, &key, expected);
                match index.and_then(|index| Some((index, fields.get(index)?))) {
                    Some((index, field)) => {
                        if !is_first {
                            out.push(b',');
                        }
                        is_first = false;
                        write_string(field.name(), out);
                        out.push(b':');
                        self.value(field, out)
                            .map_err(|reject| reject.in_field(field.name()))?;
                        if let Some(seen) = seen.get_mut(index) {
                            *seen = true;
                        }
                        expected = index + 1;
                    }
                    None => self.skip_value()?,
                }
                self.skip_space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => {
                        self.at += 1;
                        break;
                    }
                    _ => return Err(self.invalid("`,` or `}`")),
                }
            }
        }
        self.depth -= 1;
        out.push(b'}');
        let missing = fields
            .iter()
            .zip(&seen)
            .find(|(field, seen)| !field.is_nullable() && !**seen);
        match missing {
            Some((field, _)) => Err(LineReject::of(Problem::Missing).in_field(field.name())),
            None => Ok(()),
        }
    }

    /// Parses a key with its colon.
    fn key(&mut self) -> Strict<String> {
        if self.peek() != Some(b'"') {
            return Err(self.invalid("a key in double quotes"));
        }
        let key = self.string()?;
        self.skip_space();
        self.expect(b':', "`:`")?;
        self.skip_space();
        Ok(key)
    }

    /// Parses the value of a field, and writes it in its canonical form.
    fn value(&mut self, field: &Field, out: &mut Vec<u8>) -> Strict<()> {
        if self.take_literal("null")? {
            if !field.is_nullable() {
                return Err(LineReject::of(Problem::Missing));
            }
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match field.data_type() {
            DataType::Struct(fields) => match self.peek() {
                Some(b'{') => self.object(fields, out),
                _ => Err(self.unexpected("an object")),
            },
            DataType::List(element) | DataType::LargeList(element) => match self.peek() {
                Some(b'[') => self.list(element, out),
                _ => Err(self.unexpected("a list")),
            },
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => match self.peek() {
                Some(b'"') => {
                    write_string(&self.string()?, out);
                    Ok(())
                }
                _ => Err(self.unexpected("a string")),
            },
            DataType::Boolean => {
                for literal in ["true", "false"] {
                    if self.take_literal(literal)? {
                        out.extend_from_slice(literal.as_bytes());
                        return Ok(());
                    }
                }
                Err(self.unexpected("true or false"))
            }
            data_type => match (
                numeric::NumberRule::of(data_type),
                temporal::TimeRule::of(data_type)?,
            ) {
                (Some(rule), _) => rule.write(self.scalar("a number")?, out),
                (_, Some(rule)) => rule.write(self.scalar("a time")?, out),
                // arrow-json reads the other types by rules of its own.
                (None, None) => {
                    let start = self.at;
                    self.skip_value()?;
                    out.extend_from_slice(self.line.get(start..self.at).unwrap_or_default());
                    Ok(())
                }
            },
        }
    }

    fn list(&mut self, element: &Field, out: &mut Vec<u8>) -> Strict<()> {
        self.enter()?;
        out.push(b'[');
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                self.value(element, out)?;
                self.skip_space();
                match self.peek() {
                    Some(b',') => out.push(b','),
                    Some(b']') => break,
                    _ => return Err(self.invalid("`,` or `]`")),
                }
                self.at += 1;
            }
            self.at += 1;
        }
        self.depth -= 1;
        out.push(b']');
        Ok(())
    }

    /// Parses a number or a string.
    fn scalar(&mut self, expected: &str) -> Strict<Scalar<'a>> {
        match self.peek() {
            Some(b'"') => Ok(Scalar::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Scalar::Number(self.number()?)),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Parses the number at the position, and returns its text (RFC 8259 §6).
    fn number(&mut self) -> Strict<&'a str> {
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

    fn digits(&mut self) -> Strict<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.invalid("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    /// Parses the string at the position (RFC 8259 §7).
    fn string(&mut self) -> Strict<String> {
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
    fn skip_value(&mut self) -> Strict<()> {
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

/// Returns the index of the field of a name; most keys are `expected`, the one after the last key.
fn index_of(fields: &Fields, name: &str, expected: usize) -> Option<usize> {
    let is_expected = fields
        .get(expected)
        .is_some_and(|field| field.name() == name);
    if is_expected {
        return Some(expected);
    }
    fields.iter().position(|field| field.name() == name)
}

/// Writes a string with minimal escaping.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
