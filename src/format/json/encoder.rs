//! Batches to the bytes of one gzip file of JSON lines.
//!
//! ```text
//! RecordBatch ─LineWriter→ text ─cut at line ends→ GzipBlock ─compress, on any thread→ GzipMember
//!     ─append→ bytes of the file
//! ```

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use libdeflater::CompressionError;

use crate::codec::deflate::{GzipBlock, GzipMember, GzipPool, MemoryGauge};
use crate::codec::json::{LineWriter, OutputText};
use crate::error::{Error, Result};
use crate::format::value_range::check_values;
use crate::format::{FileEncoder, FileEncoding, FileFormat};

/// The size from which a block is compressed, in bytes. Larger blocks would be hardly smaller when
/// compressed, and more of them would be held in memory.
const BLOCK_BYTES: usize = 1 << 20;

/// The bytes allocated at once beyond [`BLOCK_BYTES`]: hardly any line is longer.
const USUAL_MAX_LINE: usize = 32 << 10;

/// The minimum size of a block that is worth ending to free memory, in bytes.
const MIN_BLOCK: usize = 64 << 10;

/// The ratio of text to its compressed size, to guess the latter.
const USUAL_RATIO: usize = 5;

/// The memory of the keys, and of the text of some rows, in bytes.
const OPENING_MEMORY: usize = 128 << 10;

/// The options of JSON files. Files of one pool share its compressors.
#[derive(Debug, Clone)]
pub(crate) struct JsonEncoding(pub GzipPool);

impl FileEncoding for JsonEncoding {
    fn format(&self) -> FileFormat {
        FileFormat::Json
    }

    fn compression(&self) -> &'static str {
        "gzip"
    }

    fn opening_memory(&self, _: &SchemaRef) -> usize {
        OPENING_MEMORY
    }

    fn encoder(&self, schema: &SchemaRef) -> Result<Box<dyn FileEncoder>> {
        Ok(Box::new(JsonEncoder::new(&self.0, schema)))
    }
}

/// Encodes one gzip file of JSON lines.
struct JsonEncoder {
    gzip: GzipPool,
    lines: LineWriter,
    /// The text of the next block.
    text: OutputText,
    /// Whole blocks that have not been taken yet.
    blocks: VecDeque<GzipBlock>,
    /// Bytes of `blocks`, and of those that were taken and whose members are not back yet.
    uncompressed: usize,
    /// Members that have not been taken yet.
    finished: Vec<u8>,
    /// True if the file has a member.
    has_member: bool,
    /// Counts the memory of blocks and members outside of this encoder.
    gauge: MemoryGauge,
    rows: u64,
}

impl JsonEncoder {
    fn new(gzip: &GzipPool, schema: &SchemaRef) -> Self {
        Self {
            gzip: gzip.clone(),
            lines: LineWriter::new(schema.fields()),
            text: OutputText::default(),
            blocks: VecDeque::new(),
            uncompressed: 0,
            finished: Vec::new(),
            has_member: false,
            gauge: MemoryGauge::default(),
            rows: 0,
        }
    }

    fn end_block(&mut self) {
        let bytes = std::mem::take(&mut self.text).into_bytes();
        self.uncompressed += bytes.len();
        let block = GzipBlock::new(&self.gzip, bytes, &self.gauge);
        self.blocks.push_back(block);
    }
}

impl FileEncoder for JsonEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        check_values(batch)?;
        let Self {
            gzip,
            lines,
            text,
            blocks,
            uncompressed,
            gauge,
            ..
        } = self;
        lines
            .write(batch, text, |text| {
                if text.len() >= BLOCK_BYTES {
                    let next = OutputText::with_capacity(BLOCK_BYTES + USUAL_MAX_LINE);
                    let full = std::mem::replace(text, next).into_bytes();
                    *uncompressed += full.len();
                    blocks.push_back(GzipBlock::new(gzip, full, gauge));
                }
            })
            .map_err(|error| Error::data("cannot write rows as JSON").with_source(error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn take_block(&mut self) -> Option<GzipBlock> {
        self.blocks.pop_front()
    }

    fn append(&mut self, member: &GzipMember) {
        self.uncompressed -= member.uncompressed().min(self.uncompressed);
        self.finished.extend_from_slice(member.bytes());
        self.has_member = true;
    }

    fn ready(&self) -> usize {
        self.finished.len()
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.finished)
    }

    fn pending(&self) -> usize {
        (self.text.len() + self.uncompressed) / USUAL_RATIO
    }

    fn memory(&self) -> usize {
        self.text.memory() + self.gauge.bytes() + self.finished.capacity()
    }

    fn relieve(&mut self) -> Result<()> {
        if self.text.len() >= MIN_BLOCK {
            self.end_block();
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(Vec<u8>, u64)> {
        let untaken: usize = self.blocks.iter().map(GzipBlock::size).sum();
        if untaken != self.uncompressed {
            return Err(Error::internal("a file ends before its blocks are in it"));
        }
        // A file without rows is a member without bytes.
        let is_empty = !self.has_member && self.blocks.is_empty();
        if !self.text.is_empty() || is_empty {
            self.end_block();
        }
        while let Some(block) = self.take_block() {
            let member = block.compress().map_err(cannot_compress)?;
            self.append(&member);
        }
        Ok((self.take(), self.rows))
    }
}

/// The error of a block that libdeflate refuses.
pub(crate) fn cannot_compress(error: CompressionError) -> Error {
    Error::internal("cannot compress a block").with_source(error)
}

#[cfg(test)]
mod tests;
