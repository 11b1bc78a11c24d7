//! The splitter of JSON documents: whatever the pieces are, and in memory as in a stream.

use bytes::Bytes;

use super::input::Input;
use crate::jsonl::{
    Chunk, Framing, InMemoryRecords, MAX_LINE_BYTES, RecordFault, RecordPath, RecordSplitter,
};

/// A record, or the reason why it is none, with its place.
#[derive(Debug, PartialEq)]
enum Part {
    Record(u64, u64, Vec<u8>),
    Bad(u64, u64, u64, RecordFault),
}

fn parts(text: &[u8], mut next: impl FnMut() -> Option<Chunk>) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(chunk) = next() {
        match chunk {
            Chunk::Lines(lines) => parts.extend(lines.lines().map(|line| {
                let at = usize::try_from(line.offset).unwrap();
                assert!(text[at..].starts_with(line.text));
                Part::Record(line.number, line.offset, line.text.to_vec())
            })),
            Chunk::BadRecord(bad) => {
                let at = usize::try_from(bad.offset).unwrap();
                assert!(text[at..].starts_with(&bad.head));
                parts.push(Part::Bad(bad.record, bad.offset, bad.length, bad.fault));
            }
            Chunk::OversizedLine { .. } => panic!("a line"),
        }
    }
    parts
}

pub(super) fn documents(data: &[u8]) {
    const PATHS: [&str; 5] = ["$", "$[*]", "$.Records[*]", "$.a.b[*]", "$['x y'][*]"];
    let mut input = Input::new(data);
    let written = input.one_of(&PATHS);
    let (first, second) = (1 + input.below(256), 1 + input.below(7));
    let text = input.rest();
    let framing = Framing::parse(written).unwrap();
    let path = framing.record_path(text).unwrap();
    let streamed = |chunk_bytes| {
        let mut splitter = RecordSplitter::new(text, path.clone(), chunk_bytes, MAX_LINE_BYTES);
        parts(text, || splitter.next_chunk().unwrap())
    };
    let in_memory = |path: &RecordPath, chunk_bytes| {
        let bytes = Bytes::copy_from_slice(text);
        let mut records = InMemoryRecords::new(bytes, path.clone(), chunk_bytes);
        parts(text, || records.next_chunk())
    };
    let whole = in_memory(&path, 1 << 20);
    assert_eq!(streamed(first), whole);
    assert_eq!(streamed(second), whole);
    assert_eq!(in_memory(&path, second), whole);
    check_against_serde(written, text, &whole);
}

/// Compares the records of a text that serde_json reads with its reading.
fn check_against_serde(written: &str, text: &[u8], parts: &[Part]) {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let documents = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>();
    let Ok(documents) = documents.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let mut expected = Vec::new();
    for document in documents {
        match (written, document) {
            ("$", object @ serde_json::Value::Object(_)) => expected.push(object),
            ("$[*]", serde_json::Value::Array(items)) => expected.extend(items),
            _ => return,
        }
    }
    let records: Vec<serde_json::Value> = parts
        .iter()
        .map(|part| match part {
            Part::Record(_, _, text) => serde_json::from_slice(text).unwrap(),
            Part::Bad(..) => panic!("{part:?}"),
        })
        .collect();
    assert_eq!(records, expected);
}
