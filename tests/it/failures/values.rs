//! Values that must not be published: from Parquet files, and those that no format can hold.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::{one_day_published, without_effect};
use crate::support::{Sandbox, TestDestination};

/// Declares the source `readings` with a column `v`, and the table of the same name that reads it.
fn declare(sandbox: &Sandbox, declared: &str, v: ArrayRef) {
    let source = format!(
        "CREATE EXTERNAL TABLE readings (id BIGINT, v {declared})
         STORED AS PARQUET LOCATION 'readings/'"
    );
    sandbox.write("sql/sources/readings.sql", source);
    sandbox.write(
        "sql/readings.sql",
        "COPY (SELECT id, v FROM readings) TO 'readings'",
    );
    write_file(sandbox, v, ArrowWriterOptions::new());
}

/// Writes the file of the source.
fn write_file(sandbox: &Sandbox, v: ArrayRef, options: ArrowWriterOptions) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..v.len() as i64));
    let columns = [("id", ids, true), ("v", v, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let mut file = Vec::new();
    let writer = ArrowWriter::try_new_with_options(&mut file, batch.schema(), options);
    let mut writer = writer.expect("a writer");
    writer.write(&batch).expect("write");
    writer.close().expect("close");
    sandbox.write("raw/readings/a.parquet", file);
}

/// Runs the table in both formats, and queries it as JSON. All must fail with these texts and publish
/// nothing.
fn refused_everywhere(sandbox: &Sandbox, texts: &[&str], hint: &str) {
    let run = |format| {
        let args = ["readings", "--date", "2026-01-15", "--format", format];
        without_effect(sandbox, || sandbox.run(&args))
    };
    let query = sandbox.query(&["SELECT id, v FROM readings", "--output", "json"]);
    for output in [run("json"), run("parquet"), query] {
        let mut output = output.exited_with(1).hint_has(hint);
        for text in texts {
            output = output.stderr_has(text);
        }
    }
}

#[test]
fn values_that_a_declared_type_does_not_have_name_file_row_and_column() {
    let sandbox = one_day_published(TestDestination::local());
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"ok"[..], b"\xff"]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MAX]));
    let place = "raw/readings/a.parquet` row 2: column `v` holds ";
    for (declared, v, what, hint) in [
        (
            "BIGINT",
            doubles,
            "a DOUBLE value that BIGINT cannot keep exactly",
            "DOUBLE",
        ),
        ("VARCHAR", bytes, "bytes that are not UTF-8", "BYTEA"),
        (
            "TIMESTAMP(6)",
            times,
            "a time outside the years 0001 to 9999",
            "unit",
        ),
    ] {
        declare(&sandbox, declared, v);
        refused_everywhere(&sandbox, &[&format!("{place}{what}")], hint);
    }
}

#[test]
fn nan_and_infinity_are_refused_in_both_formats_and_the_hint_helps() {
    let sandbox = one_day_published(TestDestination::local());
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        declare(
            &sandbox,
            "DOUBLE",
            Arc::new(Float64Array::from(vec![1.0, wrong])),
        );
        let problem = "column `v` has a number that is NaN or infinite";
        refused_everywhere(&sandbox, &[problem], "abs(x) < CAST('Infinity' AS DOUBLE)");
        let helped = "SELECT CASE WHEN abs(v) < CAST('Infinity' AS DOUBLE) THEN v END AS v \
                      FROM readings ORDER BY id";
        let output = sandbox.query(&[helped, "--output", "json"]).succeeded();
        assert_eq!(output.stdout, "{\"v\":1.0}\n{}\n");
    }
    // A number that the query computes.
    declare(&sandbox, "DOUBLE", Arc::new(Float64Array::from(vec![0.0])));
    sandbox.write(
        "sql/readings.sql",
        "COPY (SELECT id, ln(v) AS v FROM readings) TO 'readings'",
    );
    let run = || sandbox.run(&["readings", "--date", "2026-01-15"]);
    without_effect(&sandbox, run)
        .exited_with(1)
        .stderr_has("column `v` has a number that is NaN or infinite");
}

/// Returns the first files with one other bit in the footer on which the reader panics: one when it opens
/// the file, one when it reads it.
fn files_that_panic(file: &[u8]) -> [Vec<u8>; 2] {
    let end = file.len() - 8;
    let length: [u8; 4] = file[end..end + 4].try_into().expect("four bytes");
    let footer = end - usize::try_from(u32::from_le_bytes(length)).expect("a length");
    let flipped = |bit: usize| {
        let mut damaged = file.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        damaged
    };
    let opened = |damaged: &[u8]| {
        let bytes = Bytes::copy_from_slice(damaged);
        catch_unwind(|| ParquetRecordBatchReaderBuilder::try_new(bytes))
    };
    let reads = |damaged: &[u8]| {
        let Ok(Ok(builder)) = opened(damaged) else {
            return Ok(());
        };
        // After an error, the reader goes on with errors.
        catch_unwind(AssertUnwindSafe(|| {
            let batches = builder.build().into_iter().flatten();
            batches.take_while(Result::is_ok).for_each(drop);
        }))
    };
    // The row groups stand before the schema of Arrow, which is read when the file is opened.
    let schema = file.windows(12).rposition(|text| text == b"ARROW:schema");
    let schema = schema.expect("a schema of Arrow");
    let at_open = (schema * 8..end * 8)
        .map(flipped)
        .find(|damaged| opened(damaged).is_err());
    let at_read = (footer * 8..schema * 8)
        .map(flipped)
        .find(|damaged| reads(damaged).is_err());
    [at_open, at_read].map(|found| found.expect("a panic of the reader"))
}

#[test]
fn a_parquet_file_that_makes_the_reader_panic_is_named() {
    let sandbox = one_day_published(TestDestination::local());
    declare(&sandbox, "BIGINT", Arc::new(Int64Array::from(vec![1, 2])));
    let path = sandbox.folder().join("raw/readings/a.parquet");
    let to = sandbox.destination.url();
    let [at_open, at_read] = files_that_panic(&std::fs::read(path).expect("a file"));
    for damaged in [at_read, at_open] {
        sandbox.write("raw/readings/a.parquet", damaged);
        refused_everywhere(&sandbox, &["raw/readings/a.parquet`"], "damaged");
        let checked = sandbox.dayport(&["check", "--from", "raw", "--to", &to]);
        checked.exited_with(1).stdout_has("raw/readings/a.parquet");
    }
}

#[test]
fn a_damaged_parquet_file_is_named() {
    let sandbox = one_day_published(TestDestination::local());
    declare(&sandbox, "BIGINT", Arc::new(Int64Array::from(vec![1, 2])));
    sandbox.write("raw/readings/a.parquet", "not Parquet at all");
    refused_everywhere(
        &sandbox,
        &["raw/readings/a.parquet` cannot be read as Parquet"],
        "damaged",
    );
}

/// The schema of Arrow in the footer says how columns are read; the rest of the file is intact.
#[test]
fn a_damaged_arrow_schema_fails_the_run_and_its_plan() {
    let sandbox = one_day_published(TestDestination::local());
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    declare(&sandbox, "BIGINT", Arc::clone(&values));
    let to = sandbox.destination.url();
    let plan = || {
        let args = ["plan", "--from", "raw", "--to", &to];
        sandbox.dayport(&[&args[..], &["--date", "2026-01-15", "readings"]].concat())
    };
    plan().exited_with(0).stdout_has("publish");
    for schema in ["no base64!", "bm8gc2NoZW1h"] {
        let damaged = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), schema.to_owned());
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![damaged]));
        let options = ArrowWriterOptions::new()
            .with_skip_arrow_metadata(true)
            .with_properties(properties.build());
        write_file(&sandbox, Arc::clone(&values), options);
        let text = "raw/readings/a.parquet` cannot be read as Parquet";
        refused_everywhere(&sandbox, &[text], "damaged");
        plan()
            .exited_with(1)
            .stdout_has("would fail")
            .stderr_has(text)
            .hint_has("damaged");
    }
}
