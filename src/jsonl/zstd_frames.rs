//! Decompresses the frames of a zstd file in a stream.

use std::io::{self, BufRead, Read};

use zstd::stream::read::Decoder;

use crate::jsonl::compression::Compression;
use crate::jsonl::file_error::FileError;

/// The base-2 logarithm of the maximum size of a window: 128 MiB, as `zstd --long` writes it.
const MAX_WINDOW_LOG: u32 = 27;

/// Decompresses all frames of a zstd file; skippable frames are skipped.
pub(crate) struct ZstdFrames<R: BufRead>(Decoder<'static, R>);

impl<R: BufRead> ZstdFrames<R> {
    pub(crate) fn new(compressed: R) -> io::Result<Self> {
        let mut decoder = Decoder::with_buffer(compressed)?;
        decoder.window_log_max(MAX_WINDOW_LOG)?;
        Ok(Self(decoder))
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(explain)
    }
}

/// Recognizes errors of the library, which have no code but the text of `ZSTD_getErrorName`.
fn explain(error: io::Error) -> io::Error {
    match error.to_string().as_str() {
        "Frame requires too much memory for decoding" => FileError::WindowTooLarge.into(),
        // The first bytes are a frame: the kind of the content was recognized by them.
        "Unknown frame descriptor" => FileError::TrailingBytes {
            compression: Compression::Zstd,
            offset: None,
        }
        .into(),
        _ => error,
    }
}
