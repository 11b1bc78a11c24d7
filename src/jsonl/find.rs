//! Searches for single lines of a file, and decodes them on their own.

use std::io;

use arrow::array::RecordBatch;

use crate::jsonl::chunk::{CHUNK_BYTES, Chunk, Line};
use crate::jsonl::compression::Compression;
use crate::jsonl::line_schema::LineSchema;
use crate::jsonl::line_splitter::LineSplitter;

/// A line of a file that matches a search. It may be malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLine {
    /// The number of the line in the file, from 1.
    pub line: u64,
    /// The offset of the line in the decompressed file, in bytes.
    pub offset: u64,
    /// The text of the line, without its newline.
    pub text: Vec<u8>,
}

/// Returns the lines of the file `key` that match. Oversized lines never do.
///
/// # Errors
/// Returns an error if `compressed` cannot be decompressed.
pub fn find_lines(
    key: &str,
    compressed: &[u8],
    compression: Compression,
    is_match: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<FoundLine>> {
    let mut splitter = LineSplitter::new(compression.reader(key, compressed)?, CHUNK_BYTES);
    let mut found = Vec::new();
    while let Some(chunk) = splitter.next_chunk()? {
        let Chunk::Lines(lines) = chunk else {
            continue;
        };
        let matches = lines.lines().filter(|line| is_match(line.text));
        found.extend(matches.map(|line| FoundLine {
            line: line.number,
            offset: line.offset,
            text: line.text.to_vec(),
        }));
    }
    Ok(found)
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
