//! The framing of a file: the way in which its records are laid out in its text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::jsonl::chunk::BYTE_ORDER_MARK;
use crate::jsonl::content::HEAD_BYTES;

/// The declared framing of a source's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// Recognized by the beginning of each file: a JSON array of objects, pretty-printed objects, else
    /// lines.
    #[default]
    Auto,
    /// One object on each line.
    Lines,
    /// JSON documents, and the path of the records in each.
    Documents(RecordPath),
}

/// The path of the records in a document: `$`, `$[*]` or `$.Records[*]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPath {
    /// The keys of the objects around the list of the records, from the outside in.
    members: Vec<String>,
    /// True if the records are the items of a list; false if each document is one.
    is_list: bool,
    /// True if a document that is an object is a record, too, and not only the items of lists.
    takes_objects: bool,
}

impl Framing {
    /// Parses the value of an option: `auto`, `lines` or the path of the records. Returns `None` if it is
    /// none of them.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Auto),
            "lines" => Some(Self::Lines),
            _ => RecordPath::parse(text).map(Self::Documents),
        }
    }

    /// Returns the path of the records of a file that begins with `text`; `None` if the file is lines.
    pub fn record_path(&self, text: &[u8]) -> Option<RecordPath> {
        match self {
            Self::Auto => detect(text),
            Self::Lines => None,
            Self::Documents(path) => Some(path.clone()),
        }
    }
}

/// Recognizes documents by the beginning of a text. Neither beginning is one of a line that is a row, or
/// of a line that was cut off while others follow it.
fn detect(text: &[u8]) -> Option<RecordPath> {
    let head = text.get(..HEAD_BYTES).unwrap_or(text);
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let text = text.trim_ascii_start();
    let behind = text.get(1..)?.trim_ascii_start();
    let gap = text.get(1..text.len() - behind.len()).unwrap_or_default();
    match (text.first()?, behind.first()?) {
        (b'[', b'{' | b']') => Some(RecordPath {
            is_list: true,
            takes_objects: true,
            ..RecordPath::default()
        }),
        // The first line is the bracket alone, and the second one begins with a key.
        (b'{', b'"') if gap.contains(&b'\n') => Some(RecordPath::default()),
        _ => None,
    }
}

impl RecordPath {
    /// Parses `$`, or the keys of a list such as `$.Records[*]` or `$['the records'][*]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('$')?;
        if rest.is_empty() {
            return Some(Self::default());
        }
        let mut members = Vec::new();
        while rest != "[*]" {
            let (member, behind) = if let Some(quoted) = rest.strip_prefix("['") {
                quoted.split_once("']")?
            } else {
                let name = rest.strip_prefix('.')?;
                let end = name.find(['.', '[']).unwrap_or(name.len());
                name.split_at_checked(end)?
            };
            let is_odd = |c: char| c.is_control() || c == '\'' || c == '*';
            if member.is_empty() || member.contains(is_odd) || member.trim() != member {
                return None;
            }
            members.push(member.to_owned());
            rest = behind;
        }
        Some(Self {
            members,
            is_list: true,
            takes_objects: false,
        })
    }

    /// Returns the path of the list under one key of an object.
    pub(crate) fn of_list(key: &str) -> Self {
        Self {
            members: vec![key.to_owned()],
            is_list: true,
            takes_objects: false,
        }
    }

    pub(super) fn members(&self) -> &[String] {
        &self.members
    }

    pub(super) fn is_list(&self) -> bool {
        self.is_list
    }

    pub(super) fn takes_objects(&self) -> bool {
        self.takes_objects
    }
}

impl fmt::Display for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for member in &self.members {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            match member.chars().all(is_plain) {
                true => write!(f, ".{member}")?,
                false => write!(f, "['{member}']")?,
            }
        }
        f.write_str(if self.is_list { "[*]" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parsed_and_shown() {
        for path in ["$", "$[*]", "$.Records[*]", "$.a.b-c[*]", "$['a b'].c[*]"] {
            assert_eq!(RecordPath::parse(path).unwrap().to_string(), path);
        }
        assert_eq!(RecordPath::parse("$['a'][*]"), RecordPath::parse(" $.a[*]"));
        assert_eq!(RecordPath::parse("$.a[*]"), Some(RecordPath::of_list("a")));
        for wrong in [
            "",
            "a",
            "$.",
            "$.a",
            "$[0]",
            "$.a[*].b",
            "$..a[*]",
            "$[*][*]",
            "$.a [*]",
            "$.*[*]",
            "$['a[*]",
            "$[''][*]",
            "$[*",
            "documents",
        ] {
            assert_eq!(Framing::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Framing::parse("AUTO"), Some(Framing::Auto));
        assert_eq!(Framing::parse("lines"), Some(Framing::Lines));
    }

    #[test]
    fn only_arrays_of_objects_and_brackets_on_their_own_line_are_recognized() {
        let found = |text: &str| {
            let path = Framing::Auto.record_path(text.as_bytes());
            path.map(|path| path.to_string())
        };
        for text in [
            "[{",
            "[]",
            " \n[\r\n  {\"a\"",
            "\u{feff}[{\"a\":1}]",
            "[\n]\n",
        ] {
            assert_eq!(found(text).as_deref(), Some("$[*]"), "{text}");
        }
        for text in ["{\n\"a\"", "\r\n{\r\n  \"a\": 1", "\u{feff}{\n\t\"a\":"] {
            assert_eq!(found(text).as_deref(), Some("$"), "{text}");
        }
        for text in [
            "",
            "{",
            "[",
            "[1]",
            "[[{",
            "[\"a\"",
            "{\"a\":1}\n",
            "{}\n{\"a\":1}",
            "{\n{\"a\":1}\n",
            "{\n}",
            "{ \"a\":\n",
            "{\r\"a\"",
            "{\"a\":1}{\"a\":2}",
            "{\"Records\":[{",
            "x\n[{",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(Framing::Lines.record_path(b"[{"), None);
    }
}
