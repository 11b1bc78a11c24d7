//! Measures the encoders, in bytes of JSON text: `cargo bench --bench encode`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails by panicking"
)]

mod common;

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use dayport::codec::deflate::{GzipLevel, GzipPool};
use dayport::codec::json::{LineWriter, OutputText};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The size of a block of a file, in bytes.
const BLOCK: usize = 1 << 20;

fn main() {
    let text = text_of(&common::events(2));
    let size_at = |level| {
        let gzip = GzipPool::new(GzipLevel::new(level).expect("a level"));
        let members = text.chunks(BLOCK).map(|block| gzip.compress(block));
        members.map(|member| member.expect("a member").len()).sum()
    };
    println!(
        "{} bytes of text, {} a row",
        text.len(),
        text.len() / (2 * common::ROWS)
    );
    let of_text = |size: usize| text.len() as f64 / size as f64;
    for level in 1..=7 {
        println!(
            "level {level}: {:.2} times smaller",
            of_text(size_at(level))
        );
    }
    println!(
        "zlib-rs 6: {:.2} times smaller",
        of_text(zlib(&text, 6).len())
    );
    divan::main();
}

fn text_of(batches: &[RecordBatch]) -> Vec<u8> {
    let lines = LineWriter::new(batches[0].schema_ref().fields());
    let mut text = OutputText::default();
    for batch in batches {
        lines.write(batch, &mut text, |_| ()).expect("text");
    }
    text.into_bytes()
}

fn zlib(text: &[u8], level: u32) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
    gzip.write_all(text).expect("written to memory");
    gzip.finish().expect("written to memory")
}

/// Encodes as a file does: the text is taken away when it has the size of a block.
#[divan::bench(args = [8192, 512, 40])]
fn text(bencher: Bencher, rows_a_batch: usize) {
    let whole = common::events(2);
    let bytes = text_of(&whole).len();
    let pieces: Vec<RecordBatch> = whole
        .iter()
        .flat_map(|batch| {
            let starts = (0..batch.num_rows()).step_by(rows_a_batch);
            starts.map(|start| batch.slice(start, rows_a_batch.min(batch.num_rows() - start)))
        })
        .collect();
    let lines = LineWriter::new(whole[0].schema_ref().fields());
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut text = OutputText::default();
        for batch in &pieces {
            let cut = |text: &mut OutputText| {
                if text.len() >= BLOCK {
                    let next = OutputText::with_capacity(BLOCK + (32 << 10));
                    black_box(std::mem::replace(text, next));
                }
            };
            lines.write(batch, &mut text, cut).expect("text");
        }
        text
    });
}

#[divan::bench]
fn text_by_arrow_json(bencher: Bencher) {
    let batches = common::events(2);
    let bytes = text_of(&batches).len();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(false)
            .build::<_, LineDelimited>(Vec::with_capacity(bytes));
        for batch in &batches {
            writer.write(batch).expect("text");
        }
        writer.into_inner()
    });
}

#[divan::bench(args = [1, 2, 3, 4, 5, 6, 7, 9])]
fn gzip(bencher: Bencher, level: u8) {
    let text = text_of(&common::events(1));
    let gzip = GzipPool::new(GzipLevel::new(level).expect("a level"));
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| {
            for block in text.chunks(BLOCK) {
                black_box(gzip.compress(block).expect("a member"));
            }
        });
}

#[divan::bench]
fn gzip_by_zlib_rs_6(bencher: Bencher) {
    let text = text_of(&common::events(1));
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| zlib(&text, 6));
}
