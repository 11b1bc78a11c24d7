//! The access of a command to the places that it opens.

/// The access to the destination, and to the operator's place for malformed lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// A missing local folder is created.
    ReadWrite,
    /// Nothing is created.
    ReadOnly,
}
