//! One suite that every format passes: write, decode, damage, facts, names.

use std::io::Read;
use std::sync::Arc;

use ::parquet::file::properties::WriterProperties;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Fields, Int64Type, SchemaRef};
use flate2::read::MultiGzDecoder;

use super::*;
use crate::codec::deflate::{GzipLevel, GzipPool};
use crate::format::json::JsonEncoding;
use crate::format::parquet::ParquetEncoding;
use crate::layout::{Partition, Shard};
use crate::schema::ExportSchema;

/// Returns the encoding of a format with default options.
pub(crate) fn encoding(format: FileFormat) -> Arc<dyn FileEncoding> {
    match format {
        FileFormat::Json => Arc::new(JsonEncoding(GzipPool::new(GzipLevel::default()))),
        FileFormat::Parquet => Arc::new(ParquetEncoding {
            properties: WriterProperties::builder()
                .set_max_row_group_row_count(Some(10_000))
                .build(),
            choose_dictionaries: true,
        }),
    }
}

/// Returns rows with every type of an export, NULLs included.
pub(crate) fn rows(count: usize) -> (Arc<ExportSchema>, RecordBatch) {
    let numbers = || 0..count as i64;
    let optional = |n: i64| (n % 3 > 0).then_some(n);
    let timestamp = |n: i64| optional(n).map(|n| 1_768_435_200_000_000 + n * 1_234_567);
    let list = |n: i64| optional(n).map(|n| (0..n % 4).map(Some).collect::<Vec<_>>());
    let fields = Fields::from(vec![
        Field::new("url", arrow::datatypes::DataType::Utf8View, true),
        Field::new("position", arrow::datatypes::DataType::Int32, false),
    ]);
    let urls: StringViewArray = numbers()
        .map(|n| optional(n).map(|n| format!("https://example.org/a \"page\" of é/{}", n % 97)))
        .collect();
    let positions = Int32Array::from_iter_values(numbers().map(|n| n as i32));
    let client = StructArray::new(fields, vec![Arc::new(urls), Arc::new(positions)], None);
    let decimals = numbers().map(|n| optional(n).map(i128::from));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(numbers()))),
        (
            "small",
            Arc::new(Int32Array::from_iter(
                numbers().map(|n| optional(n).map(|n| n as i32)),
            )),
        ),
        (
            "is_new",
            Arc::new(BooleanArray::from_iter(
                numbers().map(|n| optional(n).map(|n| n % 2 == 0)),
            )),
        ),
        (
            "score",
            Arc::new(Float64Array::from_iter(
                numbers().map(|n| optional(n).map(|n| n as f64 / 4.0)),
            )),
        ),
        (
            "name",
            Arc::new(StringViewArray::from_iter(
                numbers().map(|n| optional(n).map(|n| format!("name {n}"))),
            )),
        ),
        (
            "digest",
            Arc::new(BinaryArray::from_iter(
                numbers().map(|n| optional(n).map(|n| [0xc0, 0xff, 0xee, n as u8])),
            )),
        ),
        (
            "day",
            Arc::new(Date32Array::from_iter(
                numbers().map(|n| optional(n).map(|n| 20_000 + n as i32 % 30)),
            )),
        ),
        (
            "time",
            Arc::new(
                TimestampMicrosecondArray::from_iter(numbers().map(timestamp)).with_timezone("UTC"),
            ),
        ),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter(decimals)
                    .with_precision_and_scale(12, 2)
                    .unwrap(),
            ),
        ),
        (
            "segments",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
                numbers().map(list),
            )),
        ),
        ("client", Arc::new(client)),
    ];
    let nullable = columns
        .into_iter()
        .map(|(name, column)| (name, column, name != "id" && name != "client"));
    let query = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
    let fields = query.schema_ref().fields().iter().map(AsRef::as_ref);
    let schema = ExportSchema::of(fields).unwrap();
    let batch = ExportSchema::cast(&schema.arrow(), query.columns().to_vec()).unwrap();
    (Arc::new(schema), batch)
}

/// Encodes `batches` as the staging does: takes blocks and finished bytes after each batch, and frees
/// memory after each whose index is a multiple of `relieve_every`.
pub(crate) fn encode(
    format: FileFormat,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    relieve_every: usize,
) -> Vec<u8> {
    let mut encoder = encoding(format).encoder(schema).unwrap();
    let mut file = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        encoder.write(batch).unwrap();
        if index % relieve_every == 0 {
            encoder.relieve().unwrap();
        }
        let blocks: Vec<_> = std::iter::from_fn(|| encoder.take_block()).collect();
        for block in blocks {
            encoder.append(&block.compress().unwrap());
        }
        assert!(encoder.memory() > 0, "{format}");
        let ready = encoder.ready();
        let bytes = encoder.take();
        assert_eq!((bytes.len(), encoder.ready()), (ready, 0), "{format}");
        file.extend(bytes);
    }
    let (last, rows) = encoder.finish().unwrap();
    let written: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, written as u64, "{format}");
    file.extend(last);
    file
}

fn decode(format: FileFormat, schema: &Arc<ExportSchema>, file: &[u8]) -> DecodeOutcome {
    let mut decoder = (format.info().decoder)(schema).unwrap();
    for chunk in file.chunks(1013) {
        decoder.write(chunk).unwrap();
    }
    decoder.finish().unwrap()
}

fn slices(batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(rows);
    let slice = |start| batch.slice(start, rows.min(batch.num_rows() - start));
    starts.map(slice).collect()
}

#[test]
fn files_decode_to_the_rows_that_were_written() {
    let (schema, batch) = rows(25_000);
    for format in FileFormat::ALL {
        for (slice, relieve_every) in [(25_000, 1), (8192, usize::MAX), (1000, 3)] {
            let batches = slices(&batch, slice);
            let file = encode(format, &batch.schema(), &batches, relieve_every);
            let whole = DecodeOutcome::Whole {
                rows: 25_000,
                mismatch: None,
            };
            assert_eq!(decode(format, &schema, &file), whole, "{format}");
        }
    }
}

#[test]
fn equal_rows_make_equal_files() {
    let (_, batch) = rows(3000);
    for format in FileFormat::ALL {
        let file = || encode(format, &batch.schema(), &slices(&batch, 700), usize::MAX);
        assert!(file() == file(), "{format}");
    }
}

#[test]
fn a_file_without_rows_is_whole() {
    let (schema, batch) = rows(0);
    for format in FileFormat::ALL {
        let file = encode(format, &batch.schema(), &[], 1);
        assert!(!file.is_empty(), "{format}");
        let whole = DecodeOutcome::Whole {
            rows: 0,
            mismatch: None,
        };
        assert_eq!(decode(format, &schema, &file), whole, "{format}");
    }
}

#[test]
fn a_file_that_is_cut_is_broken() {
    let (schema, batch) = rows(300);
    for format in FileFormat::ALL {
        let file = encode(format, &batch.schema(), std::slice::from_ref(&batch), 1);
        for end in (0..file.len()).step_by(61) {
            let outcome = decode(format, &schema, &file[..end]);
            assert!(
                matches!(outcome, DecodeOutcome::Broken(_)),
                "{format}, {end}"
            );
        }
    }
}

#[test]
fn another_schema_is_a_mismatch() {
    let (_, batch) = rows(10);
    let other: ExportSchema =
        serde_json::from_str(r#"[{"name":"key","type":"string","nullable":false}]"#).unwrap();
    let other = Arc::new(other);
    for format in FileFormat::ALL {
        let file = encode(format, &batch.schema(), std::slice::from_ref(&batch), 1);
        let outcome = decode(format, &other, &file);
        let DecodeOutcome::Whole { rows, mismatch } = outcome else {
            panic!("{format}: {outcome:?}");
        };
        assert_eq!(rows, 10, "{format}");
        assert!(mismatch.is_some(), "{format}");
    }
}

/// A receiver's statements decode values by these facts.
#[test]
fn facts_are_those_of_the_bytes() {
    let (_, batch) = rows(3);
    for format in FileFormat::ALL {
        let file = encode(format, &batch.schema(), std::slice::from_ref(&batch), 1);
        let mut bytes = Vec::new();
        if MultiGzDecoder::new(file.as_slice())
            .read_to_end(&mut bytes)
            .is_err()
        {
            bytes = file;
        }
        let contains = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        let info = format.info();
        assert_eq!(contains(b"c0ffee01"), info.binary_is_hex, "{format}");
        assert_eq!(
            contains(b"2026-01-15T00:00:01"),
            info.timestamp_is_text,
            "{format}"
        );
    }
}

#[test]
fn names_and_extensions_lead_back_to_the_format() {
    for format in FileFormat::ALL {
        for name in format.info().sql_names {
            assert_eq!(FileFormat::from_sql_name(name), Some(format));
            assert_eq!(
                FileFormat::from_sql_name(&name.to_lowercase()),
                Some(format)
            );
        }
        assert_eq!(FileFormat::from_sql_name(&format.to_string()), Some(format));
        let text = serde_json::to_string(&format).unwrap();
        assert_eq!(text, format!("\"{format}\""));
        assert_eq!(encoding(format).format(), format);
        let shard = Shard {
            table: "t".parse().unwrap(),
            partition: Partition::default(),
            number: 7,
            format,
        };
        let path = shard.path();
        assert!(path.as_ref().ends_with(format.extension()), "{path}");
        assert_eq!(Shard::parse(&path), Some(shard));
    }
    assert_eq!(FileFormat::from_sql_name("CSV"), None);
}
