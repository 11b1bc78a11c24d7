//! The splitter compared with serde_json, on random documents that are cut into pieces.

use std::io::{self, Read};

use bytes::Bytes;
use fastrand::Rng;
use serde::de::IgnoredAny;

use super::*;
use crate::jsonl::chunk::{BadRecord, CHUNK_BYTES, Chunk, MAX_LINE_BYTES, RecordFault};
use crate::jsonl::framing::{Framing, RecordPath};

/// A record as a splitter gives it, or the reason why it gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// The index, the offset and the text.
    Record(u64, u64, String),
    /// The index, the offset, the length and the fault.
    Bad(u64, u64, u64, RecordFault),
}

/// Returns a few bytes at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(3);
        self.0.read(&mut into[..length])
    }
}

fn path(path: &str) -> RecordPath {
    RecordPath::parse(path).unwrap()
}

fn parts_of(text: &[u8], mut next: impl FnMut() -> Option<Chunk>) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(chunk) = next() {
        match chunk {
            Chunk::Lines(lines) => {
                assert!(lines.is_records());
                let record = |line: crate::jsonl::Line<'_>| {
                    let at = usize::try_from(line.offset).unwrap();
                    assert!(text[at..].starts_with(line.text));
                    let record = String::from_utf8_lossy(line.text).into_owned();
                    Part::Record(line.number, line.offset, record)
                };
                parts.extend(lines.lines().map(record));
            }
            Chunk::BadRecord(BadRecord {
                record,
                offset,
                length,
                head,
                fault,
            }) => {
                let at = usize::try_from(offset).unwrap();
                assert!(text[at..].starts_with(&head), "{fault:?}");
                // Of a skipped record, the beginning that was in memory.
                let is_skipped = head.len() > 8 && head.len() < 150;
                let is_all = head.len() as u64 == length.min(4096);
                assert!(is_all || is_skipped, "{fault:?}");
                parts.push(Part::Bad(record, offset, length, fault));
            }
            Chunk::OversizedLine { .. } => panic!("a line"),
        }
    }
    parts
}

fn streamed(text: &[u8], path: &RecordPath, chunk_bytes: usize, max_bytes: usize) -> Vec<Part> {
    let reader = Trickle(text);
    let mut splitter = RecordSplitter::new(reader, path.clone(), chunk_bytes, max_bytes);
    parts_of(text, || splitter.next_chunk().unwrap())
}

fn in_memory(text: &[u8], path: &RecordPath, chunk_bytes: usize) -> Vec<Part> {
    let bytes = Bytes::copy_from_slice(text);
    let mut splitter = InMemoryRecords::new(bytes, path.clone(), chunk_bytes);
    parts_of(text, || splitter.next_chunk())
}

/// Splits a text, in pieces of every size up to that of the text: all give the same.
fn split(text: &[u8], path: &RecordPath) -> Vec<Part> {
    let whole = in_memory(text, path, CHUNK_BYTES);
    for chunk_bytes in (1..text.len() + 2).take(150).chain([1000]) {
        let parts = in_memory(text, path, chunk_bytes);
        assert_eq!(parts, whole, "{chunk_bytes} {:?}", text.escape_ascii());
        let parts = streamed(text, path, chunk_bytes, MAX_LINE_BYTES);
        assert_eq!(parts, whole, "{chunk_bytes} {:?}", text.escape_ascii());
    }
    whole
}

fn texts(parts: &[Part]) -> Vec<String> {
    let text = |part: &Part| match part {
        Part::Record(_, _, text) => text.clone(),
        Part::Bad(_, offset, length, fault) => format!("{offset}+{length} {fault:?}"),
    };
    parts.iter().map(text).collect()
}

fn split_at(path_text: &str, text: &str) -> Vec<String> {
    texts(&split(text.as_bytes(), &path(path_text)))
}

/// Writes a random value, with all that may confuse a splitter in its strings.
fn push_value(rng: &mut Rng, depth: usize, out: &mut String) {
    const STRINGS: [&str; 12] = [
        "",
        "a",
        "{",
        "}",
        "[",
        "]",
        "\\\"",
        "\\\\",
        "\\\\\\\"",
        ",",
        "\\u007b\u{e9}\u{1f600}",
        ":",
    ];
    let space = |rng: &mut Rng, out: &mut String| {
        for _ in 0..rng.usize(0..3) {
            out.push_str(rng.choice([" ", "\n", "\r\n", "\t", "\n    "]).unwrap());
        }
    };
    let string = |rng: &mut Rng, out: &mut String| {
        out.push('"');
        for _ in 0..rng.usize(0..6) {
            out.push_str(rng.choice(STRINGS).unwrap());
        }
        out.push('"');
    };
    let kinds = if depth == 0 { 4 } else { 7 };
    match rng.usize(0..kinds) {
        0 => out.push_str(rng.choice(["0", "-1.5e3", "12"]).unwrap()),
        1 => out.push_str(rng.choice(["true", "false", "null"]).unwrap()),
        2 | 3 => string(rng, out),
        kind => {
            let is_object = kind > 4;
            out.push(if is_object { '{' } else { '[' });
            for index in 0..rng.usize(0..4) {
                if index > 0 {
                    out.push(',');
                }
                space(rng, out);
                if is_object {
                    string(rng, out);
                    space(rng, out);
                    out.push(':');
                    space(rng, out);
                }
                push_value(rng, depth - 1, out);
                space(rng, out);
            }
            out.push(if is_object { '}' } else { ']' });
        }
    }
}

fn raw(text: &str) -> Option<Vec<String>> {
    let mut read = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let (mut documents, mut start) = (Vec::new(), 0);
    while let Some(document) = read.next() {
        document.ok()?;
        let end = read.byte_offset();
        documents.push(text[start..end].trim_start().to_owned());
        start = end;
    }
    Some(documents)
}

#[test]
fn random_documents_are_split_as_serde_json_does() {
    let mut rng = Rng::with_seed(47);
    for round in 0..400 {
        let (mut items, mut documents) = (Vec::new(), String::new());
        for _ in 0..rng.usize(0..5) {
            let mut value = String::new();
            push_value(&mut rng, 1 + round % 4, &mut value);
            documents.push_str(&value);
            documents.push_str(rng.choice([" ", "\n", "\r\n\t"]).unwrap());
            items.push(value);
        }
        assert_eq!(raw(&documents).unwrap(), items, "{documents}");
        assert_eq!(split_at("$", &documents), items, "{documents}");
        let list = format!("[{}]", items.join(rng.choice([",", " ,\n  "]).unwrap()));
        assert_eq!(split_at("$[*]", &list), items, "{list}");
        let mut other = String::new();
        push_value(&mut rng, 3, &mut other);
        let envelope = format!(
            "{{\"a\":{other} , \"Records\" : {list},\"Record\":[{other}],\"b\":{{\"Records\":[1]}}}}\n"
        );
        assert_eq!(split_at("$.Records[*]", &envelope), items, "{envelope}");
        let twice: Vec<String> = items.iter().chain(&items).cloned().collect();
        let nested = format!("{{\"x\":{other},\"y\":{envelope}}}").repeat(2);
        assert_eq!(split_at("$.y.Records[*]", &nested), twice, "{nested}");
    }
}

/// Mutated documents: what serde_json accepts is split as it does, and no byte is lost without a trace.
#[test]
fn damaged_documents_are_split_or_break() {
    let mut rng = Rng::with_seed(11);
    for round in 0..600 {
        let mut text = String::from(if round % 2 == 0 { "[" } else { "" });
        for _ in 0..rng.usize(1..4) {
            push_value(&mut rng, 2, &mut text);
            text.push_str(if round % 2 == 0 { "," } else { " " });
        }
        let mut bytes = text.into_bytes();
        for _ in 0..rng.usize(1..3) {
            let at = rng.usize(0..bytes.len());
            bytes[at] = *rng.choice(b"{}[]\",:\\ 1x\n").unwrap();
        }
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        for path_text in ["$", "$[*]"] {
            let parts = split(text.as_bytes(), &path(path_text));
            let broken = parts
                .iter()
                .filter(|part| matches!(part, Part::Bad(_, _, _, RecordFault::Broken(_))));
            assert!(broken.count() <= 1, "{text}");
            let indexes = parts.iter().map(|part| match part {
                Part::Record(index, ..) | Part::Bad(index, ..) => *index,
            });
            assert!(indexes.eq(1..=parts.len() as u64), "{text}");
            // What serde_json reads is split in the same way.
            if path_text == "$"
                && let Some(documents) = raw(&text)
            {
                assert_eq!(texts(&parts), documents, "{text}");
            }
            // Between the records are only the characters of a frame.
            let mut end = 0;
            for part in &parts {
                let (offset, length) = match part {
                    Part::Record(_, offset, text) => (*offset, text.len() as u64),
                    Part::Bad(_, offset, length, _) => (*offset, *length),
                };
                let gap = &text[usize::try_from(end).unwrap()..usize::try_from(offset).unwrap()];
                assert!(
                    gap.chars().all(|c| "[], \n\r\t".contains(c)),
                    "{text}: {gap}"
                );
                end = offset + length;
            }
            let rest = &text[usize::try_from(end).unwrap()..];
            assert!(
                rest.chars().all(|c| "[], \n\r\t".contains(c)),
                "{text}: {rest}"
            );
        }
    }
}

#[test]
fn indexes_count_records_and_offsets_are_those_of_the_file() {
    let text = "\u{feff}[ {\"a\":1},\n  {\"a\":\n2} , 3]\r\n[]\n[\"]\"]";
    let record = |index, offset, text: &str| Part::Record(index, offset, text.to_owned());
    let expected = [
        record(1, 5, "{\"a\":1}"),
        record(2, 16, "{\"a\":\n2}"),
        record(3, 27, "3"),
        record(4, 35, "\"]\""),
    ];
    assert_eq!(split(text.as_bytes(), &path("$[*]")), expected);
}

#[test]
fn empty_texts_have_no_records() {
    for text in ["", " \n", "\u{feff}", "[]", "[\n]\n", "[][ ]"] {
        assert_eq!(split_at("$[*]", text), [""; 0], "{text:?}");
    }
    for text in ["", "\r\n"] {
        assert_eq!(split_at("$", text), [""; 0]);
        assert_eq!(split_at("$.Records[*]", text), [""; 0]);
    }
    assert_eq!(split_at("$.Records[*]", "{\"Records\":[]}"), [""; 0]);
}

#[test]
fn a_break_is_the_last_record_with_its_place() {
    for (path, text, expected) in [
        (
            "$[*]",
            "[{},{}",
            "6+0 Broken(\"the file ends before the list of its records does\")",
        ),
        (
            "$[*]",
            "[{},{\"a\":[}",
            "4+7 Broken(\"the file ends inside of this record\")",
        ),
        (
            "$[*]",
            "[{}{}]",
            "3+3 Broken(\"`,` or `]` is expected between the records here\")",
        ),
        (
            "$[*]",
            "[{},]",
            "4+1 Broken(\"a value is expected between the records here\")",
        ),
        (
            "$[*]",
            "[,{}]",
            "1+4 Broken(\"a value or `]` is expected between the records here\")",
        ),
        (
            "$[*]",
            "[{}] x",
            "5+1 Broken(\"a value is expected between the records here\")",
        ),
        (
            "$[*]",
            "[{}]]",
            "4+1 Broken(\"a value is expected between the records here\")",
        ),
        (
            "$",
            "{},{}",
            "2+3 Broken(\"a value is expected between the records here\")",
        ),
        (
            "$",
            "{}{\"a\":\"}",
            "2+7 Broken(\"the file ends inside of this record\")",
        ),
        (
            "$",
            "{}\0",
            "2+1 Broken(\"a value is expected between the records here\")",
        ),
        (
            "$.a[*]",
            "{\"a\":[{}]",
            "9+0 Broken(\"the file ends inside of a document\")",
        ),
        (
            "$.a[*]",
            "{\"a\":[{}],}",
            "10+1 Broken(\"a key in double quotes is expected between the records here\")",
        ),
        (
            "$.a[*]",
            "{\"a\":[{}] 1}",
            "10+2 Broken(\"`,` or `}` is expected between the records here\")",
        ),
        (
            "$.a[*]",
            "{\"a\" []}",
            "5+3 Broken(\"`:` is expected between the records here\")",
        ),
        (
            "$.a[*]",
            "{\"b",
            "0+3 Broken(\"the file ends inside of a document\")",
        ),
    ] {
        assert_eq!(split_at(path, text).last().unwrap(), expected, "{text}");
    }
}

#[test]
fn a_document_without_the_list_is_one_malformed_record() {
    let text =
        "{\"b\":1}{\"a\":null,\"c\":[{}]}{\"a\":[7]} [1] {\"\\u0061\":[8]}{\"a\":{\"a\":[9]}}";
    let on_path = "is expected on the path of the records `$.a[*]`, found";
    assert_eq!(
        split_at("$.a[*]", text),
        [
            "0+7 WithoutList(\"there is no list on the path of the records `$.a[*]`\")",
            &format!("7+19 WithoutList(\"a list {on_path} null\")"),
            "7",
            &format!("36+3 WithoutList(\"an object {on_path} a list\")"),
            "8",
            &format!("54+15 WithoutList(\"a list {on_path} an object\")"),
        ]
    );
    let auto = Framing::Auto.record_path(b"[{}]").unwrap();
    assert_eq!(
        texts(&split(b"[{}]\n{\"b\":[2]}\n[3]", &auto)),
        ["{}", "{\"b\":[2]}", "3"]
    );
    let strict = split_at("$[*]", "[{}]\n{\"b\":[2]}\n[3]");
    assert_eq!(
        strict[1],
        "5+9 WithoutList(\"a list is expected on the path of the records `$[*]`, found an object\")"
    );
}

#[test]
fn records_beyond_the_limit_are_skipped_and_reported() {
    let long = format!("{{\"a\":\"{}\"}}", "x]}".repeat(9));
    let text = format!("[{{}}, {long},\n{{\"b\":1}},{long},1]");
    let offset = |nth: usize| text.match_indices(&long).nth(nth).unwrap().0 as u64;
    for max_bytes in [8, 20, long.len() - 1] {
        for chunk_bytes in 1..80 {
            let parts = streamed(text.as_bytes(), &path("$[*]"), chunk_bytes, max_bytes);
            let length = long.len() as u64;
            let bad = |index, nth| Part::Bad(index, offset(nth), length, RecordFault::Oversized);
            assert_eq!(texts(&parts)[0], "{}", "{chunk_bytes}");
            assert_eq!(
                (&parts[1], &parts[3]),
                (&bad(2, 0), &bad(4, 1)),
                "{chunk_bytes}"
            );
            assert_eq!(texts(&parts)[2], "{\"b\":1}");
            assert_eq!(texts(&parts)[4..], ["1"]);
        }
    }
    // The rest of a file whose string does not end is one record, of which little is in memory.
    let open = format!("[{{}},{{\"a\":\"{}", "},".repeat(5000));
    let parts = streamed(open.as_bytes(), &path("$[*]"), 16, 100);
    let reason = "the file ends inside of this record".to_owned();
    let rest = Part::Bad(2, 4, open.len() as u64 - 4, RecordFault::Broken(reason));
    assert_eq!(parts[1..], [rest]);
}
