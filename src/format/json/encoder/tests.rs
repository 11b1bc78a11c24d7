//! The dialect, and how files are cut into blocks.

use std::io::Read;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use flate2::read::MultiGzDecoder;

use super::*;
use crate::codec::deflate::GzipLevel;

fn inflate(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn open(schema: &SchemaRef) -> Box<JsonEncoder> {
    let gzip = GzipPool::new(GzipLevel::default());
    Box::new(JsonEncoder::new(&gzip, schema))
}

fn text_of(batch: &RecordBatch) -> String {
    let mut encoder = open(&batch.schema());
    encoder.write(batch).unwrap();
    let (bytes, rows) = encoder.finish().unwrap();
    assert_eq!(rows, batch.num_rows() as u64);
    inflate(&bytes)
}

fn numbers(count: usize) -> RecordBatch {
    let texts = (0..count).map(|n| format!("{n:050}"));
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

/// Returns a file of `batches`, and the number of blocks that were taken from it.
fn file_of(batches: &[RecordBatch]) -> (Vec<u8>, usize) {
    let mut encoder = open(&batches[0].schema());
    let (mut file, mut blocks) = (Vec::new(), 0);
    for batch in batches {
        encoder.write(batch).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| encoder.take_block()).collect();
        blocks += taken.len();
        for block in taken {
            let member = block.compress().unwrap();
            encoder.append(&member);
        }
        assert!(encoder.take_block().is_none());
        file.extend(encoder.take());
        assert_eq!(encoder.ready(), 0);
    }
    file.extend(encoder.finish().unwrap().0);
    (file, blocks)
}

#[test]
fn the_dialect_is_the_published_one() {
    let time = TimestampMicrosecondArray::from(vec![1_768_435_199_999_999, 1_768_435_200_000_000])
        .with_timezone("UTC");
    let segments = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), Some(9_007_199_254_740_993)]),
        Some(vec![]),
    ]);
    let client = StructArray::from(vec![
        (
            Arc::new(Field::new("title", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("<a> & \"b\"\n😀\\"), None])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("new", DataType::Boolean, true)),
            Arc::new(BooleanArray::from(vec![None, Some(false)])) as ArrayRef,
        ),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(time)),
        ("segments", Arc::new(segments)),
        ("client", Arc::new(client)),
        ("id", Arc::new(Int64Array::from(vec![None, Some(-1)]))),
        ("score", Arc::new(Float64Array::from(vec![Some(0.5), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(
        text_of(&batch),
        concat!(
            r#"{"time":"2026-01-14T23:59:59.999999Z","segments":[1,9007199254740993],"client":{"title":"<a> & \"b\"\n😀\\"},"score":0.5}"#,
            "\n",
            r#"{"time":"2026-01-15T00:00:00Z","segments":[],"client":{"new":false},"id":-1}"#,
            "\n",
        )
    );
}

#[test]
fn a_file_without_rows_is_readable() {
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
    assert_eq!(text_of(&RecordBatch::new_empty(Arc::new(schema))), "");
}

/// Cuts blocks by the rows alone, at line ends, whatever the batches.
#[test]
fn equal_rows_make_equal_files() {
    let rows = numbers(50_000);
    let (whole, blocks) = file_of(std::slice::from_ref(&rows));
    let pieces: Vec<RecordBatch> = (0..50).map(|n| rows.slice(n * 1000, 1000)).collect();
    assert_eq!(file_of(&pieces), (whole.clone(), blocks));
    assert!(blocks >= 2, "{blocks} blocks");

    let text = inflate(&whole);
    assert!(blocks == text.len() / BLOCK_BYTES);
    let lines = (0..50_000).map(|n| format!("{{\"n\":\"{n:050}\"}}\n"));
    assert!(lines.eq(text.split_inclusive('\n').map(str::to_owned)));
}

#[test]
fn a_block_ends_with_a_line() {
    let rows = numbers(20_000);
    let mut encoder = open(&rows.schema());
    encoder.write(&rows).unwrap();
    let member = encoder.take_block().unwrap().compress().unwrap();
    let text = inflate(member.bytes());
    assert!((BLOCK_BYTES..BLOCK_BYTES + 100).contains(&text.len()));
    assert!(text.ends_with("\"}\n"));
}

#[test]
fn a_file_ends_only_after_its_blocks() {
    let rows = numbers(40_000);
    let mut encoder = open(&rows.schema());
    encoder.write(&rows).unwrap();
    let taken = encoder.take_block().unwrap();
    assert!(encoder.finish().is_err());
    drop(taken);
}

/// The memory held is known while blocks are being compressed, and an open file holds little.
#[test]
fn memory_is_counted_and_can_be_relieved() {
    let rows = numbers(2_000);
    let mut encoder = open(&rows.schema());
    assert_eq!(encoder.memory(), 0);
    encoder.write(&rows.slice(0, 100)).unwrap();
    assert!((6_000..OPENING_MEMORY).contains(&encoder.memory()));
    encoder.relieve().unwrap();
    assert!(encoder.take_block().is_none(), "a block of a few lines");

    encoder.write(&rows).unwrap();
    let before = encoder.memory();
    assert!(before >= MIN_BLOCK);
    encoder.relieve().unwrap();
    let block = encoder.take_block().unwrap();
    assert!(encoder.memory() >= MIN_BLOCK);
    let member = block.compress().unwrap();
    encoder.append(&member);
    drop(member);
    assert!(encoder.memory() < before / 2);
    let (bytes, rows) = encoder.finish().unwrap();
    assert_eq!(rows, 2_100);
    assert_eq!(inflate(&bytes).lines().count(), 2_100);
}
