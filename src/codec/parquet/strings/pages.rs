//! The pages of a column chunk in memory, each in a buffer of its own: none is moved as their number
//! grows.

use std::io::{self, Read};
use std::vec::IntoIter;

use bytes::{Buf, Bytes};
use parquet::column::page::{CompressedPage, PageWriter};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

/// An upper bound of the size of a header without statistics, in bytes.
const HEADER: usize = 64;

/// The pages of a column chunk with their headers, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pages: Vec<Bytes>,
    bytes: usize,
    memory: usize,
}

/// The sizes of a page with its header, in bytes.
pub(super) struct PageSizes {
    /// The size in the file.
    pub(super) compressed: usize,
    /// The size without compression.
    pub(super) uncompressed: usize,
}

impl Pages {
    /// Returns the size of all pages, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory held, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory + self.pages.capacity() * size_of::<Bytes>()
    }

    /// Adds a page after all others.
    pub(super) fn push(&mut self, page: CompressedPage) -> Result<PageSizes> {
        self.insert(self.pages.len(), page)
    }

    /// Adds a page before all others.
    pub(super) fn push_front(&mut self, page: CompressedPage) -> Result<PageSizes> {
        self.insert(0, page)
    }

    fn insert(&mut self, index: usize, page: CompressedPage) -> Result<PageSizes> {
        let mut written = Vec::with_capacity(page.data().len() + HEADER);
        let mut sink = TrackedWrite::new(&mut written);
        let mut writer = SerializedPageWriter::new(&mut sink);
        let uncompressed = writer.write_page(page)?.uncompressed_size;
        writer.close()?;
        drop(sink);
        let compressed = written.len();
        self.bytes += compressed;
        self.memory += written.capacity();
        self.pages.insert(index, written.into());
        Ok(PageSizes {
            compressed,
            uncompressed,
        })
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.bytes as u64
    }
}

impl ChunkReader for Pages {
    type T = PagesReader;

    fn get_read(&self, start: u64) -> Result<PagesReader> {
        let mut reader = PagesReader {
            page: Bytes::new(),
            rest: self.pages.clone().into_iter(),
        };
        let skipped = io::copy(&mut reader.by_ref().take(start), &mut io::sink())?;
        if skipped < start {
            let error = format!("a chunk of {skipped} bytes has nothing at {start}");
            return Err(ParquetError::EOF(error));
        }
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads the pages of a column chunk as one sequence of bytes.
pub(crate) struct PagesReader {
    page: Bytes,
    rest: IntoIter<Bytes>,
}

impl Read for PagesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.page.is_empty() {
            match self.rest.next() {
                Some(page) => self.page = page,
                None => return Ok(0),
            }
        }
        let len = self.page.len().min(buffer.len());
        let (head, _) = buffer.split_at_mut(len);
        self.page.copy_to_slice(head);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use parquet::basic::Encoding;
    use parquet::column::page::Page;

    use super::*;

    #[test]
    fn pages_are_read_from_any_offset() {
        let page = |byte: u8, len: usize| {
            let page = Page::DictionaryPage {
                buf: vec![byte; len].into(),
                num_values: 1,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            CompressedPage::new(page, len)
        };
        let mut pages = Pages::default();
        let second = pages.push(page(2, 30)).unwrap().compressed;
        let third = pages.push(page(3, 0)).unwrap().compressed;
        let first = pages.push_front(page(1, 20_000)).unwrap().compressed;
        let all = pages.get_bytes(0, pages.bytes()).unwrap();
        assert_eq!(all.len(), first + second + third);
        assert!(pages.memory() >= all.len());
        assert_eq!(all[first - 20_000..first], [1; 20_000]);
        assert_eq!(all[first + second - 30..first + second], [2; 30]);
        for start in [0, 1, first - 1, first, first + second, all.len()] {
            let mut rest = Vec::new();
            let mut reader = pages.get_read(start as u64).unwrap();
            reader.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, all[start..]);
        }
        assert!(pages.get_read(all.len() as u64 + 1).is_err());
    }
}
