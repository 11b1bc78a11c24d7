//! The scan of JSON lines, from stored files to record batches.
//!
//! Each pipeline is three tasks joined by small channels, so that fetching, decompressing and
//! decoding overlap:
//! ```text
//! store ─fetch→ compressed bytes ─chunker→ chunks of whole lines ─decode_task→ batches
//!       (async task)             (blocking thread)                (async task)
//! ```

mod chunker;
mod column_union;
pub(crate) mod columns;
mod decode_task;
pub(crate) mod error;
pub(crate) mod exec;
mod fetch;
mod open_tally;
pub(crate) mod pipeline;
mod pool_reservation;
mod shared_file;

pub(crate) use self::decode_task::JsonConsumer;
pub(crate) use self::shared_file::SharedFile;
