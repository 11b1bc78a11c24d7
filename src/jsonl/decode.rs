//! Chunks of lines, decoded into record batches.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::jsonl::bad_line::BadLine;
use crate::jsonl::chunk::{Line, LineChunk};
use crate::jsonl::fast::FastDecoder;
use crate::jsonl::leaf_mask::LeafMask;
use crate::jsonl::leaf_rule::LeafRules;
use crate::jsonl::reason::{LineFault, fault};
use crate::jsonl::reference::{ReferenceDecoder, ReferenceRows};

/// The rows and the malformed lines of a chunk.
#[derive(Debug, Default)]
pub struct DecodedChunk {
    /// The number of lines, each of which is a row or malformed.
    pub lines: usize,
    /// The rows in the order of their lines. No batch is empty.
    pub batches: Vec<RecordBatch>,
    /// The malformed lines.
    pub bad: Vec<BadLine>,
}

/// The number of unusual lines in succession after which the fast decoder tries only one line in
/// this many.
const UNUSUAL_RUN: usize = 16;

/// Decodes lines, each of them exactly one row, into batches of one schema.
///
/// Fields that the schema does not have are skipped, but must be valid JSON.
///
/// ```text
/// lines ─fast→ rows ───────────────────────────────────┬─→ batch, in the order of the lines
///         └─unusual→ lines ─reference→ rows, bad lines ─┘
/// ```
pub struct LineDecoder {
    schema: SchemaRef,
    batch_size: usize,
    /// `None` if the schema has types that only the reference decoder supports.
    fast: Option<FastDecoder>,
    reference: ReferenceDecoder,
    unusual_run: usize,
}

impl LineDecoder {
    /// Creates a decoder of batches of at most `batch_size` rows.
    ///
    /// `leaves` has one flag for each leaf of `schema`, depth first, as Parquet counts leaves; `None`
    /// selects all. Values of leaves that are not selected must be valid JSON and are decoded as
    /// NULL, and so are structs, and lists of structs, without a selected leaf. Fields that are not
    /// nullable are decoded in any case. `leaf_rules` are those of all leaves of `schema`.
    ///
    /// # Errors
    /// Returns an error if a type of `schema` cannot be read from JSON, or if there are not as many
    /// flags as leaves.
    pub fn new(
        schema: SchemaRef,
        batch_size: usize,
        leaves: Option<&[bool]>,
        leaf_rules: &LeafRules,
    ) -> Result<Self, ArrowError> {
        let mask = match leaves {
            Some(leaves) => LeafMask::new(&schema, leaves)?,
            None => LeafMask::All,
        };
        Ok(Self {
            fast: FastDecoder::new(&schema, &mask, leaf_rules),
            reference: ReferenceDecoder::new(SchemaRef::clone(&schema), mask, leaf_rules)?,
            schema,
            batch_size: batch_size.max(1),
            unusual_run: 0,
        })
    }

    /// Decodes the rows of one chunk, in its order, and fails on its first malformed line.
    #[cfg(test)]
    pub(crate) fn decode_strictly(
        &mut self,
        chunk: &LineChunk,
    ) -> Result<Vec<RecordBatch>, BadLine> {
        let decoded = self.decode(chunk).map_err(|error| {
            let no_line = Line {
                number: 1,
                offset: 0,
                text: b"",
            };
            let first = chunk.lines().next();
            BadLine::new(first.unwrap_or(no_line), fault(&error))
        })?;
        match decoded.bad.into_iter().next() {
            Some(bad) => Err(bad),
            None => Ok(decoded.batches),
        }
    }

    /// Decodes the rows of one chunk, in its order, and sets its malformed lines aside. A malformed
    /// line does not affect any other line.
    ///
    /// # Errors
    /// Returns an error that no line is the cause of.
    pub fn decode(&mut self, chunk: &LineChunk) -> Result<DecodedChunk, ArrowError> {
        let mut decoded = DecodedChunk::default();
        // The lines of the next batch that the fast decoder did not accept, by their index in it.
        let mut unusual: Vec<(usize, Line<'_>)> = Vec::new();
        let mut lines = 0;
        for line in chunk.lines() {
            if !self.read_fast(line) {
                unusual.push((lines, line));
            }
            lines += 1;
            decoded.lines += 1;
            if lines == self.batch_size {
                self.finish_batch(lines, &unusual, &mut decoded)?;
                unusual.clear();
                lines = 0;
            }
        }
        self.finish_batch(lines, &unusual, &mut decoded)?;
        Ok(decoded)
    }

    /// Decodes the row of one line.
    ///
    /// # Errors
    /// Returns the line with its reason if it is malformed.
    pub fn decode_line(&mut self, line: Line<'_>) -> Result<RecordBatch, BadLine> {
        let bad = |fault| BadLine::new(line, fault);
        let rows = self
            .reference
            .decode(&[line])
            .map_err(|error| bad(fault(&error)))?;
        match (rows.batches.into_iter().next(), rows.bad.into_iter().next()) {
            (_, Some((_, fault))) => Err(bad(fault)),
            (Some(row), None) => Ok(row),
            (None, None) => Err(bad(LineFault::of_line("no row in it"))),
        }
    }

    /// Returns the number of lines that the reference decoder has decoded.
    #[cfg(test)]
    pub(crate) fn unusual_lines(&self) -> usize {
        self.reference.lines
    }

    /// Reads a line with the fast decoder. Returns true if its row is in that decoder now.
    #[inline]
    fn read_fast(&mut self, line: Line<'_>) -> bool {
        let Some(fast) = &mut self.fast else {
            return false;
        };
        if self.unusual_run >= UNUSUAL_RUN && !self.unusual_run.is_multiple_of(UNUSUAL_RUN) {
            self.unusual_run += 1;
            return false;
        }
        let is_read = fast.read(line.text);
        self.unusual_run = if is_read { 0 } else { self.unusual_run + 1 };
        is_read
    }

    /// Finishes a batch of `lines` lines and adds it to `decoded`.
    fn finish_batch(
        &mut self,
        lines: usize,
        unusual: &[(usize, Line<'_>)],
        decoded: &mut DecodedChunk,
    ) -> Result<(), ArrowError> {
        let fast_rows = match self.fast.as_mut().filter(|fast| fast.len() > 0) {
            Some(fast) => Some(fast.finish()?),
            None => None,
        };
        if unusual.is_empty() {
            decoded.batches.extend(fast_rows);
            return Ok(());
        }
        let unusual_lines: Vec<Line<'_>> = unusual.iter().map(|(_, line)| *line).collect();
        let reference_rows = self.reference.decode(&unusual_lines)?;
        let batch = match fast_rows {
            Some(fast_rows) if reference_rows.batches.is_empty() => Some(fast_rows),
            Some(fast_rows) => Some(merge(fast_rows, &reference_rows, lines, unusual)?),
            None if reference_rows.batches.is_empty() => None,
            None => Some(concat_batches(&self.schema, &reference_rows.batches)?),
        };
        decoded.batches.extend(batch);
        let bad = reference_rows.bad.into_iter();
        decoded.bad.extend(bad.filter_map(|(index, fault)| {
            let (_, line) = unusual.get(index)?;
            Some(BadLine::new(*line, fault))
        }));
        Ok(())
    }
}

/// Merges the rows of both decoders in the order of their lines. There are `lines` lines, and
/// `unusual` are those of the reference decoder, by their index.
fn merge(
    fast: RecordBatch,
    reference: &ReferenceRows,
    lines: usize,
    unusual: &[(usize, Line<'_>)],
) -> Result<RecordBatch, ArrowError> {
    let count = fast.num_rows() + unusual.len() - reference.bad.len();
    if fast.num_columns() == 0 {
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        return RecordBatch::try_new_with_options(fast.schema(), vec![], &options);
    }
    let rows_of =
        |(batch, rows): (usize, &RecordBatch)| (0..rows.num_rows()).map(move |row| (batch, row));
    let mut fast_rows = rows_of((0, &fast));
    let mut reference_rows = (1..).zip(&reference.batches).flat_map(rows_of);
    let mut unusual_indexes = unusual
        .iter()
        .map(|(index, _)| *index)
        .enumerate()
        .peekable();
    let mut bad = reference.bad.iter().map(|(n, _)| *n).peekable();
    let mut order = Vec::with_capacity(count);
    for line in 0..lines {
        match unusual_indexes.next_if(|(_, index)| *index == line) {
            None => order.extend(fast_rows.next()),
            Some((n, _)) if bad.next_if_eq(&n).is_some() => {}
            Some(_) => order.extend(reference_rows.next()),
        }
    }
    let batches: Vec<&RecordBatch> = std::iter::once(&fast).chain(&reference.batches).collect();
    interleave_record_batch(&batches, &order)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};

    use super::*;
    use crate::jsonl::chunk::{CHUNK_BYTES, Chunk};
    use crate::jsonl::line_splitter::LineSplitter;

    fn schema() -> SchemaRef {
        let client = vec![Field::new("title", DataType::Utf8View, true)];
        let zone = Some("+00:00".into());
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8View, false),
            Field::new("n", DataType::Int64, true),
            Field::new(
                "time",
                DataType::Timestamp(TimeUnit::Microsecond, zone),
                true,
            ),
            Field::new("client", DataType::Struct(client.into()), true),
        ]))
    }

    fn decode_as(schema: SchemaRef, size: usize, text: &[u8]) -> Result<Vec<usize>, BadLine> {
        let mut decoder = LineDecoder::new(schema, size, None, &LeafRules::default()).unwrap();
        let mut splitter = LineSplitter::new(text, CHUNK_BYTES);
        let mut rows = Vec::new();
        while let Some(Chunk::Lines(chunk)) = splitter.next_chunk().unwrap() {
            rows.extend(
                decoder
                    .decode_strictly(&chunk)?
                    .iter()
                    .map(RecordBatch::num_rows),
            );
        }
        Ok(rows)
    }

    fn first_bad_line(text: &[u8]) -> (u64, String) {
        for size in [1, 2, 100] {
            let bad = decode_as(schema(), size, text).unwrap_err();
            if size == 100 {
                return (bad.line, bad.reason);
            }
        }
        unreachable!()
    }

    #[test]
    fn batches_have_at_most_the_batch_size() {
        let text = b"{\"id\":\"a\"}\n\n{\"id\":\"b\",\"other\":[1,{}]}\r\n {\"id\":\"c\"}";
        assert_eq!(decode_as(schema(), 2, text), Ok(vec![2, 1]));
        assert_eq!(decode_as(schema(), 3, text), Ok(vec![3]));
        assert_eq!(decode_as(schema(), 3, b""), Ok(vec![]));
        assert_eq!(
            decode_as(Arc::new(Schema::empty()), 2, text),
            Ok(vec![2, 1])
        );
    }

    #[test]
    fn bad_lines_are_set_aside_and_the_others_keep_their_order() {
        let mut text = String::new();
        for n in 0..1000 {
            let line = match n {
                0 | 500 | 501 => "{\"id\":7}".to_owned(),
                999 => "{\"id\":".to_owned(),
                n => format!("{{\"id\":\"{n}\",\"n\":{n}}}"),
            };
            text.push_str(&line);
            text.push('\n');
        }
        let mut decoder = LineDecoder::new(schema(), 300, None, &LeafRules::default()).unwrap();
        let mut splitter = LineSplitter::new(text.as_bytes(), CHUNK_BYTES);
        let Some(Chunk::Lines(chunk)) = splitter.next_chunk().unwrap() else {
            panic!("no chunk");
        };
        // Twice: the decoder can be used again.
        for _ in 0..2 {
            let decoded = decoder.decode(&chunk).unwrap();
            let bad: Vec<u64> = decoded.bad.iter().map(|bad| bad.line).collect();
            assert_eq!(bad, [1, 501, 502, 1000]);
            let offset = usize::try_from(decoded.bad[1].offset).unwrap();
            assert!(text[offset..].starts_with("{\"id\":7}"));
            let numbers: Vec<i64> = decoded
                .batches
                .iter()
                .flat_map(|batch| batch.column(1).as_primitive::<Int64Type>().values())
                .copied()
                .collect();
            let expected = (0..999).filter(|n| ![0, 500, 501].contains(n));
            assert_eq!(numbers, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn each_kind_of_bad_line_has_its_reason() {
        let good =
            r#"{"id":"a","n":1,"time":"2026-01-15T00:00:00.123456Z","client":{"title":"x"}}"#;
        for (line, reason) in [
            (
                r#"{"id":"a","n":"x"}"#,
                "field `n`: a number is expected, found a string that is none",
            ),
            (
                r#"{"id":7}"#,
                "field `id`: a string is expected, found a number",
            ),
            (r#"{"n":1}"#, "required field `id` is missing or null"),
            (r#"{"id":null}"#, "required field `id` is missing or null"),
            (
                r#"{"id":"a","client":{"title":1}}"#,
                "field `client.title`: a string is expected, found a number",
            ),
            (
                r#"{"id":"a","client":[]}"#,
                "field `client`: an object is expected, found a list",
            ),
            (r#"{"id":"a""#, "the JSON object does not end on its line"),
            (r#"{"id":"a}"#, "the JSON object does not end on its line"),
            (
                r#"{"id":"a"}{"id":"b"}"#,
                "more than one record on the line",
            ),
            (
                r#"{"id":"a"},"#,
                "not valid JSON: the end of the line is expected at byte 11 of the line",
            ),
            (
                r#"{"id" "a"}"#,
                "not valid JSON: `:` is expected at byte 7 of the line",
            ),
            ("[1]", "a JSON object is expected, found a list"),
            ("null", "a JSON object is expected, found null"),
        ] {
            let text = format!("{good}\n\n{good}\n{line}\n{good}\n{{\n");
            assert_eq!(
                first_bad_line(text.as_bytes()),
                (4, reason.to_owned()),
                "{line}"
            );
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_bad() {
        let (line, reason) = first_bad_line(b"{\"id\":\"a\"}\n{\"id\":\"\xFF\"}\n");
        assert_eq!(
            (line, reason.as_str()),
            (2, "not valid JSON: the text is not UTF-8")
        );
    }

    #[test]
    fn a_record_over_two_lines_does_not_make_up_for_two_records_on_one() {
        let text = b"{\"id\":\"a\"}{\"id\":\"b\"}\n{\"id\":\n\"c\"}\n";
        assert_eq!(
            first_bad_line(text),
            (1, "more than one record on the line".to_owned())
        );
    }

    #[test]
    fn values_of_wrong_type_in_fields_that_are_not_read_pass() {
        let only_id = Arc::new(schema().project(&[0]).unwrap());
        assert_eq!(
            decode_as(only_id, 9, b"{\"id\":\"a\",\"n\":\"x\"}"),
            Ok(vec![1])
        );
    }
}
