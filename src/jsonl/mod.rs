//! Decodes JSON lines to Arrow record batches.
//!
//! ```text
//! compressed bytes ─decompress, inflate→ text ─line_splitter, documents→ chunks of whole lines ─decode→ batches
//!    decode: each line by the fast decoder; a line of unusual form strictly, by the reference decoder
//! ```
//! The first bytes of a file decide about its compression. Formats that are not read are recognized,
//! and so are other forms of JSON and of text.
//!
//! A line is one JSON object. Blank lines, CRLF, a byte-order mark at the start and a last line
//! without newline are accepted; anything else is malformed. A file may also be JSON documents, whose
//! [`Framing`] says where their records are: each record is decoded as a line.
//!
//! The module depends on Arrow, the decompressors and libraries of times only: it knows of no store,
//! plan or memory pool, and could be a crate of its own.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use arrow::datatypes::{DataType, Field, Schema};
//! # use dayport::jsonl::{CHUNK_BYTES, Chunk, LineSchema, LineSplitter};
//! let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
//! let mut decoder = LineSchema::all(schema).decoder(8192)?;
//! let mut splitter = LineSplitter::new("{\"id\":1}\n{\"id\":\"x\"}\n".as_bytes(), CHUNK_BYTES);
//! while let Some(chunk) = splitter.next_chunk()? {
//!     if let Chunk::Lines(lines) = chunk {
//!         let decoded = decoder.decode(&lines)?;
//!         assert_eq!(decoded.batches[0].num_rows(), 1);
//!         assert_eq!(decoded.bad[0].line, 2);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bad_line;
mod chunk;
mod compression;
mod content;
mod decode;
mod decompress;
mod documents;
mod epoch;
mod fast;
mod file_error;
mod find;
mod framing;
mod gzip_members;
mod in_memory_chunks;
mod inflate;
mod inflate_buffer;
mod leaf_mask;
mod leaf_rule;
mod line_schema;
mod line_splitter;
mod local_zone;
mod reason;
mod reference;
mod strict;
#[cfg(test)]
mod tests;
mod text_shape;
mod time_column;
mod time_format;
mod time_text;
mod zstd_frames;

pub use self::bad_line::BadLine;
pub use self::chunk::{
    BadRecord, CHUNK_BYTES, Chunk, Line, LineChunk, MAX_LINE_BYTES, RecordFault,
};
pub use self::compression::Compression;
pub use self::content::{ContentKind, Remedy};
pub use self::decode::{DecodedChunk, LineDecoder};
pub use self::decompress::read_head;
pub use self::documents::{InMemoryRecords, RecordSplitter};
pub use self::epoch::{EpochRule, EpochUnit};
pub use self::file_error::FileError;
pub use self::find::{FoundLine, decode_line, find_lines};
pub use self::framing::{Framing, RecordPath};
pub use self::in_memory_chunks::InMemoryChunks;
pub use self::inflate::{Inflater, inflated_size};
pub use self::inflate_buffer::{InflateBuffer, Reservation};
pub use self::leaf_mask::LeafMask;
pub use self::leaf_rule::{LeafRule, LeafRules};
pub use self::line_schema::LineSchema;
pub use self::line_splitter::LineSplitter;
pub use self::local_zone::LocalZone;
pub use self::text_shape::TextShape;
pub use self::time_column::instant_of_text;
pub use self::time_format::TimeFormat;
