//! One line among many: found by its text, and decoded alone.

use std::io;

use datafusion::arrow::array::RecordBatch;

use crate::jsonl::compression::Compression;
use crate::jsonl::lines::{CHUNK_BYTES, Line, LineSplitter, Piece};
use crate::scan::json::columns::LineSchema;

/// A line of a file, whether it holds a row or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundLine {
    /// Its number in the file, from 1.
    pub(crate) line: u64,
    /// Where it begins in the inflated file, in bytes.
    pub(crate) offset: u64,
    pub(crate) text: Vec<u8>,
}

/// The lines of the file `key` that are `wanted`; `stored` are its bytes as stored.
pub(crate) fn find_lines(
    key: &str,
    stored: &[u8],
    compression: Compression,
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<FoundLine>> {
    let mut splitter = LineSplitter::new(compression.reader(key, stored)?, CHUNK_BYTES);
    let mut found = Vec::new();
    while let Some(piece) = splitter.next_piece()? {
        let Piece::Lines(chunk) = piece else {
            continue;
        };
        let lines = chunk.lines().filter(|line| wanted(line.text));
        found.extend(lines.map(|line| FoundLine {
            line: line.number,
            offset: line.offset,
            text: line.text.to_vec(),
        }));
    }
    Ok(found)
}

/// The row of a line as a scan reads it that decodes `schema`, or why it is set aside.
pub(crate) fn decode_line(schema: &LineSchema, text: &[u8]) -> Result<RecordBatch, String> {
    let mut decoder = schema.decoder(1).map_err(|error| error.to_string())?;
    let line = Line {
        number: 1,
        offset: 0,
        text,
    };
    decoder.decode_line(line).map_err(|bad| bad.reason)
}
