//! Decodes exported files independently of dayport: Parquet with the record reader of the `parquet`
//! crate (without arrow), JSON with flate2 and serde_json.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use super::{TestDestination, current_manifests, instant};

/// Returns the rows of a table as currently published, in the order of its manifests and files.
pub(crate) fn rows(destination: &TestDestination, table: &str) -> Vec<Value> {
    let manifests = current_manifests(destination)
        .remove(table)
        .unwrap_or_default();
    let files = manifests
        .iter()
        .flat_map(|manifest| manifest["files"].as_array().expect("a list of files"));
    files
        .flat_map(|file| {
            let path = file["path"].as_str().expect("a path");
            decode(path, &destination.read(path))
        })
        .collect()
}

/// Sorts rows by their text, to compare tables whose order is not promised.
pub(crate) fn sorted(rows: Vec<Value>) -> Vec<Value> {
    let mut rows = rows;
    rows.sort_by_cached_key(Value::to_string);
    rows
}

/// Returns the rows of a file. Both formats give the same values: NULL fields are absent, instants are
/// RFC 3339 in UTC.
pub(crate) fn decode(key: &str, bytes: &Bytes) -> Vec<Value> {
    if key.ends_with(".parquet") {
        return parquet_rows(bytes);
    }
    assert!(key.ends_with(".json.gz"), "`{key}` is of no known format");
    json_rows(key, bytes)
}

fn json_rows(key: &str, bytes: &Bytes) -> Vec<Value> {
    let mut text = String::new();
    let mut gzip = MultiGzDecoder::new(bytes.as_ref());
    gzip.read_to_string(&mut text).expect("gzip of UTF-8 text");
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line of `{key}` does not end"
    );
    let lines = text.lines();
    lines
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("a JSON object in one line");
            assert!(row.is_object(), "{row}");
            with_numbers(row)
        })
        .collect()
}

fn with_numbers(json: Value) -> Value {
    match json {
        Value::Number(number) if number.is_f64() => number_of(number.as_f64().expect("a float")),
        Value::Array(items) => items.into_iter().map(with_numbers).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(name, value)| (name, with_numbers(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

/// Rounds a float to single precision, because serde_json misreads the last bits of some.
pub(crate) fn number_of(float: f64) -> Value {
    let rounded = f64::from(float as f32);
    Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

fn parquet_rows(bytes: &Bytes) -> Vec<Value> {
    let reader = SerializedFileReader::new(bytes.clone()).expect("a Parquet file");
    let rows = reader.get_row_iter(None).expect("rows");
    rows.map(|row| object(&row.expect("a row"))).collect()
}

fn object(row: &Row) -> Value {
    let columns = row.get_column_iter();
    let present = columns.filter(|(_, field)| !matches!(field, Field::Null));
    let members: Map<String, Value> = present
        .map(|(name, field)| (name.clone(), value(field)))
        .collect();
    Value::Object(members)
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::Double(value) => number_of(*value),
        Field::Str(text) => Value::String(text.clone()),
        Field::TimestampMicros(microseconds) => Value::String(instant(*microseconds)),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        other => panic!("no export has the type of {other:?}"),
    }
}
