//! The decoder compared with strict JSON and arrow-json, on random lines.

mod numeric_times;
mod random;
mod time_texts;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use fastrand::Rng;

use self::random::{LineGenerator, mutated};
use crate::jsonl::chunk::{CHUNK_BYTES, Chunk, LineChunk};
use crate::jsonl::decode::LineDecoder;
use crate::jsonl::fast::FastDecoder;
use crate::jsonl::leaf_mask::LeafMask;
use crate::jsonl::leaf_rule::LeafRules;
use crate::jsonl::line_splitter::LineSplitter;
use crate::jsonl::reference::ReferenceDecoder;
use crate::jsonl::strict::write_canonical;

fn list(element: DataType, nullable: bool) -> DataType {
    DataType::List(Arc::new(Field::new("item", element, nullable)))
}

fn object(fields: Vec<Field>) -> DataType {
    DataType::Struct(fields.into())
}

/// Returns a schema of every type that the fast decoder supports.
fn schema() -> SchemaRef {
    use DataType::{
        Boolean, Date32, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, Timestamp, UInt8,
        UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    let utc = || Some("+00:00".into());
    let maybe = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let must = |name: &str, data_type: DataType| Field::new(name, data_type, false);
    let inner = object(vec![
        must("must", Utf8View),
        maybe("n", Int64),
        maybe(
            "deep",
            object(vec![must("a", Utf8), must("empty", object(vec![]))]),
        ),
    ]);
    let event = object(vec![
        maybe("kind", Utf8View),
        must("at", Timestamp(TimeUnit::Millisecond, utc())),
        maybe("tags", list(Utf8, true)),
        maybe("inner", inner.clone()),
    ]);
    let large = DataType::LargeList(Arc::new(Field::new("item", UInt8, false)));
    Arc::new(Schema::new(vec![
        must("id", Utf8View),
        maybe("utf8", Utf8),
        maybe("large_utf8", LargeUtf8),
        maybe("i8", Int8),
        maybe("i16", Int16),
        maybe("i32", Int32),
        must("i64", Int64),
        maybe("u8", UInt8),
        maybe("u16", UInt16),
        maybe("u32", UInt32),
        maybe("u64", UInt64),
        maybe("f32", Float32),
        maybe("f64", Float64),
        maybe("is_so", Boolean),
        maybe("day", Date32),
        maybe("s", Timestamp(TimeUnit::Second, None)),
        maybe("milliseconds", Timestamp(TimeUnit::Millisecond, utc())),
        maybe(
            "microseconds_in_a_zone",
            Timestamp(TimeUnit::Microsecond, Some("+02:00".into())),
        ),
        maybe(
            "nanoseconds_with_a_name_of_more_than_32_bytes",
            Timestamp(TimeUnit::Nanosecond, None),
        ),
        maybe("numbers", list(Int32, true)),
        must("words", list(Utf8View, false)),
        maybe("matrix", list(list(Float64, true), true)),
        maybe("bytes", large),
        maybe("é", Boolean),
        maybe("inner", inner.clone()),
        must(
            "always",
            object(vec![maybe("inner", inner), maybe("flag", Boolean)]),
        ),
        maybe("events", list(event.clone(), true)),
        maybe("events_without_null", list(event, false)),
    ]))
}

/// Returns the row of a line, if it is strict JSON and arrow-json accepts its canonical form.
fn by_arrow(schema: &SchemaRef, line: &[u8]) -> Option<RecordBatch> {
    let mut text = Vec::new();
    write_canonical(line, schema, &LeafRules::default(), &mut text).ok()?;
    // An independent parser of RFC 8259 agrees.
    serde_json::from_slice::<serde::de::IgnoredAny>(line).unwrap();
    let builder = ReaderBuilder::new(Arc::clone(schema)).with_batch_size(2);
    let mut decoder = builder.build_decoder().unwrap();
    let read = decoder.decode(&text).ok()?;
    if read < text.len() || decoder.has_partial_record() || decoder.len() != 1 {
        return None;
    }
    decoder.flush().ok()?
}

/// Creates a decoder without declared units of time.
fn line_decoder(
    schema: SchemaRef,
    size: usize,
    leaves: Option<&[bool]>,
) -> Result<LineDecoder, ArrowError> {
    LineDecoder::new(schema, size, leaves, &LeafRules::default())
}

fn chunk(lines: &[Vec<u8>]) -> LineChunk {
    let text = lines.join(&b'\n');
    let mut splitter = LineSplitter::new(text.as_slice(), CHUNK_BYTES);
    match splitter.next_chunk().unwrap() {
        Some(Chunk::Lines(chunk)) => chunk,
        _ => panic!("no chunk"),
    }
}

/// Decodes `lines`, compares rows and bad lines with those of arrow-json, and returns the number of
/// rows.
fn compare(schema: &SchemaRef, lines: &[Vec<u8>]) -> usize {
    let mut fast = FastDecoder::new(schema, &LeafMask::All, &LeafRules::default())
        .expect("types that are known");
    let (mut rows, mut bad) = (Vec::new(), BTreeSet::new());
    for (n, line) in lines.iter().enumerate() {
        let text = String::from_utf8_lossy(line);
        let expected = by_arrow(schema, line);
        if fast.read(line) {
            assert_eq!(Some(fast.finish().unwrap()), expected, "{text}");
        }
        match expected {
            Some(row) => rows.push(row),
            None if line.trim_ascii().is_empty() => {}
            None => drop(bad.insert(n as u64 + 1)),
        }
    }
    let expected = concat_batches(schema, &rows).unwrap();
    for size in [3, 1000] {
        let mut decoder = line_decoder(Arc::clone(schema), size, None).unwrap();
        let decoded = decoder.decode(&chunk(lines)).unwrap();
        assert!(
            decoded
                .batches
                .iter()
                .all(|batch| (1..=size).contains(&batch.num_rows()))
        );
        let bad_lines: Vec<u64> = decoded.bad.iter().map(|bad| bad.line).collect();
        assert_eq!(bad_lines, bad.iter().copied().collect::<Vec<_>>());
        assert!(decoded.bad.iter().all(|bad| !bad.reason.is_empty()));
        let actual = concat_batches(schema, &decoded.batches).unwrap();
        assert_eq!(actual, expected);
    }
    rows.len()
}

fn usual_lines(random: &mut Rng, schema: &SchemaRef, count: usize) -> Vec<Vec<u8>> {
    let mut generator = LineGenerator {
        random,
        is_regular: true,
    };
    let lines = std::iter::repeat_with(|| generator.line(schema.fields()).into_bytes());
    lines.take(count).collect()
}

#[test]
fn lines_of_the_usual_form_never_reach_the_reference_decoder() {
    let (schema, mut random) = (schema(), Rng::with_seed(1));
    let lines = usual_lines(&mut random, &schema, 1000);
    let mut fast = FastDecoder::new(&schema, &LeafMask::All, &LeafRules::default())
        .expect("types that are known");
    for line in &lines {
        assert!(fast.read(line), "{}", String::from_utf8_lossy(line));
    }
    for lines in lines.chunks(100) {
        assert_eq!(compare(&schema, lines), lines.len());
    }
    let mut decoder = line_decoder(schema, 1000, None).unwrap();
    let batches = decoder.decode_strictly(&chunk(&lines)).unwrap();
    assert_eq!(
        batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
        1000
    );
    assert_eq!(decoder.unusual_lines(), 0);
    let odd = b"{\"id\":\"a\",}".to_vec();
    assert!(decoder.decode_strictly(&chunk(&[odd])).is_err());
    assert_eq!(decoder.unusual_lines(), 1);
}

#[test]
fn unusual_lines_are_what_arrow_json_says() {
    let (schema, mut random) = (schema(), Rng::with_seed(2));
    let mut rows = 0;
    for _ in 0..60 {
        let mut generator = LineGenerator {
            random: &mut random,
            is_regular: false,
        };
        let lines = std::iter::repeat_with(|| generator.line(schema.fields()).into_bytes());
        let lines: Vec<Vec<u8>> = lines.take(100).collect();
        rows += compare(&schema, &lines);
    }
    assert!((600..5400).contains(&rows), "{rows} of 6000 are rows");
}

#[test]
fn damaged_lines_are_what_arrow_json_says() {
    let (schema, mut random) = (schema(), Rng::with_seed(3));
    let mut rows = 0;
    for _ in 0..80 {
        let mut lines = Vec::new();
        for line in usual_lines(&mut random, &schema, 100) {
            let line = String::from_utf8(line).unwrap();
            lines.push(mutated(&mut random, &line));
            if random.usize(..3) == 0 {
                lines.push(line.into_bytes());
            }
        }
        rows += compare(&schema, &lines);
    }
    assert!(
        (3000..9000).contains(&rows),
        "{rows} of about 10700 are rows"
    );
}

/// Short lines, so that each part of the grammar is hit often.
#[test]
fn damaged_small_lines_are_what_arrow_json_says() {
    let fields = [
        Field::new("a", DataType::Utf8View, true),
        Field::new("b", list(DataType::Int8, true), true),
        Field::new("f", DataType::Float64, true),
        Field::new(
            "o",
            object(vec![Field::new("x", DataType::Boolean, false)]),
            true,
        ),
    ];
    let mut random = Rng::with_seed(4);
    for field in &fields {
        let schema: SchemaRef = Arc::new(Schema::new(vec![field.clone()]));
        for _ in 0..20 {
            let lines = usual_lines(&mut random, &schema, 150);
            let lines = lines.into_iter().map(|line| {
                let line = String::from_utf8(line).unwrap();
                mutated(&mut random, &line)
            });
            compare(&schema, &lines.collect::<Vec<_>>());
        }
    }
}

/// Returns a schema with the leaves of an object, of objects in a list, and of lists.
fn small_schema() -> SchemaRef {
    let member = |nullable| {
        object(vec![
            Field::new("a", DataType::Utf8View, true),
            Field::new("b", DataType::Int32, nullable),
        ])
    };
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("o", member(true), true),
        Field::new("l", list(member(false), true), true),
        Field::new("n", list(DataType::Int32, true), true),
    ]))
}

fn decoded(schema: &SchemaRef, leaves: &[bool], line: &str) -> RecordBatch {
    let mut decoder = line_decoder(Arc::clone(schema), 9, Some(leaves)).unwrap();
    let batches = decoder.decode_strictly(&chunk(&[line.as_bytes().to_vec()]));
    batches.unwrap().pop().unwrap()
}

#[test]
fn leaves_that_are_not_selected_are_null() {
    let schema = small_schema();
    let line = r#"{"id":"x","o":{"a":"y","b":1},"l":[{"a":"z","b":2},null],"n":[3]}"#;
    // Required leaves are there whatever the flags say.
    for (leaves, same) in [
        ([true; 6], line),
        ([false; 6], r#"{"id":"x","l":[{"b":2},null]}"#),
        (
            [false, true, false, true, false, false],
            r#"{"id":"x","o":{"a":"y"},"l":[{"a":"z","b":2},null]}"#,
        ),
        (
            [true, false, true, false, true, true],
            r#"{"id":"x","o":{"b":1},"l":[{"b":2},null],"n":[3]}"#,
        ),
    ] {
        let expected = by_arrow(&schema, same.as_bytes()).unwrap();
        assert_eq!(decoded(&schema, &leaves, line), expected, "{leaves:?}");
        // An escaped key is for the reference decoder, which must leave out the same.
        let odd = line.replace("\"id\"", r#""\u0069d""#);
        assert_eq!(decoded(&schema, &leaves, &odd), expected, "{leaves:?}");
    }
    for wrong in [
        r#"{"id":"x","n":["#,
        r#"{"id":"x","n":[01x]}"#,
        r#"{"id":"x","o":[}"#,
        r#"{"id":"x","l":{}}"#,
        r#"{"n":[1]}"#,
    ] {
        let mut decoder = line_decoder(Arc::clone(&schema), 9, Some(&[false; 6])).unwrap();
        let text = chunk(&[wrong.as_bytes().to_vec()]);
        assert!(decoder.decode_strictly(&text).is_err(), "{wrong}");
    }
    // The values have other types than the schema says, but are not selected.
    let no_row = by_arrow(&schema, br#"{"id":"x"}"#).unwrap();
    for unread in [
        r#"{"id":"x","o":{"a":7},"n":"none"}"#,
        r#"{"id":"x","o":[{}],"n":{}}"#,
        r#"{"\u0069d":"x","o":7}"#,
    ] {
        assert_eq!(decoded(&schema, &[false; 6], unread), no_row, "{unread}");
    }
    let only_a = [false, true, false, false, false, false];
    let unread = decoded(&schema, &only_a, r#"{"id":"x","o":{"a":"y","b":[]}}"#);
    let expected = by_arrow(&schema, br#"{"id":"x","o":{"a":"y"}}"#).unwrap();
    assert_eq!(unread, expected);
    assert!(line_decoder(schema, 9, Some(&[true; 5])).is_err());
}

#[test]
fn both_decoders_mask_the_same_leaves() {
    let (schema, mut random) = (schema(), Rng::with_seed(5));
    let all = (0..).find(|n| LeafMask::new(&schema, &vec![true; *n]).is_ok());
    for _ in 0..20 {
        let leaves: Vec<bool> = (0..all.unwrap()).map(|_| random.usize(..3) == 0).collect();
        let mask = LeafMask::new(&schema, &leaves).unwrap();
        let mut reference =
            ReferenceDecoder::new(Arc::clone(&schema), mask.clone(), &LeafRules::default())
                .unwrap();
        let lines = chunk(&usual_lines(&mut random, &schema, 60));
        let expected = reference
            .decode(&lines.lines().collect::<Vec<_>>())
            .unwrap();
        assert_eq!(expected.bad, []);
        let mut decoder = line_decoder(Arc::clone(&schema), 60, Some(&leaves)).unwrap();
        let actual = decoder.decode_strictly(&lines).unwrap();
        assert_eq!(decoder.unusual_lines(), 0);
        assert_eq!(
            actual,
            [concat_batches(&schema, &expected.batches).unwrap()]
        );
        // Masking batches that were decoded in full gives the same rows.
        let mut full_decoder = line_decoder(Arc::clone(&schema), 60, None).unwrap();
        let full = full_decoder.decode_strictly(&lines).unwrap();
        let masked = full.into_iter().map(|batch| {
            let pruned = mask.prune(&batch).unwrap();
            assert_eq!(pruned.schema(), mask.prune_schema(&schema));
            mask.restore(&schema, pruned).unwrap()
        });
        assert_eq!(masked.collect::<Vec<_>>(), actual);
    }
}

#[test]
fn a_type_that_only_arrow_json_knows_is_read_by_it() {
    let decimal = Field::new("d", DataType::Decimal128(10, 2), true);
    let schema: SchemaRef = Arc::new(Schema::new(vec![decimal]));
    let mut decoder = line_decoder(Arc::clone(&schema), 9, None).unwrap();
    let batches = decoder
        .decode_strictly(&chunk(&[b"{\"d\":1.25}".to_vec()]))
        .unwrap();
    assert_eq!(batches, [by_arrow(&schema, b"{\"d\":1.25}").unwrap()]);
    assert_eq!(decoder.unusual_lines(), 1);
}

/// No parser of nested values overflows the stack.
#[test]
fn values_nested_without_end_are_bad_lines() {
    let schema = small_schema();
    let line = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let mut decoder = line_decoder(schema, 9, None).unwrap();
    let bad = decoder
        .decode_strictly(&chunk(&[line.into_bytes()]))
        .unwrap_err();
    assert_eq!(bad.reason, "values are nested more than 1000 levels deep");
}

/// arrow-json makes U+10000 of it.
#[test]
fn escaped_characters_beyond_the_first_planes_are_right() {
    let schema = small_schema();
    let text = r#"{"id":"a𠀀😀\\ud840"}"#;
    let expected = by_arrow(&schema, text.as_bytes()).unwrap();
    let line = r#"{"id":"a\uD840\udc00\ud83d\uDE00\\ud840"}"#;
    for line in [line.to_owned(), line.replace("\"id\"", r#""\u0069d""#)] {
        assert_eq!(decoded(&schema, &[true; 6], &line), expected, "{line}");
    }
}

/// A string has to escape control characters, wherever they are in it, whether it is read or not.
#[test]
fn control_characters_in_strings_are_bad_lines() {
    let schema = small_schema();
    for length in [0, 5, 15, 16, 17, 63, 64, 65, 200] {
        for after in ["", "b", "a text of more than one block of bytes"] {
            let text = |byte: u8| format!("{}{}{after}", "a".repeat(length), char::from(byte));
            for byte in [0, 1, b'\t', b'\r', 0x1f] {
                let wrong = text(byte);
                for line in [
                    format!("{{\"id\":\"{wrong}\"}}"),
                    format!("{{\"id\":\"k\",\"x\":\"{wrong}\"}}"),
                    format!("{{\"id\":\"k\",\"{wrong}\":1}}"),
                ] {
                    let mut decoder = line_decoder(Arc::clone(&schema), 9, None).unwrap();
                    let lines = chunk(&[line.clone().into_bytes()]);
                    assert!(decoder.decode_strictly(&lines).is_err(), "{line:?}");
                }
            }
            let line = format!("{{\"id\":\"{}\",\"x\":\"{}\"}}", text(0x7f), text(b' '));
            let mut decoder = line_decoder(Arc::clone(&schema), 9, None).unwrap();
            let lines = chunk(&[line.clone().into_bytes()]);
            assert!(decoder.decode_strictly(&lines).is_ok(), "{line:?}");
            assert_eq!(decoder.unusual_lines(), 0, "{line:?}");
        }
    }
}

#[test]
fn the_last_value_of_a_duplicate_key_counts() {
    let schema = small_schema();
    let line = r#"{"id":"x","o":{"a":"1","a":"2"},"id":"y"}"#;
    let expected = by_arrow(&schema, br#"{"id":"y","o":{"a":"2"}}"#).unwrap();
    assert_eq!(decoded(&schema, &[true; 6], line), expected);
}
