//! The parts of a text that the scanner finds.

/// A part of the text that counts as a record. Offsets are those in the decompressed file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record.
    Record { start: u64, end: u64 },
    /// A whole document in which the path leads to no list.
    WithoutList {
        start: u64,
        end: u64,
        /// The first bytes of the document.
        head: Vec<u8>,
        reason: String,
    },
}

/// The end of what can be read of a file: what follows is no frame of records.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// The offset of the first byte that is not read; of a record without an end, its start.
    pub(super) offset: u64,
    pub(super) reason: String,
    /// The first bytes of what is not read, if it is a document that began before.
    pub(super) head: Option<Vec<u8>>,
}
