//! Decoding: the bytes of one file to its rows, which are counted and compared with its schema.

use crate::error::Result;

/// Decodes one file whose bytes arrive in order.
pub trait FileDecoder: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Fails if this machine does. A damaged file is a [`DecodeOutcome::Broken`] at the end.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Ends the file.
    ///
    /// # Errors
    /// Fails if this machine does.
    fn finish(self: Box<Self>) -> Result<DecodeOutcome>;
}

/// The outcome of decoding a file.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodeOutcome {
    /// The file is whole.
    Whole {
        rows: u64,
        /// The first difference from the schema.
        mismatch: Option<String>,
    },
    /// The file cannot be decoded, with the reason.
    Broken(String),
}
