//! The scan of JSON lines, from stored files to record batches.
//!
//! Each read is three tasks with small channels between them, so that fetching, inflating and
//! decoding overlap:
//! ```text
//! store ─fetch→ stored bytes ─inflate→ JSON ─lines→ chunks of whole lines ─decode→ batches
//!       (async task)         (one blocking thread)                        (async task)
//! ```

pub(crate) mod chunker;
pub(crate) mod columns;
pub(crate) mod exec;
pub(crate) mod fetch;
pub(crate) mod find;
pub(crate) mod pipeline;
