//! Chunks of whole lines, and the lines in them. A record of a JSON document is a line, too.

use std::ops::Range;

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
    /// Whole lines, or records of documents.
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
    /// A part of a document that is no record to decode.
    BadRecord(BadRecord),
}

/// A part of a document that counts as a malformed record, and whose text is discarded.
#[derive(Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The index of the record in the file, from 1.
    pub record: u64,
    /// The offset of the part in the decompressed file, in bytes.
    pub offset: u64,
    /// The length of the part, in bytes.
    pub length: u64,
    /// The first bytes of the part.
    pub head: Bytes,
    /// The reason.
    pub fault: RecordFault,
}

/// The reason why a part of a document is no record to decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFault {
    /// The record is longer than the limit of the splitter.
    Oversized,
    /// A document has no list of records where it should be; with the reason in words.
    WithoutList(String),
    /// The rest of the file, which cannot be split into records; with the reason in words.
    Broken(String),
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
    /// The records of a document, by their positions in the text; `None` if the text is lines.
    records: Option<Box<[Range<u32>]>>,
}

/// A line that is not blank, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The number of the line in the file, from 1. Blank lines count too.
    pub number: u64,
    /// The offset of the line in the decompressed file, in bytes.
    pub offset: u64,
    /// The text of the line. It keeps a carriage return at its end, which is white space in JSON. The text
    /// of a record may have line ends.
    pub text: &'a [u8],
}

impl LineChunk {
    pub(crate) fn new(bytes: Bytes, first_line: u64, offset: u64) -> Self {
        Self {
            bytes,
            first_line,
            offset,
            records: None,
        }
    }

    /// Creates a chunk of records of a document. `bytes` begins with the first one and ends with the last
    /// one; line ends are white space in them.
    pub(crate) fn of_records(
        bytes: Bytes,
        first_record: u64,
        offset: u64,
        records: Box<[Range<u32>]>,
    ) -> Self {
        Self {
            bytes,
            first_line: first_record,
            offset,
            records: Some(records),
        }
    }

    /// Returns true if the lines are records of a document.
    pub fn is_records(&self) -> bool {
        self.records.is_some()
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
        let texts = match &self.records {
            None => Texts::Lines(raw_lines(&self.bytes)),
            Some(records) => Texts::Records(&self.bytes, records.iter()),
        };
        let numbered = (self.first_line..).zip(texts);
        numbered
            .map(move |(number, text)| Line {
                number,
                offset: self.offset + (text.as_ptr().addr() - start) as u64,
                text,
            })
            .filter(|line| !line.text.trim_ascii().is_empty())
    }
}

/// The texts of the lines of a chunk.
enum Texts<'a, L> {
    Lines(L),
    Records(&'a [u8], std::slice::Iter<'a, Range<u32>>),
}

impl<'a, L: Iterator<Item = &'a [u8]>> Iterator for Texts<'a, L> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Records(text, records) => {
                let record = records.next()?;
                text.get(record.start as usize..record.end as usize)
            }
        }
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
