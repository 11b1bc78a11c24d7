//! Decompresses the members of a gzip file in a stream.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use crate::jsonl::compression::Compression;
use crate::jsonl::file_error::FileError;

/// Decompresses all members of a gzip file.
///
/// Zero bytes between members and behind the last one are skipped: tapes and block devices pad files
/// with them, and gzip and Python ignore them as well. Other bytes behind a member are an error.
pub(crate) struct GzipMembers<R> {
    /// The current member; `None` behind the last one.
    member: Option<GzDecoder<CountedBytes<R>>>,
    /// The offset of the current member if it is not the first.
    later_start: Option<u64>,
}

impl<R: BufRead> GzipMembers<R> {
    pub(crate) fn new(compressed: R) -> Self {
        let counted = CountedBytes {
            bytes: compressed,
            consumed: 0,
        };
        Self {
            member: Some(GzDecoder::new(counted)),
            later_start: None,
        }
    }

    /// Explains an error of the current member.
    fn explain(&self, error: io::Error) -> io::Error {
        let has_header = self.member.as_ref().is_some_and(|m| m.header().is_some());
        match self.later_start {
            Some(offset) if !has_header && error.kind() == io::ErrorKind::InvalidInput => {
                trailing_bytes(offset)
            }
            _ => error,
        }
    }

    /// Goes on to the next member, if there is one.
    fn next_member(&mut self, mut compressed: CountedBytes<R>) -> io::Result<()> {
        match compressed.skip_zeros()? {
            None => {}
            Some(0x1f) => {
                self.later_start = Some(compressed.consumed);
                self.member = Some(GzDecoder::new(compressed));
            }
            Some(_) => return Err(trailing_bytes(compressed.consumed)),
        }
        Ok(())
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = match member.read(into) {
                Ok(length) => length,
                Err(error) => return Err(self.explain(error)),
            };
            if length > 0 || into.is_empty() {
                return Ok(length);
            }
            if let Some(ended) = self.member.take() {
                self.next_member(ended.into_inner())?;
            }
        }
        Ok(0)
    }
}

/// Compressed bytes, and how many of them have been consumed.
struct CountedBytes<R> {
    bytes: R,
    consumed: u64,
}

impl<R: BufRead> CountedBytes<R> {
    /// Skips zero bytes. Returns the next byte, which is not consumed.
    fn skip_zeros(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffered = self.fill_buf()?;
            if buffered.is_empty() {
                return Ok(None);
            }
            let zeros = buffered.iter().take_while(|byte| **byte == 0).count();
            let next = buffered.get(zeros).copied();
            self.consume(zeros);
            if next.is_some() {
                return Ok(next);
            }
        }
    }
}

impl<R: BufRead> Read for CountedBytes<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(into)?;
        self.consumed += length as u64;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for CountedBytes<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bytes.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.consumed += length as u64;
        self.bytes.consume(length);
    }
}

fn trailing_bytes(offset: u64) -> io::Error {
    FileError::TrailingBytes {
        compression: Compression::Gzip,
        offset: Some(offset),
    }
    .into()
}
