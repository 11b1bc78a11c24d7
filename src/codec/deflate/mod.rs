//! DEFLATE (RFC 1951) in members of gzip (RFC 1952).
//!
//! ```text
//! text ─matches→ tokens: literals, matches ─block→ frequencies ─huffman→ codes ─bits→ member
//! ```
//!
//! Made for lines of JSON: at [`GzipLevel::default`] they compress to about the size of
//! libdeflate's level 4 in 0.6 of its time. Program code and the like, with many short matches,
//! takes a tenth more space. All other levels are libdeflate's.

mod bits;
mod block;
mod deflater;
mod gzip;
mod header;
mod huffman;
mod matches;
mod symbols;
#[cfg(test)]
mod tests;
mod tokens;

pub use deflater::Deflater;
pub use gzip::{GzipBlock, GzipLevel, GzipMember, GzipPool, MemoryGauge};
