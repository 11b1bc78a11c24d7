//! The decoders of JSON lines: the fast one, the reference one, and serde_json.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Field, Fields, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit,
};
use serde_json::Value;

use super::input::Input;
use crate::jsonl::{
    BadLine, Chunk, EpochUnit, LeafRule, LeafRules, LineDecoder, LineSplitter, LocalZone,
    TimeFormat,
};

fn schemas() -> [SchemaRef; 3] {
    let zone = || Some("+00:00".into());
    let plain = vec![
        Field::new("s", DataType::Utf8View, true),
        Field::new("n", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("b", DataType::Boolean, true),
    ];
    let nested = vec![
        Field::new_list("l", Field::new("item", DataType::Int64, true), true),
        Field::new("o", DataType::Struct(Fields::from(plain.clone())), true),
        Field::new("id", DataType::Utf8View, false),
    ];
    let times = vec![
        Field::new(
            "t",
            DataType::Timestamp(TimeUnit::Microsecond, zone()),
            true,
        ),
        Field::new("u", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        Field::new("d", DataType::Date32, true),
        Field::new("m", DataType::Decimal128(9, 2), true),
        Field::new("i", DataType::Int32, true),
    ];
    [plain, nested, times].map(|fields| Arc::new(Schema::new(fields)))
}

/// Returns the rules of the schema with times.
fn time_rules(input: &mut Input<'_>) -> LeafRules {
    let formats = [None, Some("%d/%b/%Y:%H:%M:%S %z"), Some("%Y%m%d%H%M%S%f")];
    let rule = |input: &mut Input<'_>| LeafRule {
        unit: input.one_of(&[None, Some(EpochUnit::Second), Some(EpochUnit::Millisecond)]),
        time_format: input
            .one_of(&formats)
            .map(|text| TimeFormat::parse(text).unwrap()),
        time_zone: input
            .one_of(&[None, Some("Europe/Berlin")])
            .and_then(LocalZone::named),
    };
    let (first, second) = (rule(input), rule(input));
    let others = std::iter::repeat_n(LeafRule::default(), 3);
    LeafRules::new([first, second].into_iter().chain(others).collect())
}

pub(super) fn json_lines(data: &[u8]) {
    let mut input = Input::new(data);
    let index = input.below(3);
    let schema = schemas()[index].clone();
    let rules = match index {
        2 => time_rules(&mut input),
        _ => LeafRules::default(),
    };
    let batch_size = 1 + input.below(5);
    let decoder = || LineDecoder::new(schema.clone(), batch_size, None, &rules).unwrap();
    let (mut whole, mut single) = (decoder(), decoder());
    let chunk_bytes = 1 + usize::from(input.byte());
    let mut splitter = LineSplitter::new(input.rest(), chunk_bytes);
    while let Some(chunk) = splitter.next_chunk().unwrap() {
        let Chunk::Lines(lines) = chunk else {
            panic!("a line of an input is not oversized");
        };
        let decoded = whole.decode(&lines).unwrap();
        let (mut rows, mut bad): (Vec<RecordBatch>, Vec<BadLine>) = (Vec::new(), Vec::new());
        for line in lines.lines() {
            match single.decode_line(line) {
                Ok(row) => {
                    assert_eq!(row.num_rows(), 1);
                    check_row(line.text, &row);
                    rows.push(row);
                }
                Err(line) => bad.push(line),
            }
        }
        assert_eq!(decoded.lines, rows.len() + bad.len());
        let all = |batches: &[RecordBatch]| concat_batches(&schema, batches).unwrap();
        assert_eq!(all(&decoded.batches), all(&rows));
        assert_eq!(format!("{:?}", decoded.bad), format!("{bad:?}"));
    }
}

/// Compares a row with what serde_json reads of its line.
fn check_row(line: &[u8], row: &RecordBatch) {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        // It reads numbers of any size only as floats, and no deep nesting.
        Err(error) => {
            let reason = error.to_string();
            let is_limit = ["recursion limit", "out of range"]
                .iter()
                .any(|part| reason.contains(part));
            assert!(is_limit, "{reason}: {}", line.escape_ascii());
            return;
        }
    };
    let schema = row.schema();
    for (field, column) in schema.fields().iter().zip(row.columns()) {
        let value = value.get(field.name()).unwrap_or(&Value::Null);
        check_value(value, column);
    }
}

fn check_value(value: &Value, column: &dyn Array) {
    if value.is_null() {
        assert!(column.is_null(0));
        return;
    }
    assert!(column.is_valid(0), "{value}");
    match column.data_type() {
        DataType::Utf8View => assert_eq!(value.as_str(), Some(column.as_string_view().value(0))),
        DataType::Boolean => assert_eq!(value.as_bool(), Some(column.as_boolean().value(0))),
        DataType::Int64 => {
            let number = column.as_primitive::<Int64Type>().value(0);
            if let Some(expected) = value.as_i64() {
                assert_eq!(number, expected);
            }
        }
        DataType::Float64 => {
            let number = column.as_primitive::<Float64Type>().value(0);
            if let Some(expected) = value.as_f64() {
                // Its parser of floats is off by a digit without a feature of its own.
                let difference = (number - expected).abs();
                assert!(
                    difference <= expected.abs() * 1e-14 || difference < 1e-300,
                    "{value}"
                );
            }
        }
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(0);
            let expected = value.as_array().unwrap();
            assert_eq!(items.len(), expected.len());
            for (index, value) in expected.iter().enumerate() {
                check_value(value, &items.slice(index, 1));
            }
        }
        DataType::Struct(fields) => {
            for (field, member) in fields.iter().zip(column.as_struct().columns()) {
                let value = value.get(field.name()).unwrap_or(&Value::Null);
                check_value(value, member);
            }
        }
        _ => {}
    }
}
