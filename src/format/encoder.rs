//! Encoding: batches to the bytes of one file.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::codec::deflate::{GzipBlock, GzipMember};
use crate::error::Result;
use crate::format::FileFormat;

/// The encoding of the files of one table: a format with its options.
pub trait FileEncoding: fmt::Debug + Send + Sync {
    /// Returns the format.
    fn format(&self) -> FileFormat;

    /// Returns the name of the compression, in lower case.
    fn compression(&self) -> &'static str;

    /// Estimates, generously, the memory that a file takes as soon as it is open, in bytes.
    fn opening_memory(&self, schema: &SchemaRef) -> usize;

    /// Opens a file of `schema`.
    ///
    /// # Errors
    /// Fails if the format cannot hold the schema.
    fn encoder(&self, schema: &SchemaRef) -> Result<Box<dyn FileEncoder>>;
}

/// Encodes one file: takes batches, returns bytes.
///
/// Called once for each batch, so that the call costs nothing.
pub trait FileEncoder: Send {
    /// Encodes a batch of the schema that the file was opened with.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Takes the next block to be compressed, on any thread.
    ///
    /// Its member must be appended by [`FileEncoder::append`], after those of the blocks taken before.
    /// A format that compresses by itself, column by column, never has a block.
    fn take_block(&mut self) -> Option<GzipBlock> {
        None
    }

    /// Appends the compressed form of a block that was taken.
    fn append(&mut self, _: &GzipMember) {}

    /// Returns how many finished bytes [`FileEncoder::take`] would return.
    fn ready(&self) -> usize;

    /// Takes the finished bytes; they are the next bytes of the file.
    fn take(&mut self) -> Vec<u8>;

    /// Estimates what would be added to the file, beyond the bytes finished so far, if it ended now,
    /// in bytes.
    fn pending(&self) -> usize;

    /// Returns the memory held, in bytes, including that of blocks that were taken.
    fn memory(&self) -> usize;

    /// Frees memory at some cost in file size, if that is worth it: ends the row group, or the block.
    fn relieve(&mut self) -> Result<()>;

    /// Ends the file, after all blocks that were taken are back; returns its last bytes and the
    /// number of rows that the format counted.
    fn finish(self: Box<Self>) -> Result<(Vec<u8>, u64)>;
}
