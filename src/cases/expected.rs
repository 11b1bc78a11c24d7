//! `expected.jsonl`: the rows that a definition has to export, in the types of the export.
//!
//! A line has every column, those of the partitions too, and every member of a struct: NULL is written `null`, so
//! that a column which is forgotten is no NULL by accident.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
use serde_json::Value;

use crate::cases::cells::{self, Row};
use crate::cases::folder::CaseText;
use crate::error::{Error, Result};
use crate::jsonl::{CHUNK_BYTES, Chunk, LineSchema, LineSplitter};

/// The maximum number of rows that are decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// A row that is expected, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedRow {
    /// The number of the line, from 1.
    pub(super) line: usize,
    /// The line as it is written.
    pub(super) text: String,
    pub(super) cells: Row,
}

/// Returns the columns that are compared, in the order of the export.
pub(super) fn compared(exported: &Schema, is_ignored: impl Fn(&str) -> bool) -> SchemaRef {
    let fields = exported.fields().iter();
    let compared: Fields = fields
        .filter(|field| !is_ignored(field.name()))
        .cloned()
        .collect();
    Arc::new(Schema::new(compared))
}

/// Parses the expected rows, whose columns are `schema`.
///
/// # Errors
/// [`Error::invalid`] with file and line: a line is no object, lacks a column or has one that is not exported, or
/// a value is not of its type.
pub(super) fn parse(text: &CaseText, schema: &SchemaRef) -> Result<Vec<ExpectedRow>> {
    let mut complaints = Vec::new();
    for (index, line) in text.text.lines().enumerate() {
        complaints.extend(check_members(text, index + 1, line, schema.fields()));
    }
    Error::all(complaints)?;
    let lines = text.text.lines().enumerate();
    let mut lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let mut expected = Vec::new();
    for cells in decode(text, schema)? {
        let (index, line) = lines
            .next()
            .ok_or_else(|| Error::internal("more expected rows than lines"))?;
        expected.push(ExpectedRow {
            line: index + 1,
            text: line.to_owned(),
            cells,
        });
    }
    Ok(expected)
}

/// Decodes the lines with the decoder of the sources, each of which is one row.
fn decode(text: &CaseText, schema: &SchemaRef) -> Result<Vec<Row>> {
    let unreadable = |error| {
        let what = format!(
            "{}: the columns of the export cannot be read from JSON",
            text.file
        );
        Error::data(what).with_source(error)
    };
    let schema = LineSchema::all(Arc::clone(schema));
    let mut decoder = schema.decoder(BATCH_ROWS).map_err(unreadable)?;
    let mut splitter = LineSplitter::new(text.text.as_bytes(), CHUNK_BYTES);
    let (mut rows, mut complaints) = (Vec::new(), Vec::new());
    while let Some(chunk) = splitter
        .next_chunk()
        .map_err(|error| Error::invalid(format!("cannot read {}", text.file)).with_source(error))?
    {
        let Chunk::Lines(lines) = chunk else {
            return Err(Error::invalid(format!("{}: a line is too long", text.file)));
        };
        let decoded = decoder.decode(&lines).map_err(unreadable)?;
        for bad in decoded.bad {
            let (file, line) = (&text.file, bad.line);
            complaints.push(Error::invalid(format!("{file}:{line}: {}", bad.reason)));
        }
        for batch in &decoded.batches {
            rows.extend(cells::rows(batch)?);
        }
    }
    Error::all(complaints)?;
    Ok(rows)
}

/// Checks that a line has the columns of the export and no others. A line that is no JSON is left to the decoder.
fn check_members(text: &CaseText, line: usize, content: &str, fields: &Fields) -> Option<Error> {
    if content.trim().is_empty() {
        return None;
    }
    let value: Value = serde_json::from_str(content).ok()?;
    let (mut missing, mut unknown) = (Vec::new(), Vec::new());
    check_object(&value, fields, "", &mut missing, &mut unknown);
    let file = &text.file;
    let complaint = |what: String, hint: &str| {
        Some(Error::invalid(format!("{file}:{line}: {what}")).with_hint(hint))
    };
    match (missing.is_empty(), unknown.is_empty()) {
        (true, true) => None,
        (_, false) => complaint(
            format!("no such column in the export: {}", named(&unknown)),
            "`dayport test --update` writes what is exported",
        ),
        (false, true) => complaint(
            format!("the line has no value of {}", named(&missing)),
            "write `null` where NULL is expected, or name the column in `ignore` of case.toml",
        ),
    }
}

fn named(paths: &[String]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    quoted.join(", ")
}

fn check_object(
    value: &Value,
    fields: &Fields,
    prefix: &str,
    missing: &mut Vec<String>,
    unknown: &mut Vec<String>,
) {
    let Value::Object(members) = value else {
        return;
    };
    let path = |name: &str| match prefix.is_empty() {
        true => name.to_owned(),
        false => format!("{prefix}.{name}"),
    };
    for name in members.keys() {
        if fields.find(name).is_none() {
            unknown.push(path(name));
        }
    }
    for field in fields {
        match members.get(field.name()) {
            None => missing.push(path(field.name())),
            Some(value) => check_value(value, field, &path(field.name()), missing, unknown),
        }
    }
}

fn check_value(
    value: &Value,
    field: &FieldRef,
    path: &str,
    missing: &mut Vec<String>,
    unknown: &mut Vec<String>,
) {
    match (field.data_type(), value) {
        (DataType::Struct(fields), value) => check_object(value, fields, path, missing, unknown),
        (
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _),
            Value::Array(items),
        ) => {
            for (index, value) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                check_value(value, item, &path, missing, unknown);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn schema() -> SchemaRef {
        let client = Fields::from(vec![
            Field::new("url", DataType::Utf8View, true),
            Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        ]);
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("price", DataType::Decimal128(10, 2), true),
            Field::new("client", DataType::Struct(client), true),
        ]))
    }

    fn parsed(text: &str) -> Result<Vec<ExpectedRow>> {
        let text = CaseText {
            file: "expected.jsonl".to_owned(),
            text: text.to_owned(),
        };
        parse(&text, &schema())
    }

    #[test]
    fn values_have_the_types_of_the_export() {
        let rows = parsed(
            "\n{\"client\":{\"tags\":[\"a\"],\"url\":null},\"id\":9007199254740993,\"price\":\"1.5\"}\n\n\
             {\"id\":1,\"price\":null,\"client\":null}",
        )
        .unwrap();
        let places: Vec<usize> = rows.iter().map(|row| row.line).collect();
        assert_eq!(places, [2, 4]);
        assert_eq!(
            rows[0].cells,
            ["9007199254740993", "1.50", r#"{"url":null,"tags":["a"]}"#]
        );
        assert_eq!(rows[1].cells, ["1", "null", "null"]);
    }

    #[test]
    fn what_is_missing_unknown_or_of_another_type_is_named_with_its_line() {
        for (line, complaint) in [
            (
                r#"{"id":1,"client":null}"#,
                "expected.jsonl:1: the line has no value of `price`",
            ),
            (
                r#"{"id":1,"price":null,"client":{"url":"a"}}"#,
                "no value of `client.tags`",
            ),
            (
                r#"{"id":1,"price":null,"client":null,"clint":1}"#,
                "no such column in the export: `clint`",
            ),
            (
                r#"{"id":"x","price":null,"client":null}"#,
                "expected.jsonl:1: field `id`: ",
            ),
            (
                r#"{"id":null,"price":null,"client":null}"#,
                "expected.jsonl:1: required field `id` ",
            ),
            (r#"{"id":1,"#, "expected.jsonl:1: "),
            ("[1]", "expected.jsonl:1: "),
        ] {
            let error = parsed(line).unwrap_err().render();
            assert!(error.contains(complaint), "{line}: {error}");
        }
    }
}
