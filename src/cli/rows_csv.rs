//! Writes rows as CSV in which NULL is nothing and an empty string is `""`, as PostgreSQL's `COPY` does.
//!
//! The writers of the crates `arrow` and `csv` write both alike: see `docs/decisions/0012-csv-of-queries.md`.

use std::io;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, Result};

/// Returns the first line: the names of the columns.
///
/// # Errors
/// [`Error::data`] if a column is nested.
pub(super) fn header(schema: &Schema) -> Result<String> {
    let nested = schema
        .fields()
        .iter()
        .find(|field| field.data_type().is_nested());
    if let Some(field) = nested {
        let name = field.name();
        return Err(Error::data(format!(
            "the column `{name}` is nested, which CSV cannot hold"
        ))
        .with_hint(
            "print the rows with --output json, or select fields and elements of the column",
        ));
    }
    let mut line = String::new();
    for (index, field) in schema.fields().iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        push_text(&mut line, field.name());
    }
    Ok(line + "\n")
}

/// Writes a line for each row.
///
/// # Errors
/// A value cannot be shown as text, or `output` cannot be written.
pub(super) fn write(output: &mut impl io::Write, batch: &RecordBatch) -> Result<(), ArrowError> {
    let options = FormatOptions::default();
    // Logical nulls are also those of dictionaries, and of columns without a type.
    let columns: Vec<(Option<NullBuffer>, ArrayFormatter<'_>)> = batch
        .columns()
        .iter()
        .map(|column| {
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            Ok((column.logical_nulls(), formatter))
        })
        .collect::<Result<_, ArrowError>>()?;
    let (mut lines, mut value) = (String::new(), String::new());
    for row in 0..batch.num_rows() {
        for (index, (nulls, formatter)) in columns.iter().enumerate() {
            if index > 0 {
                lines.push(',');
            }
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            value.clear();
            formatter.value(row).write(&mut value)?;
            push_text(&mut lines, &value);
        }
        lines.push('\n');
    }
    output.write_all(lines.as_bytes())?;
    output.flush()?;
    Ok(())
}

/// Appends a text that is not NULL, in quotes where it needs some.
fn push_text(line: &mut String, text: &str) {
    let is_special = |c: char| matches!(c, ',' | '"' | '\n' | '\r');
    if !text.is_empty() && !text.contains(is_special) {
        line.push_str(text);
        return;
    }
    line.push('"');
    line.push_str(&text.replace('"', "\"\""));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, ListArray, NullArray, StringArray};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    fn csv(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut lines = header(&batch.schema()).unwrap().into_bytes();
        write(&mut lines, &batch).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn null_is_told_from_an_empty_string() {
        let texts = StringArray::from(vec![Some(""), None, Some("a"), Some("NULL")]);
        let numbers = Int64Array::from(vec![Some(1), None, Some(-3), None]);
        let text = csv(vec![
            ("text", Arc::new(texts)),
            ("", Arc::new(numbers)),
            ("nothing", Arc::new(NullArray::new(4))),
        ]);
        assert_eq!(text, "text,\"\",nothing\n\"\",1,\n,,\na,-3,\nNULL,,\n");
    }

    #[test]
    fn special_characters_are_quoted() {
        let texts = StringArray::from(vec!["a,b", "say \"x\"", "two\nlines", "\r", " a "]);
        let text = csv(vec![("x,y", Arc::new(texts))]);
        assert_eq!(
            text,
            "\"x,y\"\n\"a,b\"\n\"say \"\"x\"\"\"\n\"two\nlines\"\n\"\r\"\n a \n"
        );
    }

    #[test]
    fn nested_columns_are_refused() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]);
        let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef)]).unwrap();
        let error = header(&batch.schema()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the column `l` is nested, which CSV cannot hold"
        );
    }
}
