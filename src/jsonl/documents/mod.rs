//! Splits a file of JSON documents into records, as they are laid out in it.
//!
//! ```text
//! text ─scanner→ where records begin and end ─splitter→ chunks of records
//!        └─structure→ the end of an object or a list, 64 bytes at a time
//! ```
//! Only the frame is parsed here: the brackets, commas and keys around the records. Of a record, and of
//! a member that is skipped, its brackets and strings are followed to its end. The decoder decides
//! whether a record is a row, as it does for a line.

mod found;
mod piece;
mod scanner;
mod splitter;
mod structure;
#[cfg(test)]
mod tests;

pub use self::splitter::{InMemoryRecords, RecordSplitter};
