//! Bytes cut into chunks of whole lines.

use std::io::{self, Read};

use bytes::Bytes;

/// A chunk is cut at the last line end before it grows beyond this. One line may be longer. Some
/// thousand rows of events: each batch costs something for each column of each table of a pass.
pub(crate) const CHUNK_BYTES: usize = 6 << 20;

/// The longest line that is read, without its newline.
pub(crate) const LONGEST_LINE: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Whole lines of one file, the last of them perhaps without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    bytes: Bytes,
    /// The number of its first line in the file; lines count from 1.
    first_line: u64,
    /// Where it begins in the inflated file.
    offset: u64,
}

/// What a file is cut into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Lines(Chunk),
    /// A line longer than [`LONGEST_LINE`], whose text is not kept.
    TooLong {
        line: u64,
        offset: u64,
    },
}

/// A line that is not blank, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its number in the file, blank lines counted, from 1.
    pub(crate) number: u64,
    /// Where it begins in the inflated file, in bytes.
    pub(crate) offset: u64,
    /// Its text; a carriage return at the end is left in, as JSON skips it.
    pub(crate) text: &'a [u8],
}

impl Chunk {
    /// The line of this number, where the chunk has it.
    pub(crate) fn line(&self, number: u64) -> Option<Line<'_>> {
        self.lines().find(|line| line.number == number)
    }

    /// The lines that are not blank, in order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
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

/// The lines of `bytes` with those that are blank, without their newlines.
fn raw_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
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

/// Reads one file and cuts it into chunks.
pub(crate) struct LineSplitter<R> {
    reader: R,
    /// Bytes that were read and not handed out. They begin at the start of a line.
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no newline.
    searched: usize,
    next_line: u64,
    /// Where the buffer begins in the inflated file.
    offset: u64,
    is_start: bool,
    chunk_bytes: usize,
    longest_line: usize,
}

impl<R: Read> LineSplitter<R> {
    pub(crate) fn new(reader: R, chunk_bytes: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            searched: 0,
            next_line: 1,
            offset: 0,
            is_start: true,
            chunk_bytes,
            longest_line: LONGEST_LINE,
        }
    }

    /// The next lines, or `None` at the file's end.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let at_end = self.fill()?;
            if self.first_line_is_too_long() {
                return self.skip_line().map(Some);
            }
            if at_end {
                let rest = self.buffer.len();
                return Ok((rest > 0).then(|| self.cut(rest)));
            }
            let unsearched = &self.buffer[self.searched..];
            if let Some(newline) = unsearched.iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(self.cut(self.searched + newline + 1)));
            }
            self.searched = self.buffer.len();
        }
    }

    /// Reads up to a chunk's size, or as much again for a line that is longer. Whether it reached
    /// the end.
    fn fill(&mut self) -> io::Result<bool> {
        let wanted = match self.chunk_bytes.saturating_sub(self.buffer.len()) {
            0 => self.chunk_bytes,
            missing => missing,
        };
        self.buffer.reserve(wanted);
        let mut limited = (&mut self.reader).take(wanted as u64);
        let read = limited.read_to_end(&mut self.buffer)?;
        if std::mem::take(&mut self.is_start) && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
            self.offset = BYTE_ORDER_MARK.len() as u64;
        }
        Ok(read < wanted)
    }

    /// Only the first line of the buffer can be longer than a chunk.
    fn first_line_is_too_long(&self) -> bool {
        let Some(head) = self.buffer.get(..=self.longest_line) else {
            return false;
        };
        let unsearched = head.get(self.searched..).unwrap_or_default();
        !unsearched.contains(&b'\n')
    }

    /// Reads past the end of the buffer's first line without keeping it.
    fn skip_line(&mut self) -> io::Result<Piece> {
        let piece = Piece::TooLong {
            line: self.next_line,
            offset: self.offset,
        };
        self.next_line += 1;
        self.searched = 0;
        loop {
            let newline = self.buffer.iter().position(|byte| *byte == b'\n');
            let skipped = newline.map_or(self.buffer.len(), |newline| newline + 1);
            self.buffer.drain(..skipped);
            self.offset += skipped as u64;
            if newline.is_some() || self.fill()? && self.buffer.is_empty() {
                return Ok(piece);
            }
        }
    }

    fn cut(&mut self, length: usize) -> Piece {
        let rest = self.buffer.split_off(length);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let first_line = self.next_line;
        self.next_line += raw_lines(&bytes).count() as u64;
        self.searched = 0;
        let offset = self.offset;
        self.offset += length as u64;
        Piece::Lines(Chunk {
            bytes: Bytes::from(bytes),
            first_line,
            offset,
        })
    }
}

/// Cuts a file whose text is in memory, without copying it.
pub(crate) struct WholeText {
    /// What was not handed out. It begins at the start of a line.
    rest: Bytes,
    next_line: u64,
    offset: u64,
    chunk_bytes: usize,
}

impl WholeText {
    pub(crate) fn new(mut text: Bytes, chunk_bytes: usize) -> Self {
        let mark = match text.starts_with(BYTE_ORDER_MARK) {
            true => BYTE_ORDER_MARK.len(),
            false => 0,
        };
        Self {
            rest: text.split_off(mark),
            next_line: 1,
            offset: mark as u64,
            chunk_bytes,
        }
    }

    /// The next lines, or `None` at the text's end.
    pub(crate) fn next_piece(&mut self) -> Option<Piece> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.length_of_next();
        let bytes = self.rest.split_to(length);
        let (first_line, offset) = (self.next_line, self.offset);
        self.offset += length as u64;
        if bytes.len() > LONGEST_LINE + 1 && raw_lines(&bytes).count() == 1 {
            self.next_line += 1;
            return Some(Piece::TooLong {
                line: first_line,
                offset,
            });
        }
        self.next_line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Some(Piece::Lines(Chunk {
            bytes,
            first_line,
            offset,
        }))
    }

    /// Up to the last line end of a chunk's size, else up to the first one behind it.
    fn length_of_next(&self) -> usize {
        let Some(head) = self.rest.get(..self.chunk_bytes) else {
            return self.rest.len();
        };
        if let Some(newline) = memchr::memrchr(b'\n', head) {
            return newline + 1;
        }
        let behind = memchr::memchr(b'\n', &self.rest[head.len()..]);
        behind.map_or(self.rest.len(), |newline| head.len() + newline + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chunks of `text`, each as numbered lines.
    fn split(text: &[u8], chunk_bytes: usize) -> Vec<Vec<(u64, String)>> {
        let line = |line: Line<'_>| (line.number, String::from_utf8_lossy(line.text).into());
        let mut splitter = LineSplitter::new(text, chunk_bytes);
        let mut chunks: Vec<Vec<(u64, String)>> = Vec::new();
        while let Some(Piece::Lines(chunk)) = splitter.next_piece().unwrap() {
            chunks.push(chunk.lines().map(line).collect());
        }
        let mut whole = WholeText::new(Bytes::copy_from_slice(text), chunk_bytes);
        let mut of_whole = Vec::new();
        while let Some(Piece::Lines(chunk)) = whole.next_piece() {
            of_whole.push(chunk.lines().map(line).collect::<Vec<_>>());
        }
        assert_eq!(of_whole.concat(), chunks.concat());
        chunks
    }

    fn lines(text: &[u8]) -> Vec<(u64, String)> {
        split(text, CHUNK_BYTES).concat()
    }

    fn numbered(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        let owned = lines
            .iter()
            .map(|(number, text)| (*number, (*text).to_owned()));
        owned.collect()
    }

    #[test]
    fn blank_lines_are_counted_and_skipped() {
        let text = b"a\n\n  \t\nb\r\n\r\nc";
        assert_eq!(lines(text), numbered(&[(1, "a"), (4, "b\r"), (6, "c")]));
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n\n"), []);
        assert_eq!(lines(b"a\n"), numbered(&[(1, "a")]));
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_start() {
        assert_eq!(lines(b"\xEF\xBB\xBFa\nb"), numbered(&[(1, "a"), (2, "b")]));
        assert_eq!(lines(b"a\n\xEF\xBB\xBFb")[1].1, "\u{feff}b");
        assert_eq!(lines(b"\xEF\xBB\xBF"), []);
    }

    #[test]
    fn chunks_hold_whole_lines_whatever_their_size() {
        let text: String = (1..200)
            .map(|n| format!("{}\n", "x".repeat(n % 13)))
            .collect();
        let whole = lines(text.as_bytes());
        for chunk_bytes in 1..40 {
            let chunks = split(text.as_bytes(), chunk_bytes);
            assert_eq!(chunks.concat(), whole, "{chunk_bytes}");
        }
        assert!(split(text.as_bytes(), 40).len() > 20);
    }

    #[test]
    fn lines_beyond_the_limit_are_left_out_and_told() {
        let split = |text: &str| {
            let mut splitter = LineSplitter {
                longest_line: 10,
                ..LineSplitter::new(text.as_bytes(), 4)
            };
            let (mut kept, mut too_long) = (Vec::new(), Vec::new());
            while let Some(piece) = splitter.next_piece().unwrap() {
                match piece {
                    Piece::Lines(chunk) => {
                        kept.extend(chunk.lines().map(|line| (line.number, line.offset)));
                    }
                    Piece::TooLong { line, offset } => too_long.push((line, offset)),
                }
            }
            (kept, too_long)
        };
        let (kept, too_long) = split("a\nb\n1234567890\nc\n1234567890");
        assert_eq!(kept, [(1, 0), (2, 2), (3, 4), (4, 15), (5, 17)]);
        assert_eq!(too_long, []);
        for (text, kept, too_long) in [
            (
                "a\nb\n12345678901\nc\n",
                &[(1, 0), (2, 2), (4, 16)][..],
                (3, 4),
            ),
            ("a\n\nc\n12345678901", &[(1, 0), (3, 3)], (4, 5)),
            ("123456789012345678901\n\nb", &[(3, 23)], (1, 0)),
        ] {
            assert_eq!(split(text), (kept.to_vec(), vec![too_long]), "{text:?}");
        }
    }

    #[test]
    fn a_failing_reader_is_no_end() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let mut splitter = LineSplitter::new(b"a\nb".chain(Failing), CHUNK_BYTES);
        assert!(splitter.next_piece().is_err());
    }
}
