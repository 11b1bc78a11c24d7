//! The parts of a text that the scanner finds.

/// A part of the text that counts as a record. Offsets are those in the decompressed file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record.
    Record { start: u64, end: u64 },
    /// A whole document in which the path leads to no list.
    ///
    /// In a box, since there may be millions of small records in a piece of the text.
    WithoutList(Box<WithoutList>),
}

/// A document in which the path leads to no list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WithoutList {
    pub(super) start: u64,
    pub(super) end: u64,
    /// The first bytes of the document.
    pub(super) head: Vec<u8>,
    pub(super) reason: String,
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
