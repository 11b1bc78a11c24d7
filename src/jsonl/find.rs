//! Searches for single lines of a file, and decodes them on their own.

use std::io::{self, Cursor, Read};

use arrow::array::RecordBatch;

use crate::jsonl::chunk::{CHUNK_BYTES, Chunk, Line, MAX_LINE_BYTES};
use crate::jsonl::compression::Compression;
use crate::jsonl::decompress::read_head;
use crate::jsonl::documents::RecordSplitter;
use crate::jsonl::framing::Framing;
use crate::jsonl::line_schema::LineSchema;
use crate::jsonl::line_splitter::LineSplitter;

/// A line of a file that matches a search. It may be malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLine {
    /// The number of the line in the file, from 1.
    pub line: u64,
    /// The offset of the line in the decompressed file, in bytes.
    pub offset: u64,
    /// The text of the line, without its newline. The line ends in a record of a document are spaces.
    pub text: Vec<u8>,
    /// True if it is a record of a document.
    pub is_record: bool,
}

/// Returns the lines, or the records, of the file `key` that match. Oversized ones never do.
///
/// # Errors
/// Returns an error if `compressed` cannot be decompressed.
pub fn find_lines(
    key: &str,
    compressed: &[u8],
    (compression, framing): (Compression, &Framing),
    is_match: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<FoundLine>> {
    let mut found = Vec::new();
    let mut search = |chunk: Chunk| {
        let Chunk::Lines(lines) = chunk else {
            return;
        };
        let is_record = lines.is_records();
        let matches = lines.lines().filter(|line| is_match(line.text));
        found.extend(matches.map(|line| FoundLine {
            line: line.number,
            offset: line.offset,
            text: on_one_line(line.text),
            is_record,
        }));
    };
    let mut text = compression.reader(key, compressed)?;
    let head = read_head(&mut text)?;
    let path = framing.record_path(&head);
    let whole = Cursor::new(head).chain(text);
    if let Some(path) = path {
        let mut splitter = RecordSplitter::new(whole, path, CHUNK_BYTES, MAX_LINE_BYTES);
        while let Some(chunk) = splitter.next_chunk()? {
            search(chunk);
        }
    } else {
        let mut splitter = LineSplitter::new(whole, CHUNK_BYTES);
        while let Some(chunk) = splitter.next_chunk()? {
            search(chunk);
        }
    }
    Ok(found)
}

/// Returns the text of a record on one line: a line end is white space there, or makes it malformed.
fn on_one_line(text: &[u8]) -> Vec<u8> {
    let mut line = text.to_vec();
    for byte in line.iter_mut().filter(|byte| **byte == b'\n') {
        *byte = b' ';
    }
    line
}

/// Decodes a single line to a row of `schema`, as a scan of that schema does.
///
/// # Errors
/// Returns the reason if the line is malformed.
pub fn decode_line(schema: &LineSchema, text: &[u8]) -> Result<RecordBatch, String> {
    let mut decoder = schema.decoder(1).map_err(|error| error.to_string())?;
    let line = Line {
        number: 1,
        offset: 0,
        text,
    };
    decoder.decode_line(line).map_err(|bad| bad.reason)
}
