//! Compares files with those of parquet-rs, byte by byte, and reads them back.

mod random;

use std::io::Sink;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};

use crate::codec::parquet::leaves::Leaves;
use crate::codec::parquet::row_group::RowGroup;

/// Row groups, each of batches.
type Groups = Vec<Vec<RecordBatch>>;

fn options(properties: &WriterProperties) -> ArrowWriterOptions {
    ArrowWriterOptions::new()
        .with_properties(properties.clone())
        .with_skip_arrow_metadata(true)
}

fn theirs(schema: &SchemaRef, groups: &Groups, properties: &WriterProperties) -> Vec<u8> {
    let mut file = Vec::new();
    let writer =
        ArrowWriter::try_new_with_options(&mut file, Arc::clone(schema), options(properties));
    let mut writer = writer.unwrap();
    for batches in groups {
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    file
}

/// Returns the type with views in place of all strings.
fn type_with_views(data_type: &DataType) -> DataType {
    let with_views = |field: &FieldRef| {
        let field_type = type_with_views(field.data_type());
        Arc::new(Field::clone(field).with_data_type(field_type))
    };
    match data_type {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(with_views).collect()),
        DataType::List(item) => DataType::List(with_views(item)),
        other => other.clone(),
    }
}

fn with_views(batch: &RecordBatch) -> RecordBatch {
    let fields = batch.schema_ref().fields().iter().map(|field| {
        let field_type = type_with_views(field.data_type());
        Field::clone(field).with_data_type(field_type)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let pairs = batch.columns().iter().zip(schema.fields());
    let columns = pairs.map(|(column, field)| cast(column, field.data_type()).unwrap());
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// Returns the file, and for each of its leaf columns whether our encoder writes it.
fn ours(
    schema: &SchemaRef,
    groups: &Groups,
    properties: &WriterProperties,
) -> (Vec<u8>, Vec<bool>) {
    let (mut file, _) =
        ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(schema), options(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .unwrap();
    let leaves = Leaves::new(schema, file.schema_descr(), properties);
    let others = Arc::clone(leaves.others());
    let (_, others) =
        ArrowWriter::try_new_with_options(Sink::default(), others, options(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .unwrap();
    for batches in groups {
        let number = file.flushed_row_groups().len();
        let mut group = RowGroup::new(&leaves, &others, properties, number).unwrap();
        let mut bytes = 0;
        for batch in batches {
            group.write(&leaves, batch).unwrap();
            assert!(group.bytes() >= bytes || group.rows() > 0);
            bytes = group.bytes();
            assert!(group.memory() > 0);
        }
        if group.rows() > 0 {
            group.append(&leaves, &mut file).unwrap();
        }
    }
    file.finish().unwrap();
    let is_string = leaves.is_string().to_vec();
    (std::mem::take(file.inner_mut()), is_string)
}

fn metadata(file: &[u8]) -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    let file = Bytes::copy_from_slice(file);
    reader.parse_and_finish(&file).unwrap()
}

/// Writes `plain_groups` in both ways, with views in place of strings, and compares the files;
/// returns the metadata.
fn compare(
    name: &str,
    plain_schema: &SchemaRef,
    plain_groups: &Groups,
    builder: WriterPropertiesBuilder,
) -> ParquetMetaData {
    let schema = &with_views(&RecordBatch::new_empty(Arc::clone(plain_schema))).schema();
    let of_group = |batches: &Vec<RecordBatch>| batches.iter().map(with_views).collect();
    let groups = &plain_groups.iter().map(of_group).collect();
    let properties = builder.set_max_row_group_row_count(None).build();
    let (ours, is_string) = ours(schema, groups, &properties);
    let theirs = theirs(schema, groups, &properties);
    let (our_metadata, their_metadata) = (metadata(&ours), metadata(&theirs));
    for (leaf, is_string) in is_string.iter().enumerate() {
        let column = our_metadata.file_metadata().schema_descr().column(leaf);
        let expected = column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0;
        assert_eq!(*is_string, expected, "{name}: {}", column.path());
    }
    for (our_group, their_group) in our_metadata
        .row_groups()
        .iter()
        .zip(their_metadata.row_groups())
    {
        for (our_column, their_column) in our_group.columns().iter().zip(their_group.columns()) {
            assert_eq!(our_column, their_column, "{name}");
        }
    }
    assert!(
        our_metadata.column_index() == their_metadata.column_index(),
        "{name}"
    );
    assert!(
        our_metadata.offset_index() == their_metadata.offset_index(),
        "{name}"
    );
    let differing = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    assert_eq!((differing, ours.len()), (None, theirs.len()), "{name}");
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(ours)).unwrap();
    let batches: Vec<_> = reader
        .build()
        .unwrap()
        .map(|batch| with_views(&batch.unwrap()))
        .collect();
    // Parquet does not store the name of a list's item.
    let read_schema = batches
        .first()
        .map_or(Arc::clone(schema), RecordBatch::schema);
    let read = concat_batches(&read_schema, &batches).unwrap();
    let written = concat_batches(schema, groups.iter().flatten()).unwrap();
    assert_eq!(read.num_columns(), written.num_columns(), "{name}");
    for (read, written) in read.columns().iter().zip(written.columns()) {
        assert_eq!(read, written, "{name}");
    }
    our_metadata
}

fn one(values: StringArray, nullable: bool) -> (SchemaRef, RecordBatch) {
    let fields = vec![Field::new("s", DataType::Utf8, nullable)];
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).unwrap();
    (schema, batch)
}

fn strings(values: impl Iterator<Item = String>) -> StringArray {
    StringArray::from_iter_values(values)
}

fn pages(metadata: &ParquetMetaData) -> Vec<usize> {
    let groups = metadata.offset_index().unwrap().iter();
    groups
        .map(|group| group[0].page_locations().len())
        .collect()
}

fn all_compressions() -> [Compression; 4] {
    [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::ZSTD(ZstdLevel::try_new(3).unwrap()),
    ]
}

#[test]
fn every_kind_of_values_in_every_compression() {
    let values: [(&str, StringArray); 6] = [
        (
            "some",
            strings((0..3000).map(|n| format!("value {}", n % 70))),
        ),
        ("unique", strings((0..3000).map(|n| format!("{n:036}")))),
        (
            "nulls",
            (0..3000)
                .map(|n| (n % 7 > 2).then(|| n.to_string()))
                .collect(),
        ),
        ("all null", StringArray::new_null(3000)),
        ("empty", strings((0..3000).map(|_| String::new()))),
        (
            "sorted",
            strings((0..3000).map(|n| format!("{:09}", n / 40))),
        ),
    ];
    for compression in all_compressions() {
        for (name, values) in &values {
            for dictionary in [true, false] {
                let name = format!("{name}, {compression}, {dictionary}");
                let (schema, batch) = one(values.clone(), true);
                let properties = WriterProperties::builder()
                    .set_compression(compression)
                    .set_dictionary_enabled(dictionary);
                compare(&name, &schema, &vec![vec![batch]], properties.clone());
                if values.null_count() == 0 {
                    let (schema, batch) = one(values.clone(), false);
                    compare(&name, &schema, &vec![vec![batch]], properties);
                }
            }
        }
    }
}

/// 60,000 values outgrow a dictionary of 1 MiB; the first pages stay as they are.
#[test]
fn a_dictionary_that_grows_too_large_falls_back_to_plain() {
    let values = (0..60_000).map(|n| format!("{:036}", n / 2));
    let (schema, batch) = one(strings(values), true);
    let starts = (0..60_000).step_by(7_000);
    let batches = starts.map(|first| batch.slice(first, 7_000.min(60_000 - first)));
    let groups = vec![batches.collect(), vec![batch.slice(100, 30)]];
    for compression in all_compressions() {
        let properties = WriterProperties::builder().set_compression(compression);
        compare(
            &format!("outgrown, {compression}"),
            &schema,
            &groups,
            properties,
        );
    }
    let metadata = compare("outgrown", &schema, &groups, WriterProperties::builder());
    let chunk = metadata.row_group(0).column(0);
    let of_data_pages = chunk.page_encoding_stats_mask().unwrap();
    assert!(
        of_data_pages.is_set(Encoding::PLAIN) && of_data_pages.is_set(Encoding::RLE_DICTIONARY)
    );
    assert!(pages(&metadata)[0] > 3);
}

/// Indices of 16 bits suffice only for the first 65,536 values of a dictionary.
#[test]
fn dictionaries_may_have_many_values() {
    let values = (0..90_000).map(|n| format!("{:x}", n / 90 * 90 + (n * 7) % 90));
    let (schema, batch) = one(strings(values), false);
    let batches = (0..90_000)
        .step_by(9_000)
        .map(|first| batch.slice(first, 9_000));
    let groups = vec![batches.collect()];
    let metadata = compare("many", &schema, &groups, WriterProperties::builder());
    let of_data_pages = metadata.row_group(0).column(0).page_encoding_stats_mask();
    assert!(of_data_pages.unwrap().is_only(Encoding::RLE_DICTIONARY));
}

#[test]
fn long_values_end_a_page_each() {
    let long = |n: usize| {
        (!n.is_multiple_of(3)).then(|| "long ".repeat(14_000 * (n % 3)) + &n.to_string())
    };
    let (schema, batch) = one((0..30).map(long).collect(), true);
    let small = WriterProperties::builder().set_data_page_size_limit(60_000);
    for dictionary in [true, false] {
        let properties = small.clone().set_dictionary_enabled(dictionary);
        let metadata = compare("long", &schema, &vec![vec![batch.clone()]], properties);
        assert_eq!(pages(&metadata)[0] > 10, !dictionary);
    }
    let properties = small.set_dictionary_page_size_limit(200_000);
    compare("long, outgrown", &schema, &vec![vec![batch]], properties);
}

#[test]
fn pages_end_after_their_rows_across_batches_and_row_groups() {
    let (schema, batch) = one(strings((0..5000).map(|n| format!("v{}", n % 90))), true);
    let nulls = (0..5000).map(|n| (n % 11 > 0).then(|| format!("v{}", n % 90)));
    let (_, with_nulls) = one(nulls.collect(), true);
    for (step, limit) in [(1, 3), (130, 100), (999, 1000), (5000, 1200)] {
        for batch in [&batch, &with_nulls] {
            let starts = (0..5000).step_by(step);
            let batches: Vec<_> = starts.map(|n| batch.slice(n, step.min(5000 - n))).collect();
            let halves = batches.split_at(batches.len() / 2);
            let groups = [halves.0, halves.1].map(<[RecordBatch]>::to_vec);
            let properties = WriterProperties::builder()
                .set_data_page_row_count_limit(limit)
                .set_write_batch_size(64);
            let groups = groups
                .into_iter()
                .filter(|group| !group.is_empty())
                .collect();
            compare(&format!("{step}, {limit}"), &schema, &groups, properties);
        }
    }
}

#[test]
fn no_rows_are_no_row_group() {
    let (schema, batch) = one(StringArray::new_null(0), true);
    let metadata = compare("none", &schema, &vec![], WriterProperties::builder());
    assert_eq!(metadata.num_row_groups(), 0);
    let metadata = compare(
        "empty",
        &schema,
        &vec![vec![batch]],
        WriterProperties::builder(),
    );
    assert_eq!(metadata.num_row_groups(), 0);
}

#[test]
fn long_text_is_truncated_in_statistics() {
    let text = [
        "é".repeat(50),
        "日本".repeat(30),
        "a".repeat(63) + "é",
        "\u{10ffff}".repeat(20),
    ];
    let values = (0..400).map(|n| format!("{}{n}", text[n / 100]));
    let (schema, batch) = one(strings(values), false);
    for statistics in [
        EnabledStatistics::None,
        EnabledStatistics::Chunk,
        EnabledStatistics::Page,
    ] {
        for max_len in [None, Some(1), Some(2), Some(63), Some(64), Some(65)] {
            let properties = WriterProperties::builder()
                .set_statistics_enabled(statistics)
                .set_write_page_header_statistics(true)
                .set_statistics_truncate_length(max_len)
                .set_column_index_truncate_length(max_len)
                .set_data_page_row_count_limit(100)
                .set_write_batch_size(100);
            let name = format!("{statistics:?}, {max_len:?}");
            let metadata = compare(&name, &schema, &vec![vec![batch.clone()]], properties);
            let with_statistics = metadata.row_group(0).column(0).statistics().is_some();
            assert_eq!(with_statistics, statistics != EnabledStatistics::None);
        }
    }
}

/// Properties that this encoder does not support are left to parquet-rs.
#[test]
fn unsupported_properties_are_left_to_parquet_rs() {
    let (schema, batch) = one(strings((0..50).map(|n| n.to_string())), true);
    let builder = WriterProperties::builder;
    let cases = [
        builder().set_writer_version(WriterVersion::PARQUET_2_0),
        builder().set_bloom_filter_enabled(true),
        builder().set_encoding(Encoding::DELTA_BYTE_ARRAY),
        builder().set_dictionary_page_size_limit(1 << 31),
    ];
    let groups = vec![vec![batch]];
    for case in cases {
        let properties = case.build();
        let (ours, is_string) = ours(&schema, &groups, &properties);
        assert_eq!(is_string, [false]);
        assert_eq!(ours, theirs(&schema, &groups, &properties));
    }
}
