//! JSON lines, gzip: one object per line, UTF-8, NULL fields omitted, empty lists kept, timestamps
//! RFC 3339 in UTC, 64-bit integers as numbers, binary values as hexadecimal text.

mod decoder;
mod encoder;
pub(crate) mod options;
mod row_check;
mod value;

use serde::Serialize;

use crate::codec::deflate::{GzipLevel, GzipPool};
use crate::error::{Error, Result};
use crate::format::{FileDecoder, FormatInfo};

pub(crate) use encoder::JsonEncoding;
pub(crate) use value::json_value;

/// The facts about JSON.
pub(super) const INFO: FormatInfo = FormatInfo {
    sql_names: &["JSON", "NDJSON"],
    default_target_file_size: 128 << 20,
    binary_is_hex: true,
    timestamp_is_text: true,
    decoder: decoder::open,
};

/// Encodes `rows` as a whole gzip file of JSON lines.
pub(crate) fn encode_lines<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)
            .map_err(|error| Error::internal("cannot write JSON lines").with_source(error))?;
        text.push(b'\n');
    }
    let gzip = GzipPool::new(GzipLevel::default());
    gzip.compress(&text).map_err(encoder::cannot_compress)
}

/// Opens a decoder of JSON lines without a schema: any object is a row.
pub(crate) fn line_decoder() -> Box<dyn FileDecoder> {
    Box::new(decoder::JsonDecoder::new(None))
}
