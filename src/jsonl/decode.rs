//! Chunks of lines decoded into record batches.

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{concat_batches, interleave_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;

use crate::error::Error;
use crate::jsonl::fast::FastDecoder;
use crate::jsonl::lines::{Chunk, Line};
use crate::jsonl::projection::Wanted;
use crate::jsonl::reason::reason;
use crate::jsonl::reference::{ReferenceDecoder, Rows};

/// A line that holds no row of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Its number in the file, from 1.
    pub(crate) line: u64,
    /// Where it begins in the inflated file, in bytes.
    pub(crate) offset: u64,
    /// What is wrong with it.
    pub(crate) reason: String,
}

impl BadLine {
    /// The error of a scan that takes no bad line.
    pub(crate) fn error(&self, key: &str) -> Error {
        Error::data(format!("`{key}` line {}: {}", self.line, self.reason))
    }
}

/// The rows of a chunk, and what is no row.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// How many lines there were, each a row or bad.
    pub(crate) lines: usize,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) bad: Vec<BadLine>,
}

/// After as many unusual lines in a row, the fast decoder tries only one in as many.
const UNUSUAL_RUN: usize = 16;

/// Decodes lines, each of them exactly one row, into batches of one schema.
///
/// Fields that the schema does not have are skipped, but must be JSON.
///
/// ```text
/// lines ─fast→ rows ───────────────────────────────────┬─→ batch, in the order of the lines
///         └─unusual→ lines ─reference→ rows, bad lines ─┘
/// ```
pub(crate) struct LineDecoder {
    schema: SchemaRef,
    batch_size: usize,
    /// `None` where the schema has types that only the reference decoder knows.
    fast: Option<FastDecoder>,
    reference: ReferenceDecoder,
    unusual_run: usize,
}

impl LineDecoder {
    /// A decoder of batches of at most `batch_size` rows.
    ///
    /// `wanted` has one flag for each leaf of `schema`, depth first, as Parquet counts leaves.
    /// Leaves that are not wanted must be JSON and are NULL, and so are objects and lists of objects
    /// none of whose leaves is wanted. What is not nullable is decoded all the same. `None`: all are
    /// wanted.
    ///
    /// # Errors
    /// Where a type of `schema` cannot be read from JSON, or `wanted` has another number of leaves.
    pub(crate) fn new(
        schema: SchemaRef,
        batch_size: usize,
        wanted: Option<&[bool]>,
    ) -> Result<Self, ArrowError> {
        let wanted = match wanted {
            Some(leaves) => Wanted::new(&schema, leaves)?,
            None => Wanted::Whole,
        };
        Ok(Self {
            fast: FastDecoder::new(&schema, &wanted),
            reference: ReferenceDecoder::new(SchemaRef::clone(&schema), wanted)?,
            schema,
            batch_size: batch_size.max(1),
            unusual_run: 0,
        })
    }

    /// The rows of one chunk, in its order.
    ///
    /// # Errors
    /// The first bad line.
    #[cfg(test)]
    pub(crate) fn decode(&mut self, chunk: &Chunk) -> Result<Vec<RecordBatch>, BadLine> {
        let decoded = self.decode_and_set_aside(chunk).map_err(|error| {
            let first = chunk.lines().next();
            BadLine {
                line: first.map_or(1, |line| line.number),
                offset: first.map_or(0, |line| line.offset),
                reason: reason(&error),
            }
        })?;
        match decoded.bad.into_iter().next() {
            Some(bad) => Err(bad),
            None => Ok(decoded.batches),
        }
    }

    /// The rows of one chunk, in its order, without its bad lines. Bad lines cost
    /// only themselves.
    ///
    /// # Errors
    /// A failure that is not one of a line.
    pub(crate) fn decode_and_set_aside(&mut self, chunk: &Chunk) -> Result<Decoded, ArrowError> {
        let mut decoded = Decoded::default();
        // The lines of the next batch that the fast decoder did not take, by their place in it.
        let mut unusual: Vec<(usize, Line<'_>)> = Vec::new();
        let mut lines = 0;
        for line in chunk.lines() {
            if !self.read(line) {
                unusual.push((lines, line));
            }
            lines += 1;
            decoded.lines += 1;
            if lines == self.batch_size {
                self.finish(lines, &unusual, &mut decoded)?;
                unusual.clear();
                lines = 0;
            }
        }
        self.finish(lines, &unusual, &mut decoded)?;
        Ok(decoded)
    }

    /// The row of one line.
    pub(crate) fn decode_line(&mut self, line: Line<'_>) -> Result<RecordBatch, BadLine> {
        let bad = |reason| BadLine {
            line: line.number,
            offset: line.offset,
            reason,
        };
        let rows = self.reference.decode(&[line]);
        let rows = rows.map_err(|error| bad(reason(&error)))?;
        match (rows.batches.into_iter().next(), rows.bad.into_iter().next()) {
            (_, Some((_, reason))) => Err(bad(reason)),
            (Some(row), None) => Ok(row),
            (None, None) => Err(bad("no row in it".to_owned())),
        }
    }

    /// How many lines the reference decoder was asked for.
    #[cfg(test)]
    pub(crate) fn unusual_lines(&self) -> usize {
        self.reference.lines
    }

    /// Whether the line is in the fast decoder now.
    #[inline]
    fn read(&mut self, line: Line<'_>) -> bool {
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

    /// Adds the batch of as many `lines`, which ends here, to `decoded`.
    fn finish(
        &mut self,
        lines: usize,
        unusual: &[(usize, Line<'_>)],
        decoded: &mut Decoded,
    ) -> Result<(), ArrowError> {
        let fast = match self.fast.as_mut().filter(|fast| fast.len() > 0) {
            Some(fast) => Some(fast.finish()?),
            None => None,
        };
        if unusual.is_empty() {
            decoded.batches.extend(fast);
            return Ok(());
        }
        let texts: Vec<Line<'_>> = unusual.iter().map(|(_, line)| *line).collect();
        let rows = self.reference.decode(&texts)?;
        let batch = match fast {
            Some(fast) if rows.batches.is_empty() => Some(fast),
            Some(fast) => Some(merge(fast, &rows, lines, unusual)?),
            None if rows.batches.is_empty() => None,
            None => Some(concat_batches(&self.schema, &rows.batches)?),
        };
        decoded.batches.extend(batch);
        let bad = rows.bad.into_iter().filter_map(|(n, reason)| {
            let (_, line) = unusual.get(n)?;
            Some(BadLine {
                line: line.number,
                offset: line.offset,
                reason,
            })
        });
        decoded.bad.extend(bad);
        Ok(())
    }
}

/// The rows of `fast` with those of `unusual` lines between them, in the order of all `lines`.
fn merge(
    fast: RecordBatch,
    rows: &Rows,
    lines: usize,
    unusual: &[(usize, Line<'_>)],
) -> Result<RecordBatch, ArrowError> {
    let count = fast.num_rows() + unusual.len() - rows.bad.len();
    if fast.num_columns() == 0 {
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        return RecordBatch::try_new_with_options(fast.schema(), vec![], &options);
    }
    let mut fast_rows = (0..fast.num_rows()).map(|row| (0, row));
    let of_batch =
        |(n, batch): (usize, &RecordBatch)| (0..batch.num_rows()).map(move |row| (n, row));
    let mut unusual_rows = (1..).zip(&rows.batches).flat_map(of_batch);
    let mut unusual = unusual
        .iter()
        .map(|(place, _)| *place)
        .enumerate()
        .peekable();
    let mut bad = rows.bad.iter().map(|(n, _)| *n).peekable();
    let mut order = Vec::with_capacity(count);
    for place in 0..lines {
        match unusual.next_if(|(_, unusual)| *unusual == place) {
            None => order.extend(fast_rows.next()),
            Some((n, _)) if bad.next_if_eq(&n).is_some() => {}
            Some(_) => order.extend(unusual_rows.next()),
        }
    }
    let batches: Vec<&RecordBatch> = std::iter::once(&fast).chain(&rows.batches).collect();
    interleave_record_batch(&batches, &order)
}
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};

    use super::*;
    use crate::jsonl::lines::{CHUNK_BYTES, LineSplitter, Piece};

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
        let mut decoder = LineDecoder::new(schema, size, None).unwrap();
        let mut splitter = LineSplitter::new(text, CHUNK_BYTES);
        let mut rows = Vec::new();
        while let Some(Piece::Lines(chunk)) = splitter.next_piece().unwrap() {
            rows.extend(decoder.decode(&chunk)?.iter().map(RecordBatch::num_rows));
        }
        Ok(rows)
    }

    fn bad(text: &[u8]) -> (u64, String) {
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
        let mut decoder = LineDecoder::new(schema(), 300, None).unwrap();
        let mut splitter = LineSplitter::new(text.as_bytes(), CHUNK_BYTES);
        let Some(Piece::Lines(chunk)) = splitter.next_piece().unwrap() else {
            panic!("no chunk");
        };
        // Twice: the decoder can be used again.
        for _ in 0..2 {
            let decoded = decoder.decode_and_set_aside(&chunk).unwrap();
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
    fn each_kind_of_bad_line_is_named() {
        let good =
            r#"{"id":"a","n":1,"time":"2026-01-15T00:00:00.123456Z","client":{"title":"x"}}"#;
        for (line, reason) in [
            (
                r#"{"id":"a","n":"x"}"#,
                "field `n`: failed to parse \"x\" as Int64",
            ),
            (r#"{"id":7}"#, "field `id`: expected string got 7"),
            (r#"{"n":1}"#, "required field `id` is missing or null"),
            (r#"{"id":null}"#, "required field `id` is missing or null"),
            (
                r#"{"id":"a","client":{"title":1}}"#,
                "field `client.title`: expected string got 1",
            ),
            (
                r#"{"id":"a","client":[]}"#,
                "field `client`: expected { got []",
            ),
            (r#"{"id":"a""#, "the JSON object does not end on its line"),
            (r#"{"id":"a}"#, "the JSON object does not end on its line"),
            (
                r#"{"id":"a"}{"id":"b"}"#,
                "more than one record on the line",
            ),
            (
                r#"{"id":"a"},"#,
                "not valid JSON: Encountered unexpected ',' whilst parsing value",
            ),
            (
                r#"{"id" "a"}"#,
                "not valid JSON: Encountered unexpected '\"' whilst parsing colon",
            ),
            ("[1]", "a JSON object is expected, found `[1]`"),
            ("null", "a JSON object is expected, found `null`"),
        ] {
            let text = format!("{good}\n\n{good}\n{line}\n{good}\n{{\n");
            assert_eq!(bad(text.as_bytes()), (4, reason.to_owned()), "{line}");
        }
    }

    #[test]
    fn text_that_is_no_utf8_is_bad() {
        let (line, reason) = bad(b"{\"id\":\"a\"}\n{\"id\":\"\xFF\"}\n");
        assert_eq!(
            (line, reason.as_str()),
            (2, "not valid JSON: Encountered non-UTF-8 data")
        );
    }

    #[test]
    fn a_record_over_two_lines_is_not_made_up_for_by_two_on_one() {
        let text = b"{\"id\":\"a\"}{\"id\":\"b\"}\n{\"id\":\n\"c\"}\n";
        assert_eq!(
            bad(text),
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
