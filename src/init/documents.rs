//! The records of a sampled file of JSON documents, as lines.

use bytes::Bytes;

use crate::jsonl::{CHUNK_BYTES, Chunk, InMemoryRecords, RecordFault, RecordPath};

/// The records of a text, each on a line of its own, and what is wrong with the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RecordLines {
    pub(super) text: String,
    /// The reason why the rest of the text cannot be read, with its position.
    pub(super) broken: Option<String>,
}

/// Returns the records of a text. A document without the list of the path is a line that is no JSON.
pub(super) fn record_lines(text: &str, path: RecordPath) -> RecordLines {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let mut chunks = InMemoryRecords::new(bytes, path, CHUNK_BYTES);
    let mut lines = RecordLines::default();
    while let Some(chunk) = chunks.next_chunk() {
        match chunk {
            Chunk::Lines(records) => {
                for record in records.lines() {
                    // A line end is white space in a record, or makes it malformed.
                    let text = String::from_utf8_lossy(record.text).replace('\n', " ");
                    lines.text.push_str(&text);
                    lines.text.push('\n');
                }
            }
            Chunk::BadRecord(bad) => match bad.fault {
                RecordFault::Broken(reason) => {
                    lines.broken = Some(format!("behind byte {}: {reason}", bad.offset));
                }
                RecordFault::Oversized => lines.text.push_str("(too long)\n"),
                RecordFault::WithoutList(reason) => {
                    lines.text.push_str(&format!("({reason})\n"));
                }
            },
            Chunk::OversizedLine { .. } => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_lines_with_the_same_numbers() {
        let path = RecordPath::of_list("a");
        let lines = record_lines("{\"a\":[{\n\"b\": 1},2]}\n{}\n{\"a\":[3]} x", path);
        assert_eq!(
            lines.text,
            "{ \"b\": 1}\n2\n(there is no list on the path of the records `$.a[*]`)\n3\n"
        );
        let broken = lines.broken.expect("a rest");
        assert!(broken.starts_with("behind byte 33: a value"), "{broken}");
    }
}
