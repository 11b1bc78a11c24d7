//! A malformed line, its fault and its place.

use crate::jsonl::chunk::Line;
use crate::jsonl::reason::LineFault;
use crate::jsonl::strict::value_text;

/// A malformed line: it is not a row of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The number of the line in the file, from 1; of a record of a document, its index.
    pub line: u64,
    /// The offset of the line in the decompressed file, in bytes.
    pub offset: u64,
    /// The length of the line without its newline, in bytes.
    pub length: u64,
    /// The reason why the line is malformed, which quotes no value.
    pub reason: String,
    /// The path of the field that is rejected, such as `client.title`; `None` if the line is rejected for
    /// another reason.
    pub field: Option<String>,
    /// The offset in the line of the value that is rejected, in bytes, if there is one.
    pub value_at: Option<usize>,
    /// True if the line is a record of a document.
    pub is_record: bool,
}

impl BadLine {
    pub(super) fn new(line: Line<'_>, fault: LineFault) -> Self {
        let LineFault {
            reason,
            field,
            value_at,
        } = fault;
        Self {
            line: line.number,
            offset: line.offset,
            length: line.text.len() as u64,
            reason,
            field,
            value_at,
            is_record: false,
        }
    }

    /// Returns the malformed line as a record of a document, which its reason calls it.
    pub fn into_record(mut self) -> Self {
        self.is_record = true;
        if let Some(reason) = self.reason.strip_suffix(" of the line") {
            self.reason = format!("{reason} of the record");
        }
        self
    }

    /// Returns the text of the value that is rejected, of the line's `text` or its beginning: to the end
    /// of the value, or of the text if the value is not JSON.
    pub fn value<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        self.value_at.map(|offset| value_text(text, offset))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use crate::jsonl::chunk::{CHUNK_BYTES, Chunk};
    use crate::jsonl::line_splitter::LineSplitter;
    use crate::jsonl::{LeafRules, LineDecoder};

    #[test]
    fn the_field_and_the_rejected_value_are_known_apart_from_the_reason() {
        let tags = Field::new_list_field(DataType::Int64, true);
        let title = vec![Field::new("title", DataType::Utf8View, true)];
        let zone = Some("+00:00".into());
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8View, false),
            Field::new("n", DataType::Int64, true),
            Field::new(
                "time",
                DataType::Timestamp(TimeUnit::Microsecond, zone),
                true,
            ),
            Field::new("client", DataType::Struct(title.into()), true),
            Field::new("tags", DataType::List(tags.into()), true),
        ]));
        for (line, field, value) in [
            (
                r#"{"id":"a","n": "x y" ,"z":1}"#,
                Some("n"),
                Some(r#""x y""#),
            ),
            (
                r#"{"id":{"b":[1,2]},"n":1}"#,
                Some("id"),
                Some(r#"{"b":[1,2]}"#),
            ),
            (
                r#"{"id":"a","client":{"title":17}}"#,
                Some("client.title"),
                Some("17"),
            ),
            // Of a list, the item.
            (
                r#"{"id":"a","tags":[1,"no",3]}"#,
                Some("tags"),
                Some(r#""no""#),
            ),
            // The end of a value that is not JSON is that of the line.
            (r#"{"id":"a","n":12x3}  "#, None, None),
            (r#"{"id":"a","time":nul}"#, Some("time"), Some("nul}")),
            // Nothing is there, or no field is at fault.
            (r#"{"n":1}"#, Some("id"), None),
            (r#"{"id":null}"#, Some("id"), None),
            (r#"{"id":"a","client":{"title":"#, None, None),
            (r#"{"id":"a"}{"id":"b"}"#, None, None),
            ("[1]", None, None),
        ] {
            let mut decoder =
                LineDecoder::new(Arc::clone(&schema), 9, None, &LeafRules::default()).unwrap();
            let mut splitter = LineSplitter::new(line.as_bytes(), CHUNK_BYTES);
            let Some(Chunk::Lines(chunk)) = splitter.next_chunk().unwrap() else {
                panic!("no chunk");
            };
            let bad = decoder.decode_strictly(&chunk).unwrap_err();
            assert_eq!(bad.field.as_deref(), field, "{line}");
            let found = bad.value(line.as_bytes()).map(String::from_utf8_lossy);
            assert_eq!(found.as_deref(), value, "{line}");
        }
    }
}
