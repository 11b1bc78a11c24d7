//! Record batches of any values: the JSON text and the Parquet files that are made of them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::writer::{LineDelimited, WriterBuilder};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;

use super::input::Input;
use crate::codec::json::{LineWriter, OutputText};
use crate::codec::parquet::FileWriter;

/// The maximum number of rows of a batch.
const MAX_ROWS: usize = 64;

fn strings(input: &mut Input<'_>, rows: usize) -> StringArray {
    let known = input.text();
    (0..rows)
        .map(|_| match input.below(6) {
            0 => None,
            1 => Some(known.clone()),
            2 => Some(known.repeat(input.below(20))),
            _ => Some(input.text()),
        })
        .collect()
}

fn batch(input: &mut Input<'_>) -> RecordBatch {
    let rows = input.below(MAX_ROWS);
    let texts = strings(input, rows);
    let views = cast(&strings(input, rows), &DataType::Utf8View).unwrap();
    let numbers: Int64Array = (0..rows)
        .map(|_| (input.below(5) > 0).then(|| input.number() >> (8 * input.below(8))))
        .collect();
    let floats: Float64Array = (0..rows)
        .map(|_| {
            let float = f64::from_bits(input.number().cast_unsigned());
            // NaN and the infinities fail a table before they are encoded.
            (input.below(5) > 0 && float.is_finite()).then_some(float)
        })
        .collect();
    let flags: BooleanArray = (0..rows)
        .map(|_| input.one_of(&[None, Some(true), Some(false)]))
        .collect();
    let times: TimestampMicrosecondArray = (0..rows)
        .map(|_| (input.below(5) > 0).then(|| input.number() % 200_000_000_000_000_000))
        .collect();
    let times = times.with_timezone("+00:00");
    let lengths: Vec<usize> = (0..rows).map(|_| input.below(4)).collect();
    let items = Arc::new(strings(input, lengths.iter().sum()));
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        OffsetBuffer::from_lengths(lengths),
        items,
        Some(NullBuffer::from_iter((0..rows).map(|_| input.below(4) > 0))),
    );
    let members: Vec<(Arc<Field>, ArrayRef)> = vec![
        (
            Arc::new(Field::new("text", DataType::Utf8, true)),
            Arc::new(strings(input, rows)),
        ),
        (
            Arc::new(Field::new("n", DataType::Int64, true)),
            Arc::new(numbers.clone()),
        ),
    ];
    let object = StructArray::from(members);
    let columns: [(&str, ArrayRef); 8] = [
        ("text", Arc::new(texts)),
        ("a \"quoted\" \u{1} näme", views),
        ("n", Arc::new(numbers)),
        ("f", Arc::new(floats)),
        ("b", Arc::new(flags)),
        ("t", Arc::new(times)),
        ("list", Arc::new(list)),
        ("object", Arc::new(object)),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

pub(super) fn json_text(data: &[u8]) {
    let batch = batch(&mut Input::new(data));
    let mut text = OutputText::default();
    let writer = LineWriter::new(batch.schema_ref().fields());
    writer.write(&batch, &mut text, |_| ()).unwrap();
    let ours = text.into_bytes();
    let mut theirs = WriterBuilder::new()
        .with_explicit_nulls(false)
        .build::<_, LineDelimited>(Vec::new());
    theirs.write(&batch).unwrap();
    theirs.finish().unwrap();
    assert_eq!(
        ours.escape_ascii().to_string(),
        theirs.into_inner().escape_ascii().to_string()
    );
    for line in ours.split_inclusive(|byte| *byte == b'\n') {
        serde_json::from_slice::<serde_json::Value>(line).unwrap();
    }
}

pub(super) fn parquet_strings(data: &[u8]) {
    let mut input = Input::new(data);
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(1 + input.below(40))
        .set_dictionary_page_size_limit(1 + 16 * input.below(64))
        .set_write_batch_size(1 + input.below(16))
        .build();
    let batches = [batch(&mut input), batch(&mut input)];
    let schema = batches[0].schema();
    let mut writer = FileWriter::new(&schema, &properties).unwrap();
    let mut file = Vec::new();
    for batch in &batches {
        writer.write(batch).unwrap();
        if input.below(2) == 0 {
            writer.end_row_group().unwrap();
        }
        file.extend(writer.take());
    }
    let (rest, _) = writer.finish().unwrap();
    file.extend(rest);
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
    let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let plain = |batches: &[RecordBatch]| {
        let columns = |batch: &RecordBatch| -> Vec<ArrayRef> {
            let plain = |column: &ArrayRef| match column.data_type() {
                DataType::Utf8View => cast(column, &DataType::Utf8).unwrap(),
                _ => Arc::clone(column),
            };
            batch.columns().iter().map(plain).collect()
        };
        let batches: Vec<RecordBatch> = batches
            .iter()
            .map(|batch| {
                RecordBatch::try_from_iter((0..).map(|n: usize| n.to_string()).zip(columns(batch)))
                    .unwrap()
            })
            .collect();
        let first = batches.first();
        first.map(|first| concat_batches(&first.schema(), &batches).unwrap())
    };
    let expected = plain(&batches).filter(|expected| expected.num_rows() > 0);
    let read = plain(&read);
    let (Some(read), Some(expected)) = (&read, &expected) else {
        assert_eq!(read.is_some(), expected.is_some());
        return;
    };
    assert_eq!(read.num_columns(), expected.num_columns());
    for (index, (read, expected)) in read.columns().iter().zip(expected.columns()).enumerate() {
        // Parquet has no offsets of zones, and other names for the items of lists.
        let read = cast(read, expected.data_type()).unwrap();
        assert_eq!(&read, expected, "column {index}");
    }
}
