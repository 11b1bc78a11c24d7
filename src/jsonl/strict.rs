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
//! | nesting | at most [`grammar::MAX_DEPTH`] levels |

mod grammar;
mod leaf_index;
mod numeric;
mod reject;
mod temporal;

use arrow::datatypes::{DataType, Field, Fields, SchemaRef};

use self::grammar::Parser;
use self::reject::{LineReject, Problem, Scalar, Strict};

use self::leaf_index::leaf_index;
pub(crate) use self::leaf_index::with_leaf_indexes;
use crate::jsonl::leaf_rule::{LeafRule, LeafRules, NOTHING_DECLARED};

/// Appends the canonical form of a line to `out`: its fields in `schema`, with exact values. `rules` are
/// those of the leaves that [`with_leaf_indexes`] has given an index.
///
/// # Errors
/// Returns the reason if the line is not a single JSON object, or if a value does not fit its type.
pub(crate) fn write_canonical(
    line: &[u8],
    schema: &SchemaRef,
    rules: &LeafRules,
    out: &mut Vec<u8>,
) -> Strict<()> {
    if str::from_utf8(line).is_err() {
        return Err(LineReject::new("not valid JSON: the text is not UTF-8"));
    }
    let mut parser = Parser::new(line, rules);
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
impl<'a> Parser<'a> {
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

    /// Returns the declared rule of a field that is a leaf.
    fn rule(&self, field: &Field) -> &'a LeafRule {
        let leaf = leaf_index(field);
        leaf.map_or(&NOTHING_DECLARED, |leaf| self.rules.of_leaf(leaf))
    }

    /// Parses the value of a field, and writes it in its canonical form.
    fn value(&mut self, field: &Field, out: &mut Vec<u8>) -> Strict<()> {
        let start = self.at;
        let written = self.value_of_type(field, out);
        written.map_err(|reject| reject.at(start))
    }

    fn value_of_type(&mut self, field: &Field, out: &mut Vec<u8>) -> Strict<()> {
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
            DataType::Map(entry, _) => match (self.peek(), entry.data_type()) {
                (Some(b'{'), DataType::Struct(key_and_value)) => self.map(key_and_value, out),
                _ => Err(self.unexpected("an object")),
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
                temporal::TimeRule::of(field, self.rule(field))?,
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

    /// Parses the object at the position, all of whose members are entries of a map.
    fn map(&mut self, key_and_value: &Fields, out: &mut Vec<u8>) -> Strict<()> {
        let [_, value] = key_and_value.as_ref() else {
            return Err(self.unexpected("a map"));
        };
        self.items(b"{}", "`,` or `}`", out, |parser, out| {
            write_string(&parser.key()?, out);
            out.push(b':');
            parser.value(value, out)
        })
    }

    fn list(&mut self, element: &Field, out: &mut Vec<u8>) -> Strict<()> {
        self.items(b"[]", "`,` or `]`", out, |parser, out| {
            parser.value(element, out)
        })
    }

    /// Parses what is between two brackets, item by item, and writes it with them.
    fn items(
        &mut self,
        &[opening, closing]: &[u8; 2],
        expected: &str,
        out: &mut Vec<u8>,
        mut item: impl FnMut(&mut Self, &mut Vec<u8>) -> Strict<()>,
    ) -> Strict<()> {
        self.enter()?;
        out.push(opening);
        self.skip_space();
        if self.peek() != Some(closing) {
            loop {
                self.skip_space();
                item(self, out)?;
                self.skip_space();
                match self.peek() {
                    Some(b',') => out.push(b','),
                    Some(byte) if byte == closing => break,
                    _ => return Err(self.invalid(expected)),
                }
                self.at += 1;
            }
        }
        self.at += 1;
        self.depth -= 1;
        out.push(closing);
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
}

/// Returns the text of the value that begins at an offset of a line: to its end, or to that of the line
/// if it is not JSON.
pub(crate) fn value_text(line: &[u8], offset: usize) -> &[u8] {
    let rules = LeafRules::default();
    let mut parser = Parser::new(line, &rules);
    parser.at = offset;
    let end = parser.skip_value().map_or(line.len(), |()| parser.at);
    let text = line.get(offset..end).unwrap_or_default();
    text.trim_ascii_end()
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
