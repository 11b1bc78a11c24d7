//! The forms of text that is not JSON lines.

use std::fmt;

use crate::jsonl::framing::RecordPath;

/// The form of a text that is not JSON lines. It continues a sentence: it looks like …
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextShape {
    /// A list that holds the whole text.
    Array,
    /// An object that has the objects in a list, with the key of that list if it may be shown.
    ObjectsInList(Option<String>),
    /// Objects with nothing, or with white space, between them.
    Joined,
    /// Objects with commas between them.
    CommaSeparated,
    /// Objects with `\n` between them, written as two characters.
    EscapedLineEnds,
    /// Lines that end in a carriage return only.
    CarriageReturns,
    /// JSON over several lines.
    PrettyPrinted,
    /// JSON text sequences.
    TextSequence,
    /// A string of JSON on each line, with an object in it.
    EncodedTwice,
    /// A list on each line.
    ListLines,
    /// Objects behind other text.
    Prefixed,
    /// Objects in single quotes.
    SingleQuotes,
    /// Objects whose keys have no quotes.
    BareKeys,
    /// Fields with this name of their format.
    Delimited(&'static str),
    /// XML.
    Xml,
    /// A page of HTML.
    Html,
    /// YAML.
    Yaml,
    /// Bytes in base64.
    Base64,
    /// Text in another encoding.
    NotUtf8,
    /// Bytes that are no text.
    Binary,
    /// Any other text.
    Plain,
}

impl TextShape {
    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        const LINES: &str = "write each object on a line of its own";
        let declare = |path: &str| {
            format!("declare the source with OPTIONS ('records' '{path}'), or {LINES}")
        };
        match self {
            Self::Array => declare("$[*]"),
            Self::ObjectsInList(Some(key)) => declare(&RecordPath::of_list(key).to_string()),
            Self::ObjectsInList(None) => {
                "declare the path of the list: OPTIONS ('records' '$.…[*]')".to_owned()
            }
            Self::Joined | Self::PrettyPrinted => declare("$"),
            Self::CommaSeparated => format!("{LINES}, without a comma between them"),
            Self::EscapedLineEnds => format!("{LINES}: end it with the character LF"),
            Self::CarriageReturns => {
                "end each line in LF or CR LF, for example with `tr '\\r' '\\n'`".to_owned()
            }
            Self::TextSequence => {
                "remove the record separators, for example with `tr -d '\\036'`".to_owned()
            }
            Self::EncodedTwice => format!("{LINES}, for example with `jq -c fromjson`"),
            Self::ListLines => format!("{LINES}, with the names of the columns as keys"),
            Self::Prefixed => "remove the text in front of the objects".to_owned(),
            Self::SingleQuotes => "write JSON, for example with `json.dumps` of Python".to_owned(),
            Self::BareKeys => "write JSON: keys and texts in double quotes".to_owned(),
            Self::Delimited(_) | Self::Xml | Self::Yaml => Self::CONVERT.to_owned(),
            Self::Html => "is it the page of an error? fetch the file again".to_owned(),
            Self::Base64 => "decode it before it is stored".to_owned(),
            Self::NotUtf8 => "convert it to UTF-8".to_owned(),
            Self::Binary => "is it a file of this source? is it encrypted?".to_owned(),
            Self::Plain => {
                "is it a file of this source? LOCATION may be a glob that leaves out others"
                    .to_owned()
            }
        }
    }

    const CONVERT: &'static str = "convert it to JSON lines or Parquet";
}

impl fmt::Display for TextShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ObjectsInList(Some(key)) => return write!(f, "objects in a \"{key}\" list"),
            Self::ObjectsInList(None) => "objects in a list inside an object",
            Self::Array => "one JSON array",
            Self::Joined => "objects joined without line ends",
            Self::CommaSeparated => "objects separated by commas",
            Self::EscapedLineEnds => "objects with `\\n` as text between them",
            Self::CarriageReturns => "lines that end in CR only",
            Self::PrettyPrinted => "pretty-printed JSON over several lines",
            Self::TextSequence => "JSON text sequences (RFC 7464)",
            Self::EncodedTwice => "JSON objects inside JSON strings",
            Self::ListLines => "JSON lists instead of objects",
            Self::Prefixed => "lines with text in front of the object",
            Self::SingleQuotes => "objects in single quotes, as Python prints them",
            Self::BareKeys => "objects whose keys have no quotes",
            Self::Delimited(name) => name,
            Self::Xml => "XML",
            Self::Html => "a page of HTML",
            Self::Yaml => "YAML",
            Self::Base64 => "base64",
            Self::NotUtf8 => "text that is not UTF-8",
            Self::Binary => "binary data",
            Self::Plain => "text without JSON",
        })
    }
}
