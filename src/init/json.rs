//! JSON values that keep the text of their numbers, so that no digit is lost before a type is chosen.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// A value of JSON. Numbers are as they were written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Boolean,
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// The members in their order. A key may occur twice.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Parses a whole text.
    ///
    /// # Errors
    /// Returns the reason and the column, counted from 1.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        // Checks the grammar, so that the reader below need not.
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| reason(&error))?;
        let mut reader = Reader { text, at: 0 };
        reader
            .value()
            .ok_or_else(|| "a string is not valid Unicode".to_owned())
    }

    /// Returns the member of an object; the last one if the key occurs twice.
    pub(super) fn member(&self, key: &str) -> Option<&Json<'a>> {
        let Self::Object(members) = self else {
            return None;
        };
        let mut named = members.iter().rev();
        named.find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Returns the value that a path of keys leads to.
    pub(super) fn at(&self, path: &[String]) -> Option<&Json<'a>> {
        path.iter()
            .try_fold(self, |value, key| value.member(key.as_str()))
    }

    /// Returns the text of a string.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Returns the reason of an error, without its line, which is always the first.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    format!("{text} at column {}", error.column())
}

/// Reads values of a text that is known to be JSON.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at += rest.len() - trimmed.len();
        trimmed.bytes().next()
    }

    /// Skips a character of one byte if it is next.
    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self) -> Option<Json<'a>> {
        Some(match self.peek()? {
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Boolean),
            b'f' => self.word("false", Json::Boolean),
            b'"' => Json::Text(self.string()?),
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.skip(b']') {
                    items.push(self.value()?);
                    self.skip(b',');
                }
                Json::List(items)
            }
            b'{' => {
                self.at += 1;
                let mut members = Vec::new();
                while !self.skip(b'}') {
                    self.peek()?;
                    let key = self.string()?;
                    self.skip(b':');
                    members.push((key, self.value()?));
                    self.skip(b',');
                }
                Json::Object(members)
            }
            _ => {
                let rest = self.rest();
                let is_part =
                    |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                self.at += end.max(1);
                Json::Number(rest.get(..end)?)
            }
        })
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Json<'a> {
        self.at += word.len();
        value
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let rest = self.rest();
        let mut is_escaped = false;
        let mut has_escape = false;
        let end = rest.bytes().enumerate().skip(1).find_map(|(index, byte)| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            has_escape |= is_escaped;
            ends.then_some(index)
        })?;
        self.at += end + 1;
        match has_escape {
            false => rest.get(1..end).map(Cow::Borrowed),
            true => serde_json::from_str(rest.get(..=end)?).ok().map(Cow::Owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let value = Json::parse(r#" {"a": 18446744073709551616, "b" : [ -1.50e+3 ,2 ] , "c":{}} "#);
        let value = value.unwrap();
        assert_eq!(
            value.member("a"),
            Some(&Json::Number("18446744073709551616"))
        );
        let list = Json::List(vec![Json::Number("-1.50e+3"), Json::Number("2")]);
        assert_eq!(value.member("b"), Some(&list));
        assert_eq!(value.member("c"), Some(&Json::Object(Vec::new())));
    }

    #[test]
    fn strings_are_decoded_and_the_last_of_two_keys_counts() {
        let value = Json::parse(r#"{"k\"":"a\\","k\"":"b\u00e9\"","t":true,"f":false,"n":null}"#);
        let value = value.unwrap();
        assert_eq!(value.member("k\"").unwrap().as_text(), Some("bé\""));
        assert_eq!(value.member("n"), Some(&Json::Null));
        assert_eq!(value.member("f"), Some(&Json::Boolean));
        let nested = Json::parse(r#"{"a":{"b":1}}"#).unwrap();
        let path = ["a".to_owned(), "b".to_owned()];
        assert_eq!(nested.at(&path), Some(&Json::Number("1")));
    }

    #[test]
    fn errors_have_the_column() {
        let error = Json::parse(r#"{"a":1,}"#).unwrap_err();
        assert_eq!(error, "key must be a string at column 8");
        assert!(Json::parse("{\"a\":1} x").is_err());
        assert!(Json::parse(r#""\ud800""#).is_err());
    }
}
