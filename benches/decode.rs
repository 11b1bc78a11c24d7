//! Measures the decoder of JSON lines, in bytes of text: `cargo bench --bench decode`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails by panicking"
)]

use std::fmt::Write;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use dayport::jsonl::{CHUNK_BYTES, Chunk, LeafRules, LineChunk, LineDecoder, LineSplitter};
use divan::Bencher;
use divan::counter::BytesCount;
use fastrand::Rng;

const ROWS: usize = 8192;

const SEED: u64 = 0x2026_0115;

fn main() {
    let text = text(0);
    println!("{ROWS} rows, {} bytes each", text.len() / ROWS);
    divan::main();
}

fn object(fields: Vec<Field>) -> DataType {
    DataType::Struct(fields.into())
}

fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", element, true)))
}

/// Returns the schema of web events; most of the objects in `properties` are absent in a row.
fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8View, true);
    let of = |name: &str, data_type| Field::new(name, data_type, true);
    let texts = |names: &[&str]| object(names.iter().map(|name| text(name)).collect());
    let time = |unit| DataType::Timestamp(unit, Some("+00:00".into()));
    let engagement = object(vec![
        of("engaged_time", DataType::Int64),
        of("completion", DataType::Float64),
    ]);
    let slot = object(vec![
        text("slot_id"),
        of("width", DataType::Int32),
        of("viewable_ms", DataType::Int64),
    ]);
    let article = object(vec![
        text("id"),
        of("categories", list(DataType::Utf8View)),
        of("authors", list(DataType::Utf8View)),
    ]);
    let client = texts(&["url", "domain", "title", "referrer", "user_agent", "type"]);
    let properties = object(vec![
        of("client", client),
        of("geo_info", texts(&["country", "city", "continent"])),
        of(
            "isp_info",
            texts(&["isp", "organization", "autonomous_system_organization"]),
        ),
        of("article", article),
        of("engagement", engagement),
        of("slot", slot),
        of("form", texts(&["id", "kind", "target"])),
    ]);
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Utf8View, false),
        text("organization_id"),
        text("workspace_id"),
        text("user_id"),
        text("session_id"),
        text("view_id"),
        Field::new("name", DataType::Utf8View, false),
        Field::new("time", time(TimeUnit::Millisecond), false),
        Field::new("received_at", time(TimeUnit::Microsecond), false),
        of("segments", list(DataType::Int32)),
        of("properties", properties),
    ]))
}

/// Returns the projection of a typical table of page views, one flag per leaf.
fn projected_leaves() -> Vec<bool> {
    let used = [0, 3, 6, 7, 8, 10, 11];
    (0..32).map(|leaf| used.contains(&leaf)).collect()
}

/// Returns the lines of [`ROWS`] events, with `bad` malformed lines per hundred between them.
fn text(bad: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(SEED);
    let mut text = String::new();
    for row in 0..ROWS {
        if row % 100 < bad {
            text.push_str("{\"event_id\":7,\"name\":\"no row\"}\n");
        }
        text.push('{');
        for key in [
            "event_id",
            "organization_id",
            "workspace_id",
            "user_id",
            "session_id",
            "view_id",
        ] {
            let (high, low) = (random.u64(..), random.u64(..));
            let (a, b, c) = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFF);
            let (d, e) = (low >> 48, low & 0xFFFF_FFFF_FFFF);
            let _ = write!(
                text,
                "\"{key}\":\"{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}\","
            );
        }
        let (minute, second) = (random.u32(..60), random.u32(..60));
        let _ = write!(
            text,
            "\"name\":\"Pageview\",\"time\":\"2026-01-15T08:{minute:02}:{second:02}.{:03}Z\",\
             \"received_at\":\"2026-01-15T09:{minute:02}:{second:02}.{:06}Z\",\"segments\":[{}",
            random.u32(..1000),
            random.u32(..1_000_000),
            random.u32(..5000)
        );
        for _ in 0..random.u32(..20) {
            let _ = write!(text, ",{}", random.u32(..5000));
        }
        let _ = write!(
            text,
            "],\"properties\":{{\"client\":{{\"url\":\"https://sport.example.org/election/2026/01/\
             audience-science-league-climate-{:08x}\",\"domain\":\"sport.example.org\",\
             \"title\":\"L’été à Besançon, {}\",\"referrer\":\"https://news.example.net/travel-storm\",\
             \"user_agent\":\"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 \
             Firefox/125.0\",\"type\":\"web\"}},\"geo_info\":{{\"country\":\"FR\",\"city\":\"Besançon\",\
             \"continent\":\"Europe\"}},\"isp_info\":{{\"isp\":\"Recipe Telecom\",\
             \"organization\":\"Recipe Telecom Ltd\",\
             \"autonomous_system_organization\":\"AS-RECIPE-TELECOM\"}},\
             \"article\":{{\"id\":\"{:016x}\",\"categories\":[\"election\",\"recipe\",\"energy\"],\
             \"authors\":[\"Economy Final\"]}}",
            random.u32(..),
            random.u32(..1000),
            random.u64(..)
        );
        if row % 2 == 0 {
            let completion = f64::from(random.u32(..10_000)) / 10_000.0;
            let _ = write!(
                text,
                ",\"engagement\":{{\"engaged_time\":{},\"completion\":{completion}}}",
                random.u32(..600_000)
            );
        }
        text.push_str("}}\n");
    }
    text.into_bytes()
}

#[divan::bench]
fn arrow_json(bencher: Bencher<'_, '_>) {
    let (schema, text) = (schema(), text(0));
    let bencher = bencher.counter(BytesCount::of_slice(&text));
    bencher.bench(|| {
        let builder = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(ROWS);
        let rows = builder.build(text.as_slice()).expect("a reader");
        rows.map(|rows| rows.expect("rows").num_rows())
            .sum::<usize>()
    });
}

/// Decodes text with this number of malformed lines per hundred rows.
#[divan::bench(args = [0, 1])]
fn ours(bencher: Bencher<'_, '_>, bad: usize) {
    measure(bencher, bad, None);
}

#[divan::bench]
fn ours_few_leaves(bencher: Bencher<'_, '_>) {
    measure(bencher, 0, Some(projected_leaves()));
}

fn measure(bencher: Bencher<'_, '_>, bad: usize, leaves: Option<Vec<bool>>) {
    let (schema, text) = (schema(), text(bad));
    let chunks = chunks(&text);
    let bencher = bencher.counter(BytesCount::of_slice(&text));
    bencher.bench(|| {
        let mut decoder = LineDecoder::new(
            Arc::clone(&schema),
            ROWS,
            leaves.as_deref(),
            &LeafRules::default(),
        )
        .expect("a decoder");
        let rows: usize = chunks
            .iter()
            .flat_map(|chunk| decoder.decode(chunk).expect("rows").batches)
            .map(|batch| batch.num_rows())
            .sum();
        assert_eq!(rows, ROWS);
    });
}

/// Splits text into chunks of lines, as a scan does.
fn chunks(text: &[u8]) -> Vec<LineChunk> {
    let mut splitter = LineSplitter::new(text, CHUNK_BYTES);
    let next_chunk = || splitter.next_chunk().expect("lines");
    let chunks = std::iter::from_fn(next_chunk).map(|chunk| match chunk {
        Chunk::Lines(lines) => lines,
        Chunk::OversizedLine { line, .. } => panic!("line {line} is too long"),
        Chunk::BadRecord(bad) => panic!("record {} is malformed", bad.record),
    });
    chunks.collect()
}
