//! Text in memory, split into chunks of lines without a copy.

use bytes::Bytes;

use crate::jsonl::chunk::{
    BYTE_ORDER_MARK, Chunk, LineChunk, MAX_LINE_BYTES, OVERSIZED_HEAD_BYTES, raw_lines,
};

/// Splits a file whose text is in memory. The chunks are slices of that text.
pub struct InMemoryChunks {
    /// The text that is not in a chunk yet. It begins at the start of a line.
    rest: Bytes,
    next_line: u64,
    offset: u64,
    chunk_bytes: usize,
}

impl InMemoryChunks {
    /// Creates a splitter of the whole text of a file.
    pub fn new(mut text: Bytes, chunk_bytes: usize) -> Self {
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

    /// Returns the next chunk, or `None` at the end of the text.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.next_length();
        let bytes = self.rest.split_to(length);
        let (first_line, offset) = (self.next_line, self.offset);
        self.offset += length as u64;
        if bytes.len() > MAX_LINE_BYTES + 1 && raw_lines(&bytes).count() == 1 {
            self.next_line += 1;
            return Some(Chunk::OversizedLine {
                line: first_line,
                offset,
                length: (length - usize::from(bytes.ends_with(b"\n"))) as u64,
                head: bytes.slice(..OVERSIZED_HEAD_BYTES),
            });
        }
        self.next_line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Some(Chunk::Lines(LineChunk::new(bytes, first_line, offset)))
    }

    /// Returns the length up to the last line end within the size of a chunk, else up to the first
    /// line end after it.
    fn next_length(&self) -> usize {
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
