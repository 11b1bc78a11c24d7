//! Chunks of whole lines, and the lines in them.

use bytes::Bytes;

/// The default size of a chunk, in bytes: it ends with the last line that fits.
///
/// A chunk is only larger where a single line is. The size is some thousand rows of web events:
/// every batch has a fixed cost for each column of each scan that shares it.
pub const CHUNK_BYTES: usize = 6 << 20;

/// The maximum length of a line, in bytes, without its newline.
pub const MAX_LINE_BYTES: usize = 64 << 20;

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A unit of text that a file is split into.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Whole lines.
    Lines(LineChunk),
    /// A line longer than [`MAX_LINE_BYTES`], whose text is discarded.
    OversizedLine {
        /// The number of the line in the file, from 1.
        line: u64,
        /// The offset of the line in the decompressed file, in bytes.
        offset: u64,
        /// The length of the line without its newline, in bytes.
        length: u64,
        /// The first bytes of the line, by which its form is recognized.
        head: Bytes,
    },
}

/// The number of bytes that are kept of an oversized line.
pub(crate) const OVERSIZED_HEAD_BYTES: usize = 4096;

/// Whole lines of one file; only the last line of the file may lack its newline.
#[derive(Debug, PartialEq, Eq)]
pub struct LineChunk {
    bytes: Bytes,
    /// The number of the first line in the file; lines count from 1.
    first_line: u64,
    /// The offset of the first line in the decompressed file, in bytes.
    offset: u64,
}

/// A line that is not blank, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The number of the line in the file, from 1. Blank lines count too.
    pub number: u64,
    /// The offset of the line in the decompressed file, in bytes.
    pub offset: u64,
    /// The text of the line. It keeps a carriage return at its end, which is white space in JSON.
    pub text: &'a [u8],
}

impl LineChunk {
    pub(crate) fn new(bytes: Bytes, first_line: u64, offset: u64) -> Self {
        Self {
            bytes,
            first_line,
            offset,
        }
    }

    /// Returns the text of all lines.
    pub fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the offset of this text in the decompressed file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the line with this number, if it is in the chunk and not blank.
    pub fn line(&self, number: u64) -> Option<Line<'_>> {
        self.lines().find(|line| line.number == number)
    }

    /// Returns the lines that are not blank, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let start = self.bytes.as_ptr().addr();
        let numbered = (self.first_line..).zip(raw_lines(&self.bytes));
        numbered
            .map(move |(number, text)| Line {
                number,
                offset: self.offset + (text.as_ptr().addr() - start) as u64,
                text,
            })
            .filter(|line| !line.text.trim_ascii().is_empty())
    }
}

/// Returns all lines of `bytes`, blank ones too, without their newlines.
pub(crate) fn raw_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end)?;
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}
