//! Compares the text with that of `arrow::json`, which is the oracle.

mod random_arrays;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::json::writer::{LineDelimited, WriterBuilder};

use self::random_arrays::ArrayGenerator;
use crate::codec::json::{LineWriter, OutputText};

fn theirs(batch: &RecordBatch) -> String {
    let mut bytes = Vec::new();
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(false)
        .build::<_, LineDelimited>(&mut bytes);
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    String::from_utf8(bytes).unwrap()
}

fn ours(lines: &LineWriter, batch: &RecordBatch) -> String {
    let mut text = OutputText::default();
    let mut line_ends = Vec::new();
    lines
        .write(batch, &mut text, |text| line_ends.push(text.len()))
        .unwrap();
    assert_eq!(line_ends.len(), batch.num_rows());
    assert_eq!(line_ends.last().copied().unwrap_or(0), text.len());
    let text = String::from_utf8(text.into_bytes()).unwrap();
    assert!(line_ends.iter().all(|end| text[..*end].ends_with('\n')));
    text
}

fn check(batch: &RecordBatch, seed: u64) {
    let lines = LineWriter::new(batch.schema_ref().fields());
    let theirs = theirs(batch);
    if theirs.contains("\"ERROR: ") {
        let mut text = OutputText::default();
        let written = lines.write(batch, &mut text, |_| ());
        assert!(written.is_err(), "seed {seed}");
        return;
    }
    let ours = ours(&lines, batch);
    if ours != theirs {
        let mut both = ours.lines().zip(theirs.lines());
        let differing = both.find(|(ours, theirs)| ours != theirs);
        panic!("seed {seed}: {differing:#?}\n{:#?}", batch.schema());
    }
}

#[test]
fn random_batches_are_spelled_as_by_arrow() {
    let mut types = BTreeSet::new();
    for seed in 0..1500 {
        let mut generator = ArrayGenerator::new(seed);
        let rows = generator.below(40);
        let columns: Vec<(String, ArrayRef)> = (0..generator.below(6) + 1)
            .map(|column| (format!("c{column}"), generator.array(3, rows)))
            .collect();
        types.extend(columns.iter().map(|(_, array)| {
            let name = array.data_type().to_string();
            name.split('(').next().unwrap_or_default().to_owned()
        }));
        check(&RecordBatch::try_from_iter(columns).unwrap(), seed);
    }
    assert!(types.len() >= 20, "{types:?}");
}

/// The search for escapes runs ahead over many strings: here they are long, many, and every byte
/// stands at every offset.
#[test]
fn every_byte_at_every_offset_is_spelled_as_by_arrow() {
    for distance in [1, 31, 63, 64, 65, 4095, 4096, 5000] {
        let strings = (0_u8..128).map(|byte| {
            let plain = "é".repeat(distance / 2);
            format!("{plain}{}{plain}", char::from(byte))
        });
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(strings));
        let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
        check(&batch, distance as u64);
    }
}

#[test]
fn one_writer_takes_many_batches() {
    let batch = |numbers: Vec<Option<i32>>| {
        let column: ArrayRef = Arc::new(Int32Array::from(numbers));
        RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
    };
    let lines = LineWriter::new(batch(vec![]).schema_ref().fields());
    for numbers in [
        vec![],
        vec![None],
        vec![Some(1), None],
        vec![Some(-7); 5000],
    ] {
        let batch = batch(numbers);
        assert_eq!(ours(&lines, &batch), theirs(&batch));
    }
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let one = RecordBatch::try_from_iter([("a", Arc::clone(&column))]).unwrap();
    let two = RecordBatch::try_from_iter([("a", Arc::clone(&column)), ("b", column)]).unwrap();
    let lines = LineWriter::new(one.schema_ref().fields());
    let mut text = OutputText::default();
    assert!(lines.write(&two, &mut text, |_| ()).is_err());
    assert_eq!(text.len(), 0);
}
