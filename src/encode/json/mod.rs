//! JSON lines, gzip: one object a line, UTF-8, NULL fields omitted, empty lists kept, timestamps
//! RFC 3339 in UTC, 64-bit integers as numbers.
//!
//! ```text
//! RecordBatch ─rows→ text ─cut at line ends→ Block ─compress, on any thread→ Member → bytes of the file
//! ```

mod numbers;
mod rows;
mod strings;
mod text;
mod time;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

pub use rows::LineWriter;
pub use text::Text;

use crate::encode::gzip::{Block, Gauge, Gzip, Member};
use crate::error::{Error, Result};

/// A block is compressed as soon as it has this many bytes. Larger ones would be hardly smaller when
/// compressed, and more of them would be held in memory.
const BLOCK: usize = 1 << 20;

/// What most lines have at most: so much more than [`BLOCK`] is allocated at once.
const LINE: usize = 32 << 10;

/// A block smaller than this is not worth ending to relieve memory, in bytes.
const LEAST_BLOCK: usize = 64 << 10;

/// What text is divided by to guess its size in the file.
const USUAL_RATIO: usize = 5;

/// The keys, and the text of some rows.
pub const OPENING_MEMORY: usize = 128 << 10;

pub struct JsonEncoder {
    gzip: Gzip,
    lines: LineWriter,
    /// The block to come.
    text: Text,
    /// Whole blocks that nobody has taken yet.
    blocks: VecDeque<Block>,
    /// Bytes of `blocks`, and of those that were taken and whose members are not back yet.
    uncompressed: usize,
    /// Members that nobody has taken yet.
    finished: Vec<u8>,
    /// Whether the file has a member.
    begun: bool,
    /// What blocks and members hold outside of this encoder.
    gauge: Gauge,
    rows: u64,
}

impl JsonEncoder {
    pub fn new(gzip: &Gzip, schema: &SchemaRef) -> Self {
        Self {
            gzip: gzip.clone(),
            lines: LineWriter::new(schema.fields()),
            text: Text::default(),
            blocks: VecDeque::new(),
            uncompressed: 0,
            finished: Vec::new(),
            begun: false,
            gauge: Gauge::default(),
            rows: 0,
        }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
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
                if text.len() >= BLOCK {
                    let next = Text::with_capacity(BLOCK + LINE);
                    let full = std::mem::replace(text, next).into_bytes();
                    *uncompressed += full.len();
                    blocks.push_back(Block::new(gzip, full, gauge));
                }
            })
            .map_err(|error| Error::data("cannot write rows as JSON").with_source(error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    pub fn take_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
    }

    pub fn append(&mut self, member: &Member) {
        self.uncompressed -= member.uncompressed().min(self.uncompressed);
        self.finished.extend_from_slice(member.bytes());
        self.begun = true;
    }

    pub fn ready(&self) -> usize {
        self.finished.len()
    }

    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.finished)
    }

    pub fn pending(&self) -> usize {
        (self.text.len() + self.uncompressed) / USUAL_RATIO
    }

    pub fn memory(&self) -> usize {
        self.text.memory() + self.gauge.bytes() + self.finished.capacity()
    }

    pub fn end_block(&mut self) {
        if self.text.len() >= LEAST_BLOCK {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let bytes = std::mem::take(&mut self.text).into_bytes();
        self.uncompressed += bytes.len();
        let block = Block::new(&self.gzip, bytes, &self.gauge);
        self.blocks.push_back(block);
    }

    pub fn finish(mut self) -> Result<(Vec<u8>, u64)> {
        let waiting: usize = self.blocks.iter().map(Block::size).sum();
        if waiting != self.uncompressed {
            return Err(Error::internal("a file ends before its blocks are in it"));
        }
        // A file without rows is a member without bytes.
        let empty = !self.begun && self.blocks.is_empty();
        if !self.text.is_empty() || empty {
            self.cut();
        }
        while let Some(block) = self.take_block() {
            let member = block.compress()?;
            self.append(&member);
        }
        Ok((self.take(), self.rows))
    }
}
