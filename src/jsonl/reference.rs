//! The reference decoder: arrow-json, which defines which lines are rows and what their values are.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use memchr::{memchr, memchr2_iter};

use crate::jsonl::chunk::Line;
use crate::jsonl::fast::escape;
use crate::jsonl::leaf_mask::LeafMask;
use crate::jsonl::reason::{no_object, reason};

/// The number of lines that are decoded in one block. A block with a bad line is decoded again in
/// smaller blocks, down to single lines.
const BLOCK_LINES: [usize; 3] = [1024, SMALL_BLOCK, 1];

/// The maximum number of lines of a block that reuses the decoder.
const SMALL_BLOCK: usize = 64;

/// The maximum nesting depth of values. arrow-json quotes an unexpected value by recursion, one
/// level at a time, and would overflow the stack.
const MAX_DEPTH: usize = 1000;

/// Decodes lines in blocks, or one by one where a block holds a bad line.
pub(crate) struct ReferenceDecoder {
    schema: SchemaRef,
    mask: LeafMask,
    pruned_schema: SchemaRef,
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
    /// The index of each bad line, and the reason.
    pub(crate) bad: Vec<(usize, String)>,
}

impl ReferenceDecoder {
    /// Creates a decoder of the leaves of `schema` that `mask` selects.
    ///
    /// # Errors
    /// Returns an error if a selected type cannot be read from JSON.
    pub(crate) fn new(schema: SchemaRef, mask: LeafMask) -> Result<Self, ArrowError> {
        let pruned_schema = mask.prune_schema(&schema);
        Ok(Self {
            decoder: Some(arrow_decoder(&pruned_schema, SMALL_BLOCK)?),
            schema,
            mask,
            pruned_schema,
            #[cfg(test)]
            lines: 0,
        })
    }

    /// Decodes lines, each of them into one row or a reason.
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
                Err(reason) if block.len() == 1 => rows.bad.push((index, reason)),
                Err(_) => self.decode_blocks(block, index, smaller, rows),
            }
        }
    }

    /// Decodes all lines into one batch, or returns the reason why one of them is bad.
    fn decode_block(&mut self, lines: &[Line<'_>]) -> Result<RecordBatch, String> {
        let is_small = lines.len() <= SMALL_BLOCK;
        let reused = self.decoder.take_if(|_| is_small);
        let mut decoder = match reused {
            Some(decoder) => decoder,
            None => arrow_decoder(&self.pruned_schema, lines.len().max(SMALL_BLOCK))
                .map_err(|error| reason(&error))?,
        };
        for line in lines {
            push_line(&mut decoder, *line)?;
        }
        let batch = decoder.flush().map_err(|error| reason(&error))?;
        if is_small {
            self.decoder = Some(decoder);
        }
        batch.ok_or_else(|| "no row in it".to_owned())
    }
}

fn arrow_decoder(schema: &SchemaRef, lines: usize) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(SchemaRef::clone(schema))
        // Room for one more record, so that a second record on the last line is noticed.
        .with_batch_size(lines + 1)
        .build_decoder()
}

/// Pushes the record of one line to the batch. Types are checked when the batch is flushed.
fn push_line(decoder: &mut Decoder, line: Line<'_>) -> Result<(), String> {
    if !line.text.trim_ascii_start().starts_with(b"{") {
        return Err(no_object(line.text));
    }
    if memchr2_iter(b'{', b'[', line.text).nth(MAX_DEPTH).is_some()
        && max_depth(line.text) > MAX_DEPTH
    {
        return Err(format!(
            "values are nested more than {MAX_DEPTH} levels deep"
        ));
    }
    let before = decoder.len();
    let text = unescape_surrogate_pairs(line.text);
    let read = decoder.decode(&text).map_err(|error| reason(&error))?;
    if decoder.has_partial_record() {
        return Err("the JSON object does not end on its line".to_owned());
    }
    if read < text.len() || decoder.len() != before + 1 {
        return Err("more than one record on the line".to_owned());
    }
    Ok(())
}

/// Replaces the surrogate pairs of a line, two `\\u` escapes each, by the characters themselves.
///
/// arrow-json 59 decodes pairs from U+20000 on to other characters (`|` where `+` is needed).
pub(crate) fn unescape_surrogate_pairs(line: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = line.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        let start = at + found;
        let Some((character, end)) = escape(line, start + 1) else {
            at = start + 2;
            continue;
        };
        at = end;
        if character.len_utf16() == 2 {
            text.extend_from_slice(line.get(copied..start).unwrap_or_default());
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            copied = end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(line);
    }
    text.extend_from_slice(line.get(copied..).unwrap_or_default());
    Cow::Owned(text)
}

/// Returns the maximum nesting depth of the values of a line.
fn max_depth(line: &[u8]) -> usize {
    let (mut depth, mut max) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                max = max.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    max
}
