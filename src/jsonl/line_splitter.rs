//! Bytes of a file, read in a stream and split into chunks of whole lines.

use std::io::{self, Read};

use bytes::Bytes;

use crate::jsonl::chunk::{
    BYTE_ORDER_MARK, Chunk, LineChunk, MAX_LINE_BYTES, OVERSIZED_HEAD_BYTES, raw_lines,
};

/// Reads one file and splits it into chunks.
pub struct LineSplitter<R> {
    reader: R,
    /// The bytes that were read and are not in a chunk yet. They begin at the start of a line.
    buffer: Vec<u8>,
    /// The length of the buffer's head that is known to hold no newline.
    searched: usize,
    next_line: u64,
    /// The offset of the buffer in the decompressed file.
    offset: u64,
    is_start: bool,
    chunk_bytes: usize,
    max_line_bytes: usize,
}

impl<R: Read> LineSplitter<R> {
    /// Creates a splitter of the decompressed bytes that `reader` returns, into chunks of about
    /// `chunk_bytes`.
    pub fn new(reader: R, chunk_bytes: usize) -> Self {
        Self::with_max_line(reader, chunk_bytes, MAX_LINE_BYTES)
    }

    /// Creates a splitter as [`Self::new`] does, which skips lines longer than `max_line_bytes`.
    pub fn with_max_line(reader: R, chunk_bytes: usize, max_line_bytes: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            searched: 0,
            next_line: 1,
            offset: 0,
            is_start: true,
            chunk_bytes,
            max_line_bytes,
        }
    }

    /// Returns the next chunk, or `None` at the end of the file.
    ///
    /// # Errors
    /// Returns the errors of the reader.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let at_end = self.fill()?;
            if self.first_line_is_oversized() {
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

    /// Fills the buffer up to the size of a chunk, or reads another chunk's size for a line that is
    /// longer. Returns true if the reader reached its end.
    fn fill(&mut self) -> io::Result<bool> {
        let needed = match self.chunk_bytes.saturating_sub(self.buffer.len()) {
            0 => self.chunk_bytes,
            missing => missing,
        };
        self.buffer.reserve(needed);
        let mut limited = (&mut self.reader).take(needed as u64);
        let read = limited.read_to_end(&mut self.buffer)?;
        if std::mem::take(&mut self.is_start) && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
            self.offset = BYTE_ORDER_MARK.len() as u64;
        }
        Ok(read < needed)
    }

    /// Returns true if the buffer begins with a line longer than the limit. Only the first line of
    /// the buffer can be longer than a chunk.
    fn first_line_is_oversized(&self) -> bool {
        let Some(head) = self.buffer.get(..=self.max_line_bytes) else {
            return false;
        };
        let unsearched = head.get(self.searched..).unwrap_or_default();
        !unsearched.contains(&b'\n')
    }

    /// Reads past the end of the buffer's first line and discards it.
    fn skip_line(&mut self) -> io::Result<Chunk> {
        let (line, offset) = (self.next_line, self.offset);
        let start = self.buffer.get(..OVERSIZED_HEAD_BYTES);
        let head = Bytes::copy_from_slice(start.unwrap_or(&self.buffer));
        self.next_line += 1;
        self.searched = 0;
        loop {
            let newline = self.buffer.iter().position(|byte| *byte == b'\n');
            let skipped = newline.map_or(self.buffer.len(), |newline| newline + 1);
            self.buffer.drain(..skipped);
            self.offset += skipped as u64;
            if newline.is_some() || self.fill()? && self.buffer.is_empty() {
                let length = self.offset - offset - u64::from(newline.is_some());
                return Ok(Chunk::OversizedLine {
                    line,
                    offset,
                    length,
                    head,
                });
            }
        }
    }

    fn cut(&mut self, length: usize) -> Chunk {
        let rest = self.buffer.split_off(length);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let first_line = self.next_line;
        self.next_line += raw_lines(&bytes).count() as u64;
        self.searched = 0;
        let offset = self.offset;
        self.offset += length as u64;
        Chunk::Lines(LineChunk::new(Bytes::from(bytes), first_line, offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonl::chunk::{CHUNK_BYTES, Line};
    use crate::jsonl::in_memory_chunks::InMemoryChunks;

    /// Returns the chunks of `text`, each as numbered lines. Both splitters give the same lines.
    fn split(text: &[u8], chunk_bytes: usize) -> Vec<Vec<(u64, String)>> {
        let line = |line: Line<'_>| (line.number, String::from_utf8_lossy(line.text).into());
        let mut splitter = LineSplitter::new(text, chunk_bytes);
        let mut chunks: Vec<Vec<(u64, String)>> = Vec::new();
        while let Some(Chunk::Lines(chunk)) = splitter.next_chunk().unwrap() {
            chunks.push(chunk.lines().map(line).collect());
        }
        let mut in_memory = InMemoryChunks::new(Bytes::copy_from_slice(text), chunk_bytes);
        let mut in_memory_lines = Vec::new();
        while let Some(Chunk::Lines(chunk)) = in_memory.next_chunk() {
            in_memory_lines.push(chunk.lines().map(line).collect::<Vec<_>>());
        }
        assert_eq!(in_memory_lines.concat(), chunks.concat());
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
    fn lines_beyond_the_limit_are_skipped_and_reported() {
        let split = |text: &str| {
            let mut splitter = LineSplitter {
                max_line_bytes: 10,
                ..LineSplitter::new(text.as_bytes(), 4)
            };
            let (mut kept, mut oversized) = (Vec::new(), Vec::new());
            while let Some(chunk) = splitter.next_chunk().unwrap() {
                match chunk {
                    Chunk::Lines(chunk) => {
                        kept.extend(chunk.lines().map(|line| (line.number, line.offset)));
                    }
                    Chunk::OversizedLine {
                        line,
                        offset,
                        length,
                        head,
                    } => {
                        let from = usize::try_from(offset).unwrap();
                        let to = from + usize::try_from(length).unwrap();
                        assert!(length > 10 && !text[from..to].contains('\n'));
                        assert!(text[to..].is_empty() || text[to..].starts_with('\n'));
                        assert!(!head.is_empty() && text.as_bytes()[from..].starts_with(&head));
                        oversized.push((line, offset));
                    }
                    Chunk::BadRecord(_) => panic!("a record"),
                }
            }
            (kept, oversized)
        };
        let (kept, oversized) = split("a\nb\n1234567890\nc\n1234567890");
        assert_eq!(kept, [(1, 0), (2, 2), (3, 4), (4, 15), (5, 17)]);
        assert_eq!(oversized, []);
        for (text, kept, oversized) in [
            (
                "a\nb\n12345678901\nc\n",
                &[(1, 0), (2, 2), (4, 16)][..],
                (3, 4),
            ),
            ("a\n\nc\n12345678901", &[(1, 0), (3, 3)], (4, 5)),
            ("123456789012345678901\n\nb", &[(3, 23)], (1, 0)),
        ] {
            assert_eq!(split(text), (kept.to_vec(), vec![oversized]), "{text:?}");
        }
    }

    #[test]
    fn an_error_of_the_reader_is_not_taken_for_the_end() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let mut splitter = LineSplitter::new(b"a\nb".chain(Failing), CHUNK_BYTES);
        assert!(splitter.next_chunk().is_err());
    }
}
