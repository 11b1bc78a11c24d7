//! Compressors and buffers that the columns of a thread share: thousands of columns may be open.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use snap::raw::{Encoder, max_compress_len};
use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

/// The maximum capacity of a buffer that is kept, in bytes.
const MAX_KEPT: usize = 4 << 20;

/// Returns true if [`PageScratch::compress`] supports the compression.
pub(super) fn is_supported(compression: Compression) -> bool {
    matches!(
        compression,
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_)
    )
}

/// The buffers and compressors to make a page with.
#[derive(Default)]
pub(super) struct PageScratch {
    raw: Vec<u8>,
    compressed: BytesMut,
    snappy: Option<Encoder>,
    /// The compressor of the last level.
    zstd: Option<(i32, Compressor<'static>)>,
}

thread_local! {
    static SCRATCH: RefCell<PageScratch> = RefCell::default();
}

/// Calls `work` with the scratch of this thread; it must not call this function again.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut PageScratch) -> T) -> T {
    SCRATCH.with_borrow_mut(work)
}

impl PageScratch {
    /// Takes an empty buffer for the bytes of a page; return it by [`PageScratch::return_buffer`].
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        raw
    }

    /// Returns a buffer to be used again.
    pub(super) fn return_buffer(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_KEPT {
            self.raw = buffer;
        }
    }

    /// Compresses the bytes of a page; return the result by [`PageScratch::return_page`].
    ///
    /// # Errors
    /// Fails if the compression is not [supported](is_supported), or by itself.
    pub(super) fn compress(&mut self, raw: &[u8], compression: Compression) -> Result<Bytes> {
        let mut out = std::mem::take(&mut self.compressed);
        out.clear();
        match compression {
            Compression::UNCOMPRESSED => out.extend_from_slice(raw),
            Compression::SNAPPY => {
                out.resize(max_compress_len(raw.len()), 0);
                let encoder = self.snappy.get_or_insert_with(Encoder::new);
                let written = encoder.compress(raw, &mut out)?;
                out.truncate(written);
            }
            Compression::ZSTD(zstd_level) => {
                out.resize(compress_bound(raw.len()), 0);
                let level = zstd_level.compression_level();
                let (_, compressor) = match &mut self.zstd {
                    Some(last) if last.0 == level => last,
                    other => other.insert((level, Compressor::new(level)?)),
                };
                let written = compressor.compress_to_buffer(raw, out.as_mut())?;
                out.truncate(written);
            }
            other => {
                let error = format!("strings are not written with {other}");
                return Err(ParquetError::NYI(error));
            }
        }
        Ok(out.freeze())
    }

    /// Returns a compressed page, whose memory is used again.
    pub(super) fn return_page(&mut self, page: Bytes) {
        // Fails if the page is still shared.
        if let Ok(buffer) = page.try_into_mut()
            && buffer.capacity() <= MAX_KEPT
        {
            self.compressed = buffer;
        }
    }
}
