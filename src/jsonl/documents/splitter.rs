//! Documents split into chunks of whole records.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;

use crate::jsonl::chunk::{
    BYTE_ORDER_MARK, BadRecord, Chunk, LineChunk, MAX_LINE_BYTES, OVERSIZED_HEAD_BYTES, RecordFault,
};
use crate::jsonl::documents::found::{Break, Found, WithoutList};
use crate::jsonl::documents::scanner::Scanner;
use crate::jsonl::framing::RecordPath;

/// Reads one file of documents and splits it into chunks of records.
///
/// The rest of a file that is no frame of records is one malformed record.
pub struct RecordSplitter<R> {
    reader: R,
    /// The bytes that were read and are not in a chunk yet. They begin with the record that is open.
    buffer: Vec<u8>,
    /// The offset of the buffer in the decompressed file.
    offset: u64,
    chunk_bytes: usize,
    is_start: bool,
    /// True if the end of the file was reached.
    is_done: bool,
    /// The record that is longer than the limit, while it is skipped.
    skipped: Option<Skipped>,
    scanner: Scanner,
    chunks: RecordChunks,
}

/// A record that is skipped.
struct Skipped {
    start: u64,
    head: Bytes,
}

impl<R: Read> RecordSplitter<R> {
    /// Creates a splitter of the decompressed bytes that `reader` returns, into chunks of about
    /// `chunk_bytes`. Records longer than `max_record_bytes` are skipped.
    pub fn new(reader: R, path: RecordPath, chunk_bytes: usize, max_record_bytes: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            offset: 0,
            chunk_bytes,
            is_start: true,
            is_done: false,
            skipped: None,
            scanner: Scanner::new(path),
            chunks: RecordChunks::new(max_record_bytes),
        }
    }

    /// Returns the next chunk, or `None` at the end of the file.
    ///
    /// # Errors
    /// Returns the errors of the reader.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            if let Some(chunk) = self.chunks.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.is_done {
                return Ok(None);
            }
            self.read_more()?;
        }
    }

    /// Reads and scans more of the file, and adds the chunks of what it ends.
    fn read_more(&mut self) -> io::Result<()> {
        let scanned = self.buffer.len();
        self.fill()?;
        let mut found = Vec::new();
        let piece = self.buffer.get(scanned..).unwrap_or_default();
        let base = self.offset + scanned as u64;
        let mut outcome = self.scanner.scan(piece, base, &mut found);
        if outcome.is_ok() && self.is_done {
            let end = self.offset + self.buffer.len() as u64;
            outcome = self.scanner.finish(end, &mut found);
        }
        let keep_from = match &outcome {
            Err(broken) => broken.offset,
            Ok(()) => self.scanner.open_record().unwrap_or(u64::MAX),
        };
        let position = usize::try_from(keep_from.saturating_sub(self.offset));
        let keep_at = position.map_or(self.buffer.len(), |at| at.min(self.buffer.len()));
        let text = self.take(keep_at);
        self.chunks
            .add(found, &text, self.offset, &mut self.skipped);
        self.offset += keep_at as u64;
        match outcome {
            Err(broken) => self.end_broken(broken),
            Ok(()) => {
                self.skip_oversized();
                Ok(())
            }
        }
    }

    /// Takes the head of the buffer, up to this length.
    fn take(&mut self, length: usize) -> Bytes {
        if length == 0 {
            return Bytes::new();
        }
        let rest = self.buffer.split_off(length);
        Bytes::from(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads about the size of a chunk, behind what is in the buffer.
    fn fill(&mut self) -> io::Result<()> {
        let needed = match self.chunk_bytes.saturating_sub(self.buffer.len()) {
            0 => self.chunk_bytes,
            missing => missing,
        };
        let needed = needed.max(BYTE_ORDER_MARK.len());
        self.buffer.reserve(needed);
        let mut limited = (&mut self.reader).take(needed as u64);
        let read = limited.read_to_end(&mut self.buffer)?;
        self.is_done = read < needed;
        if std::mem::take(&mut self.is_start) && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
            self.offset = BYTE_ORDER_MARK.len() as u64;
        }
        Ok(())
    }

    /// Discards the text of the open record if it is longer than the limit.
    fn skip_oversized(&mut self) {
        let is_skipped = self.skipped.is_some() && self.scanner.open_record().is_some();
        if !is_skipped && self.buffer.len() <= self.chunks.max_record_bytes {
            return;
        }
        if !is_skipped {
            self.skipped = Some(Skipped {
                start: self.offset,
                head: Bytes::copy_from_slice(head_of(&self.buffer)),
            });
        }
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
    }

    /// Reads the rest of a file that cannot be split, and adds it as a malformed record.
    fn end_broken(&mut self, broken: Break) -> io::Result<()> {
        self.is_done = true;
        let missing = OVERSIZED_HEAD_BYTES.saturating_sub(self.buffer.len());
        let mut limited = (&mut self.reader).take(missing as u64);
        limited.read_to_end(&mut self.buffer)?;
        let head = match self.skipped.take() {
            Some(skipped) => skipped.head,
            None => Bytes::copy_from_slice(head_of(&self.buffer)),
        };
        let read = self.offset + self.buffer.len() as u64;
        self.buffer = Vec::new();
        let rest = io::copy(&mut self.reader, &mut io::sink())?;
        self.chunks.add_broken(broken, read + rest, head);
        Ok(())
    }
}

/// Splits a file of documents whose text is in memory. The chunks are slices of that text.
pub struct InMemoryRecords {
    text: Bytes,
    position: usize,
    chunk_bytes: usize,
    scanner: Scanner,
    chunks: RecordChunks,
}

impl InMemoryRecords {
    /// Creates a splitter of the whole text of a file.
    pub fn new(text: Bytes, path: RecordPath, chunk_bytes: usize) -> Self {
        let has_mark = text.starts_with(BYTE_ORDER_MARK);
        Self {
            position: if has_mark { BYTE_ORDER_MARK.len() } else { 0 },
            text,
            chunk_bytes,
            scanner: Scanner::new(path),
            chunks: RecordChunks::new(MAX_LINE_BYTES),
        }
    }

    /// Returns the next chunk, or `None` at the end of the text.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        while self.chunks.ready.is_empty() && self.position < self.text.len() {
            self.scan_more();
        }
        self.chunks.ready.pop_front()
    }

    fn scan_more(&mut self) {
        let end = self.position.saturating_add(self.chunk_bytes);
        let end = end.min(self.text.len());
        let piece = self.text.get(self.position..end).unwrap_or_default();
        let mut found = Vec::new();
        let mut outcome = self.scanner.scan(piece, self.position as u64, &mut found);
        if outcome.is_ok() && end == self.text.len() {
            outcome = self.scanner.finish(end as u64, &mut found);
        }
        self.chunks.add(found, &self.text, 0, &mut None);
        self.position = end;
        if let Err(broken) = outcome {
            self.position = self.text.len();
            let start = usize::try_from(broken.offset).unwrap_or(self.text.len());
            let rest = self.text.get(start..).unwrap_or_default();
            let head = Bytes::copy_from_slice(head_of(rest));
            self.chunks.add_broken(broken, self.text.len() as u64, head);
        }
    }
}

/// The chunks that are made of what the scanner found.
struct RecordChunks {
    max_record_bytes: usize,
    /// The index of the next record, from 1.
    next_record: u64,
    ready: VecDeque<Chunk>,
    /// The records of the next chunk, by their offsets in the file.
    records: Vec<Range<u64>>,
}

impl RecordChunks {
    fn new(max_record_bytes: usize) -> Self {
        Self {
            max_record_bytes,
            next_record: 1,
            ready: VecDeque::new(),
            records: Vec::new(),
        }
    }

    /// Adds the chunks of what was found in `text`, which begins at the offset `base`. `skipped` is the
    /// record that began before it, and whose text is discarded.
    fn add(&mut self, found: Vec<Found>, text: &Bytes, base: u64, skipped: &mut Option<Skipped>) {
        for part in found {
            match part {
                Found::Record { start, end } => {
                    let is_long = end - start > self.max_record_bytes as u64;
                    if !is_long && start >= base {
                        self.records.push(start..end);
                        continue;
                    }
                    self.flush(text, base);
                    let head = match skipped.take() {
                        Some(skipped) if skipped.start == start => skipped.head,
                        _ => {
                            let at = usize::try_from(start - base).unwrap_or(usize::MAX);
                            Bytes::copy_from_slice(head_of(text.get(at..).unwrap_or_default()))
                        }
                    };
                    let fault = RecordFault::Oversized;
                    self.add_bad(start..end, head, fault);
                }
                Found::WithoutList(document) => {
                    self.flush(text, base);
                    let WithoutList {
                        start,
                        end,
                        head,
                        reason,
                    } = *document;
                    let fault = RecordFault::WithoutList(reason);
                    self.add_bad(start..end, Bytes::from(head), fault);
                }
            }
        }
        self.flush(text, base);
    }

    /// Adds the rest of a file, up to the offset `end`.
    fn add_broken(&mut self, broken: Break, end: u64, head: Bytes) {
        let head = broken.head.map_or(head, Bytes::from);
        let fault = RecordFault::Broken(broken.reason);
        self.add_bad(broken.offset..end.max(broken.offset), head, fault);
    }

    fn add_bad(&mut self, range: Range<u64>, head: Bytes, fault: RecordFault) {
        self.ready.push_back(Chunk::BadRecord(BadRecord {
            record: self.next_record,
            offset: range.start,
            length: range.end - range.start,
            head,
            fault,
        }));
        self.next_record += 1;
    }

    /// Adds a chunk of the records before this one.
    fn flush(&mut self, text: &Bytes, base: u64) {
        let (Some(first), Some(last)) = (self.records.first(), self.records.last()) else {
            return;
        };
        let position = |offset: u64| usize::try_from(offset - base).unwrap_or(usize::MAX);
        let offset = first.start;
        let bytes = text.slice(position(first.start)..position(last.end));
        let within =
            |offset_in_file: u64| u32::try_from(offset_in_file - offset).unwrap_or(u32::MAX);
        let records = self
            .records
            .iter()
            .map(|record| within(record.start)..within(record.end));
        let chunk = LineChunk::of_records(bytes, self.next_record, offset, records.collect());
        self.next_record += self.records.len() as u64;
        self.records.clear();
        self.ready.push_back(Chunk::Lines(chunk));
    }
}

/// Returns the first bytes of a malformed record.
fn head_of(text: &[u8]) -> &[u8] {
    text.get(..OVERSIZED_HEAD_BYTES).unwrap_or(text)
}
