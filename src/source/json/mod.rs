//! JSON lines, from stored files to record batches.
//!
//! Each reading is three tasks with small channels between them, so that fetching, inflating and
//! decoding overlap:
//! ```text
//! store ─fetch→ stored bytes ─inflate→ JSON ─lines→ pieces of whole lines ─decode→ batches
//!       (async task)         (one blocking thread)                        (async task)
//! ```
//! A line is one JSON object. Blank lines, CRLF, a byte-order mark at the start and a last line
//! without newline are accepted; anything else is malformed: it fails the scan,
//! naming file and line, or is set aside, as the session's `ScanLog` says.

mod bench;
mod columns;
mod compression;
mod decode;
mod exec;
mod fast;
mod fetch;
mod find;
mod inflate;
mod lines;
mod pieces;
mod reading;
mod reason;
mod reference;
#[cfg(test)]
mod tests;
mod wanted;

pub use bench::JsonLines;
pub(super) use columns::{Columns, LineSchema};
pub use compression::Compression;
pub(super) use decode::BadLine;
pub(super) use exec::{JsonLinesExec, read_files};
pub(super) use find::{FoundLine, decode_line, find_lines};
pub(super) use reading::{ReadSettings, Reader, SharedFile, read};
pub(super) use wanted::Wanted;
