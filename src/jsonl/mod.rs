//! JSON lines to Arrow record batches, without stores, plans or files.
//!
//! ```text
//! compressed bytes ─compression, inflate→ text ─lines→ chunks of whole lines ─decode→ batches
//!    decode: each line by the fast decoder; a line of another form by the reference decoder
//! ```
//! A line is one JSON object. Blank lines, CRLF, a byte-order mark at the start and a last line
//! without newline are accepted; anything else is malformed.

mod bench;
pub(crate) mod compression;
pub(crate) mod decode;
pub(crate) mod fast;
pub(crate) mod inflate;
pub(crate) mod leaves;
pub(crate) mod lines;
pub(crate) mod projection;
pub(crate) mod reason;
pub(crate) mod reference;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use self::bench::JsonLines;
pub use self::compression::Compression;
