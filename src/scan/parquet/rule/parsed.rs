//! Texts of a file as numbers and times, by the rules for strings in JSON lines.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;

use super::misfit::Problem;
use super::texts::text;
use crate::jsonl::{CHUNK_BYTES, Chunk, LineSchema, LineSplitter};

/// The only field of the lines.
const FIELD: &str = "text";

/// Returns true if texts can become values of a type.
pub(super) fn is_parsable(declared: &DataType) -> bool {
    declared.is_numeric() || matches!(declared, DataType::Date32 | DataType::Timestamp(_, _))
}

/// Parses texts, or returns the index of the first one that is no value of the type, and why.
pub(super) fn parse(
    array: &ArrayRef,
    declared: &DataType,
) -> Result<Result<ArrayRef, (usize, Problem)>, ArrowError> {
    let texts = match text(array, &DataType::Utf8View)? {
        Ok(texts) => texts,
        Err(index) => return Ok(Err((index, Problem::NotUtf8))),
    };
    let mut lines = String::new();
    for text in texts.as_string_view() {
        if let Some(text) = text {
            let quoted = serde_json::Value::from(text);
            lines.push_str(&format!("{{\"{FIELD}\":{quoted}}}"));
        } else {
            lines.push_str("{}");
        }
        lines.push('\n');
    }
    let schema = Schema::new(vec![Field::new(FIELD, declared.clone(), true)]);
    let mut decoder = LineSchema::all(Arc::new(schema)).decoder(array.len().max(1))?;
    let mut splitter = LineSplitter::new(lines.as_bytes(), CHUNK_BYTES);
    let mut parsed = vec![new_empty_array(declared)];
    while let Some(chunk) = splitter.next_chunk()? {
        let Chunk::Lines(chunk) = chunk else {
            return Err(ArrowError::ParseError("a text is too long".to_owned()));
        };
        let decoded = decoder.decode(&chunk)?;
        if let Some(bad) = decoded.bad.first() {
            let index = usize::try_from(bad.line).unwrap_or(usize::MAX);
            let field = format!("field `{FIELD}`: ");
            let reason = bad.reason.strip_prefix(&field).unwrap_or(&bad.reason);
            let problem = Problem::Unparsable(reason.to_owned());
            return Ok(Err((index.saturating_sub(1), problem)));
        }
        let columns = decoded.batches.iter();
        parsed.extend(columns.flat_map(|batch| batch.columns().iter().cloned()));
    }
    let arrays: Vec<&dyn Array> = parsed.iter().map(AsRef::as_ref).collect();
    concat(&arrays).map(Ok)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Date32Array, Int64Array, StringViewArray};

    use super::*;

    fn parsed(texts: &[Option<&str>], declared: &DataType) -> Result<ArrayRef, (usize, Problem)> {
        let array: ArrayRef = Arc::new(StringViewArray::from_iter(texts.iter().copied()));
        parse(&array, declared).unwrap()
    }

    #[test]
    fn texts_are_read_as_strings_of_json_are() {
        let numbers = parsed(&[Some("7"), None, Some("-7.0")], &DataType::Int64).unwrap();
        let expected = Int64Array::from(vec![Some(7), None, Some(-7)]);
        assert_eq!(numbers.as_ref(), &expected as &dyn Array);
        let days = parsed(&[Some("1970-01-02")], &DataType::Date32).unwrap();
        assert_eq!(days.as_ref(), &Date32Array::from(vec![1]) as &dyn Array);
        assert_eq!(parsed(&[], &DataType::Int64).unwrap().len(), 0);
    }

    #[test]
    fn the_first_text_that_is_no_value_is_found() {
        for (wrong, declared) in [
            ("1.5", DataType::Int64),
            ("a \"quote\"\n", DataType::Int64),
            ("NaN", DataType::Float64),
            ("1.005", DataType::Decimal128(10, 2)),
            ("yesterday", DataType::Date32),
        ] {
            let (index, problem) = parsed(&[Some("1"), None, Some(wrong)], &declared)
                .err()
                .filter(|(index, _)| *index != 0)
                .or_else(|| parsed(&[None, None, Some(wrong)], &declared).err())
                .unwrap();
            assert_eq!(index, 2, "{wrong}");
            assert!(matches!(problem, Problem::Unparsable(_)), "{problem:?}");
        }
    }
}
