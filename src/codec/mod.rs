//! The codecs: Arrow to the bytes of JSON lines and Parquet columns, and DEFLATE.
//!
//! ```text
//! RecordBatch ─json→ lines of text ─deflate→ gzip members
//! RecordBatch ─parquet→ pages of strings (own encoder) and of all else (parquet-rs) ─→ row groups
//! ```
//! Each codec could be a crate of its own: it knows Arrow, Parquet and its RFC,
//! and nothing of dayport. Errors are those of its libraries.

pub mod deflate;
pub mod json;
pub mod parquet;
