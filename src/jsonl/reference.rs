//! Lines decoded by arrow-json, which decides what is a row and what it says.

use std::borrow::Cow;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;
use datafusion::arrow::json::reader::Decoder;
use memchr::{memchr, memchr2_iter};

use crate::jsonl::fast::escape;
use crate::jsonl::lines::Line;
use crate::jsonl::projection::Wanted;
use crate::jsonl::reason::{no_object, reason};

/// Lines that are decoded together; where one of them is bad, again in smaller blocks.
const BLOCK_LINES: [usize; 3] = [1024, SMALL_BLOCK, 1];

/// One decoder is kept for blocks up to this size.
const SMALL_BLOCK: usize = 64;

/// Values may be in as many others. The decoder quotes what it does not expect by a function that
/// calls itself once for each level.
const DEEPEST: usize = 1000;

/// Decodes lines one by one where it has to.
pub(crate) struct ReferenceDecoder {
    schema: SchemaRef,
    wanted: Wanted,
    pruned: SchemaRef,
    /// For small blocks. None after an error, which leaves it with half of a line.
    decoder: Option<Decoder>,
    #[cfg(test)]
    pub(crate) lines: usize,
}

/// The rows of some lines.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// In the order of the lines. None is empty.
    pub(crate) batches: Vec<RecordBatch>,
    /// The lines that are no row, by their place, and why.
    pub(crate) bad: Vec<(usize, String)>,
}

impl ReferenceDecoder {
    /// # Errors
    /// Where a wanted type of `schema` cannot be read from JSON.
    pub(crate) fn new(schema: SchemaRef, wanted: Wanted) -> Result<Self, ArrowError> {
        let pruned = wanted.prune(&schema);
        Ok(Self {
            decoder: Some(decoder(&pruned, SMALL_BLOCK)?),
            schema,
            wanted,
            pruned,
            #[cfg(test)]
            lines: 0,
        })
    }

    /// # Errors
    /// A failure that is not one of a line.
    pub(crate) fn decode(&mut self, lines: &[Line<'_>]) -> Result<Rows, ArrowError> {
        #[cfg(test)]
        {
            self.lines += lines.len();
        }
        let mut rows = Rows::default();
        let all_sizes = BLOCK_LINES.as_slice();
        let small_sizes = all_sizes.get(1..).unwrap_or_default();
        let is_small = lines.len() <= SMALL_BLOCK;
        let sizes = if is_small { small_sizes } else { all_sizes };
        self.decode_blocks(lines, 0, sizes, &mut rows);
        let batches = std::mem::take(&mut rows.batches).into_iter();
        let restored = batches.map(|batch| self.wanted.restore(&self.schema, batch));
        rows.batches = restored.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// Adds the rows of `lines`, the first of which is at `place`, in blocks of the first of `sizes`.
    fn decode_blocks(
        &mut self,
        lines: &[Line<'_>],
        place: usize,
        sizes: &[usize],
        rows: &mut Rows,
    ) {
        let Some((size, smaller)) = sizes.split_first() else {
            return;
        };
        for (n, block) in lines.chunks(*size).enumerate() {
            let place = place + n * size;
            match self.decode_together(block) {
                Ok(batch) => rows.batches.push(batch),
                Err(reason) if block.len() == 1 => rows.bad.push((place, reason)),
                Err(_) => self.decode_blocks(block, place, smaller, rows),
            }
        }
    }

    /// One batch of all lines, or why there is none.
    fn decode_together(&mut self, lines: &[Line<'_>]) -> Result<RecordBatch, String> {
        let is_small = lines.len() <= SMALL_BLOCK;
        let kept = self.decoder.take_if(|_| is_small);
        let mut decoder = match kept {
            Some(decoder) => decoder,
            None => decoder(&self.pruned, lines.len().max(SMALL_BLOCK))
                .map_err(|error| reason(&error))?,
        };
        for line in lines {
            feed(&mut decoder, *line)?;
        }
        let batch = decoder.flush().map_err(|error| reason(&error))?;
        if is_small {
            self.decoder = Some(decoder);
        }
        batch.ok_or_else(|| "no row in it".to_owned())
    }
}

fn decoder(schema: &SchemaRef, lines: usize) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(SchemaRef::clone(schema))
        // Room for another record, so that what follows the last line's first is looked at.
        .with_batch_size(lines + 1)
        .build_decoder()
}

/// Adds one line's record to the batch; types are checked when it is flushed.
fn feed(decoder: &mut Decoder, line: Line<'_>) -> Result<(), String> {
    if !line.text.trim_ascii_start().starts_with(b"{") {
        return Err(no_object(line.text));
    }
    if memchr2_iter(b'{', b'[', line.text).nth(DEEPEST).is_some() && depth(line.text) > DEEPEST {
        return Err(format!("values are nested more than {DEEPEST} levels deep"));
    }
    let before = decoder.len();
    let text = pairs_as_text(line.text);
    let read = decoder.decode(&text).map_err(|error| reason(&error))?;
    if decoder.has_partial_record() {
        return Err("the JSON object does not end on its line".to_owned());
    }
    if read < text.len() || decoder.len() != before + 1 {
        return Err("more than one record on the line".to_owned());
    }
    Ok(())
}

/// The line with the characters that stand in it as two `\\u` escapes, a surrogate pair.
///
/// arrow-json 59 makes other characters of those from U+20000 on (`|` where `+` is needed).
pub(crate) fn pairs_as_text(line: &[u8]) -> Cow<'_, [u8]> {
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

/// How deeply the values of a line are nested.
fn depth(line: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
