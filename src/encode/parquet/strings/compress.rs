//! Compressors and buffers that the columns of a thread share: of each, some thousand may be open.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use snap::raw::{Encoder, max_compress_len};
use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

/// A buffer that has grown beyond it is not kept.
const MOST_KEPT: usize = 4 << 20;

/// Whether [`Workshop::compressed`] knows it.
pub(super) fn is_known(compression: Compression) -> bool {
    matches!(
        compression,
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_)
    )
}

/// What a page is made with.
#[derive(Default)]
pub(super) struct Workshop {
    raw: Vec<u8>,
    compressed: BytesMut,
    snappy: Option<Encoder>,
    zstd: Option<(i32, Compressor<'static>)>,
}

thread_local! {
    static WORKSHOP: RefCell<Workshop> = RefCell::default();
}

/// Hands the workshop of this thread to `work`, which must not ask for it again.
pub(super) fn with_workshop<T>(work: impl FnOnce(&mut Workshop) -> T) -> T {
    WORKSHOP.with_borrow_mut(work)
}

impl Workshop {
    /// An empty buffer for the bytes of a page; give it back with [`Workshop::keep`].
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        raw
    }

    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= MOST_KEPT {
            self.raw = buffer;
        }
    }

    /// The bytes of a page as they are in the file; give them back with [`Workshop::done`].
    pub(super) fn compressed(&mut self, raw: &[u8], compression: Compression) -> Result<Bytes> {
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
            Compression::ZSTD(level) => {
                out.resize(compress_bound(raw.len()), 0);
                let level = level.compression_level();
                let compressor = match self.zstd.take() {
                    Some((its_level, compressor)) if its_level == level => compressor,
                    _ => Compressor::new(level)?,
                };
                let (_, compressor) = self.zstd.insert((level, compressor));
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

    pub(super) fn done(&mut self, page: Bytes) {
        // Nobody else has it any more.
        if let Ok(buffer) = page.try_into_mut()
            && buffer.capacity() <= MOST_KEPT
        {
            self.compressed = buffer;
        }
    }
}
