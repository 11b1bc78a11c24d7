//! What the benchmark of the decoder measures.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;

use crate::jsonl::decode::LineDecoder;
use crate::jsonl::lines::{CHUNK_BYTES, Chunk, LineSplitter, Piece};

/// Text in memory, cut into chunks of lines as a scan does.
pub struct JsonLines {
    chunks: Vec<Chunk>,
}

impl JsonLines {
    /// # Errors
    /// None but of a line that is too long for a scan.
    pub fn new(text: &[u8]) -> std::io::Result<Self> {
        let mut splitter = LineSplitter::new(text, CHUNK_BYTES);
        let mut chunks = Vec::new();
        while let Some(piece) = splitter.next_piece()? {
            match piece {
                Piece::Lines(chunk) => chunks.push(chunk),
                Piece::TooLong { .. } => return Err(std::io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(Self { chunks })
    }

    /// Decodes all lines: the number of rows, and of bad lines.
    ///
    /// # Errors
    /// As a scan that sets bad lines aside.
    pub fn decode(
        &self,
        schema: &SchemaRef,
        batch_size: usize,
        wanted: Option<&[bool]>,
    ) -> Result<(usize, usize), ArrowError> {
        let mut decoder = LineDecoder::new(SchemaRef::clone(schema), batch_size, wanted)?;
        let (mut rows, mut bad) = (0, 0);
        for chunk in &self.chunks {
            let decoded = decoder.decode_and_set_aside(chunk)?;
            rows += decoded
                .batches
                .iter()
                .map(RecordBatch::num_rows)
                .sum::<usize>();
            bad += decoded.bad.len();
        }
        Ok((rows, bad))
    }
}
