//! The reference decoder: strict JSON by [`strict`](crate::jsonl::strict), then arrow-json. It defines
//! which lines are rows, and what their values are.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;

use crate::jsonl::chunk::Line;
use crate::jsonl::leaf_mask::LeafMask;
use crate::jsonl::leaf_rule::LeafRules;
use crate::jsonl::reason::{LineFault, fault};
use crate::jsonl::strict::{with_leaf_indexes, write_canonical};

/// The number of lines that are decoded in one block. A block with a bad line is decoded again in
/// smaller blocks, down to single lines.
const BLOCK_LINES: [usize; 3] = [1024, SMALL_BLOCK, 1];

/// The maximum number of lines of a block that reuses the decoder.
const SMALL_BLOCK: usize = 64;

/// The maximum length of a line in a decoder that is reused, in bytes.
const MAX_REUSED_BYTES: usize = 1 << 20;

/// Decodes lines in blocks, or one by one where a block holds a bad line.
pub(crate) struct ReferenceDecoder {
    schema: SchemaRef,
    mask: LeafMask,
    pruned_schema: SchemaRef,
    /// The pruned schema with the indexes of the leaves that declare a rule.
    strict_schema: SchemaRef,
    leaf_rules: LeafRules,
    /// The decoder of small blocks. `None` after an error, which leaves part of a line in it.
    decoder: Option<Decoder>,
    /// The number of lines that were passed to this decoder.
    #[cfg(test)]
    pub(crate) lines: usize,
}

/// The rows of the lines that were passed to the reference decoder.
#[derive(Debug, Default)]
pub(crate) struct ReferenceRows {
    /// Rows in the order of their lines. No batch is empty.
    pub(crate) batches: Vec<RecordBatch>,
    /// The index of each bad line, and its fault.
    pub(crate) bad: Vec<(usize, LineFault)>,
}

impl ReferenceDecoder {
    /// Creates a decoder of the leaves of `schema` that `mask` selects. `leaf_rules` are those of
    /// all leaves.
    ///
    /// # Errors
    /// Returns an error if a selected type cannot be read from JSON.
    pub(crate) fn new(
        schema: SchemaRef,
        mask: LeafMask,
        leaf_rules: &LeafRules,
    ) -> Result<Self, ArrowError> {
        let pruned_schema = mask.prune_schema(&schema);
        Ok(Self {
            decoder: Some(arrow_decoder(&pruned_schema, SMALL_BLOCK)?),
            strict_schema: mask.prune_schema(&with_leaf_indexes(&schema, leaf_rules)),
            leaf_rules: leaf_rules.clone(),
            schema,
            mask,
            pruned_schema,
            #[cfg(test)]
            lines: 0,
        })
    }

    /// Decodes lines, each of them into one row or a fault.
    ///
    /// # Errors
    /// Returns an error that no line is the cause of.
    pub(crate) fn decode(&mut self, lines: &[Line<'_>]) -> Result<ReferenceRows, ArrowError> {
        #[cfg(test)]
        {
            self.lines += lines.len();
        }
        let mut rows = ReferenceRows::default();
        let all_sizes = BLOCK_LINES.as_slice();
        let small_sizes = all_sizes.get(1..).unwrap_or_default();
        let is_small = lines.len() <= SMALL_BLOCK;
        let sizes = if is_small { small_sizes } else { all_sizes };
        self.decode_blocks(lines, 0, sizes, &mut rows);
        let restored = std::mem::take(&mut rows.batches)
            .into_iter()
            .map(|batch| self.mask.restore(&self.schema, batch));
        rows.batches = restored.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// Adds the rows of `lines`, the first of which has the index `first`, in blocks of the first of
    /// `sizes`.
    fn decode_blocks(
        &mut self,
        lines: &[Line<'_>],
        first: usize,
        sizes: &[usize],
        rows: &mut ReferenceRows,
    ) {
        let Some((size, smaller)) = sizes.split_first() else {
            return;
        };
        for (n, block) in lines.chunks(*size).enumerate() {
            let index = first + n * size;
            match self.decode_block(block) {
                Ok(batch) => rows.batches.push(batch),
                Err(fault) if block.len() == 1 => rows.bad.push((index, fault)),
                Err(_) => self.decode_blocks(block, index, smaller, rows),
            }
        }
    }

    /// Decodes all lines into one batch, or returns the fault of one that is bad.
    fn decode_block(&mut self, lines: &[Line<'_>]) -> Result<RecordBatch, LineFault> {
        let is_small = lines.len() <= SMALL_BLOCK;
        let reused = self.decoder.take_if(|_| is_small);
        let mut decoder = match reused {
            Some(decoder) => decoder,
            None => arrow_decoder(&self.pruned_schema, lines.len().max(SMALL_BLOCK))
                .map_err(|error| fault(&error))?,
        };
        let mut text = Vec::new();
        for line in lines {
            push_line(
                &mut decoder,
                (&self.strict_schema, &self.leaf_rules),
                *line,
                &mut text,
            )?;
        }
        let batch = decoder.flush().map_err(|error| fault(&error))?;
        // The buffers of a decoder never shrink.
        if is_small && text.capacity() <= MAX_REUSED_BYTES {
            self.decoder = Some(decoder);
        }
        batch.ok_or_else(|| LineFault::of_line("no row in it"))
    }
}

fn arrow_decoder(schema: &SchemaRef, lines: usize) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(SchemaRef::clone(schema))
        // Room for one more record, so that a second record on the last line is noticed.
        .with_batch_size(lines + 1)
        .build_decoder()
}

/// Pushes the record of one line to the batch, in its canonical form.
fn push_line(
    decoder: &mut Decoder,
    (schema, rules): (&SchemaRef, &LeafRules),
    line: Line<'_>,
    text: &mut Vec<u8>,
) -> Result<(), LineFault> {
    text.clear();
    write_canonical(line.text, schema, rules, text).map_err(|reject| reject.fault())?;
    text.push(b'\n');
    decoder.decode(text).map_err(|error| fault(&error))?;
    Ok(())
}
