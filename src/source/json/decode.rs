//! Chunks of lines decoded into record batches.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;
use datafusion::arrow::json::reader::Decoder;

use super::lines::{Chunk, Line};
use super::reason::{no_object, reason};
use crate::error::Error;

/// A line that holds no row of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct BadLine {
    /// Its number in the file, from 1.
    pub(in super::super) line: u64,
    /// Where it begins in the inflated file, in bytes.
    pub(in super::super) offset: u64,
    /// What is wrong with it.
    pub(in super::super) reason: String,
}

impl BadLine {
    /// The error of a scan that takes no bad line.
    pub(in super::super) fn error(&self, key: &str) -> Error {
        Error::data(format!("`{key}` line {}: {}", self.line, self.reason))
    }
}

/// The rows of a chunk, and what is no row.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) bad: Vec<BadLine>,
}

/// Lines that are looked at together once their chunk has a bad one.
const BLOCK_LINES: usize = 64;

/// Decodes lines, each of them exactly one row, into batches of one schema.
///
/// Fields that the schema does not have are skipped, but must be JSON.
pub(super) struct LineDecoder {
    schema: SchemaRef,
    batch_size: usize,
    decoder: Decoder,
}

impl LineDecoder {
    /// A decoder of batches of at most `batch_size` rows.
    ///
    /// # Errors
    /// Where a type of `schema` cannot be read from JSON.
    pub(super) fn new(schema: SchemaRef, batch_size: usize) -> Result<Self, ArrowError> {
        Ok(Self {
            decoder: decoder(&schema, batch_size)?,
            schema,
            batch_size,
        })
    }

    /// The rows of one chunk, in its order.
    ///
    /// # Errors
    /// The first bad line. The decoder must not be used again after it.
    pub(super) fn decode(&mut self, chunk: &Chunk) -> Result<Vec<RecordBatch>, BadLine> {
        let mut batches = Vec::new();
        // The lines that are in the decoder and in no batch.
        let mut pending = Vec::new();
        for line in chunk.lines() {
            pending.push(line);
            feed(&mut self.decoder, line).map_err(|reason| self.first_bad(&pending, reason))?;
            if pending.len() == self.batch_size {
                batches.extend(self.flush(&pending)?);
                pending.clear();
            }
        }
        batches.extend(self.flush(&pending)?);
        Ok(batches)
    }

    /// The rows of one chunk, in its order, without its bad lines. As fast as [`Self::decode`] on a
    /// chunk that has none.
    ///
    /// # Errors
    /// A failure that is not one of a line.
    pub(super) fn decode_and_set_aside(&mut self, chunk: &Chunk) -> Result<Decoded, ArrowError> {
        if let Ok(batches) = self.decode(chunk) {
            let bad = Vec::new();
            return Ok(Decoded { batches, bad });
        }
        let lines: Vec<Line<'_>> = chunk.lines().collect();
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for block in lines.chunks(BLOCK_LINES) {
            if decode_lines(&self.schema, block).is_ok() {
                good.extend_from_slice(block);
                continue;
            }
            for line in block {
                match self.try_alone(*line) {
                    Ok(()) => good.push(*line),
                    Err(reason) => bad.push(BadLine {
                        line: line.number,
                        offset: line.offset,
                        reason,
                    }),
                }
            }
        }
        self.decoder = decoder(&self.schema, self.batch_size)?;
        let batches = good.chunks(self.batch_size.max(1));
        let batches = batches
            .map(|lines| decode_lines(&self.schema, lines))
            .collect::<Result<_, _>>()
            .map_err(ArrowError::JsonError)?;
        Ok(Decoded { batches, bad })
    }

    /// The row of one line.
    pub(super) fn decode_line(&self, line: Line<'_>) -> Result<RecordBatch, BadLine> {
        decode_lines(&self.schema, &[line]).map_err(|reason| BadLine {
            line: line.number,
            offset: line.offset,
            reason,
        })
    }

    fn flush(&mut self, pending: &[Line<'_>]) -> Result<Option<RecordBatch>, BadLine> {
        let batch = self.decoder.flush();
        batch.map_err(|error| self.first_bad(pending, reason(&error)))
    }

    /// The first of the lines of a failed batch that fails by itself.
    fn first_bad(&self, lines: &[Line<'_>], batch_reason: String) -> BadLine {
        let alone = lines.iter().find_map(|line| {
            let reason = self.try_alone(*line).err()?;
            Some(BadLine {
                line: line.number,
                offset: line.offset,
                reason,
            })
        });
        alone.unwrap_or_else(|| BadLine {
            line: lines.first().map_or(1, |line| line.number),
            offset: lines.first().map_or(0, |line| line.offset),
            reason: batch_reason,
        })
    }

    fn try_alone(&self, line: Line<'_>) -> Result<(), String> {
        // Room for a second record, so that what follows the first is looked at.
        let mut decoder = decoder(&self.schema, 2).map_err(|error| reason(&error))?;
        feed(&mut decoder, line)?;
        decoder.flush().map_err(|error| reason(&error))?;
        Ok(())
    }
}

fn decoder(schema: &SchemaRef, batch_size: usize) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(SchemaRef::clone(schema))
        .with_batch_size(batch_size)
        .build_decoder()
}

/// One batch of all lines, or why there is none.
fn decode_lines(schema: &SchemaRef, lines: &[Line<'_>]) -> Result<RecordBatch, String> {
    let mut decoder = decoder(schema, lines.len() + 1).map_err(|error| reason(&error))?;
    for line in lines {
        feed(&mut decoder, *line)?;
    }
    let batch = decoder.flush().map_err(|error| reason(&error))?;
    batch.ok_or_else(|| "no row in it".to_owned())
}

/// Adds one line's record to the batch; types are checked when it is flushed.
fn feed(decoder: &mut Decoder, line: Line<'_>) -> Result<(), String> {
    if !line.text.trim_ascii_start().starts_with(b"{") {
        return Err(no_object(line.text));
    }
    let before = decoder.len();
    let read = decoder.decode(line.text).map_err(|error| reason(&error))?;
    if decoder.has_partial_record() {
        return Err("the JSON object does not end on its line".to_owned());
    }
    if read < line.text.len() || decoder.len() != before + 1 {
        return Err("more than one record on the line".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};

    use super::super::lines::{CHUNK_BYTES, LineSplitter, Piece};
    use super::*;

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
        let mut decoder = LineDecoder::new(schema, size).unwrap();
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
        let mut decoder = LineDecoder::new(schema(), 300).unwrap();
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
