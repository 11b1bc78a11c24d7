//! The matrix of changes.

use serde_json::{Value, json};

use super::*;

/// The type `text` as manifests write it: `int64`, `int64!` if it is required, `{a: T, …}` as JSON.
fn column(name: &str, kind: &Value, nullable: bool) -> Value {
    json!({ "name": name, "type": kind, "nullable": nullable })
}

/// Parses columns such as `a int64, b string!`; a type in angle brackets is a list `<T>`, one in
/// braces a struct `{x T; y T}`.
fn schema(text: &str) -> ExportSchema {
    serde_json::from_value(Value::Array(columns(text, ','))).unwrap()
}

fn columns(text: &str, separator: char) -> Vec<Value> {
    split(text, separator)
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let (name, kind) = part.trim().split_once(' ').unwrap();
            parsed(name, kind)
        })
        .collect()
}

fn parsed(name: &str, kind: &str) -> Value {
    let (kind, nullable) = match kind.strip_suffix('!') {
        Some(kind) => (kind, false),
        None => (kind, true),
    };
    let kind = if let Some(item) = kind
        .strip_prefix('<')
        .and_then(|kind| kind.strip_suffix('>'))
    {
        json!({ "list": parsed("element", item) })
    } else if let Some(members) = kind
        .strip_prefix('{')
        .and_then(|kind| kind.strip_suffix('}'))
    {
        json!({ "struct": columns(members, ';') })
    } else if let Some(digits) = kind.strip_prefix("decimal") {
        let (precision, scale) = digits.split_once('.').unwrap();
        let number = |text: &str| text.parse::<u8>().unwrap();
        json!({ "decimal": { "precision": number(precision), "scale": number(scale) } })
    } else {
        json!(kind)
    };
    column(name, &kind, nullable)
}

/// Splits at separators that are in no bracket.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '{' | '<' => depth += 1,
            '}' | '>' => depth -= 1,
            letter if letter == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A table, written `columns | partition columns | format | mode`, of which only the first is needed.
fn shape(text: &str) -> TableShape {
    let mut parts = text.split('|').map(str::trim);
    let mut next = || parts.next().unwrap_or_default();
    let (inside, outside, format, mode) = (next(), next(), next(), next());
    TableShape {
        schema: schema(inside),
        partition_by: schema(outside),
        format: match format {
            "json" => FileFormat::Json,
            _ => FileFormat::Parquet,
        },
        sync_mode: match mode {
            "snapshot" => SyncMode::Snapshot,
            _ => SyncMode::Incremental,
        },
    }
}

/// `table` and `schema` stop a run, `announce` does not.
const MATRIX: [(&str, &str, &str); 64] = [
    // The table.
    ("a int64", "a int64", "pass"),
    ("a int64 | d int32", "a int64 | d int32", "pass"),
    ("a int64 || parquet", "a int64 || json", "table"),
    ("a int64 || json", "a int64 || parquet", "table"),
    ("a int64 ||| snapshot", "a int64 ||| incremental", "table"),
    ("a int64 ||| incremental", "a int64 ||| snapshot", "table"),
    ("a int64 | d int32", "a int64", "table"),
    ("a int64", "a int64 | d int32", "table"),
    ("a int64 | d int32", "a int64 | e int32", "table"),
    ("a int64 | d int32", "a int64 | d string", "table"),
    (
        "a int64 | y int32, m int32",
        "a int64 | m int32, y int32",
        "table",
    ),
    ("a int64 | y int32", "a int64 | y int32, m int32", "table"),
    ("a int64, d int32", "a int64 | d int32", "table"),
    ("a int64 | d int32", "a int64, d int32", "table"),
    ("a int64, b int64 || json", "a int64 || parquet", "table"),
    // Columns.
    ("a int64, b string", "a int64", "schema"),
    ("a int64, b string", "a int64, c string", "schema"),
    ("a int64, b string", "a int64, B string", "schema"),
    ("a int64", "a int64, b string", "announce"),
    ("a int64", "a int64, b string!", "schema"),
    ("a int64", "b string, a int64", "announce"),
    ("a int64, b string", "b string, a int64", "announce"),
    ("a int64!", "a int64", "schema"),
    ("a int64", "a int64!", "announce"),
    ("a int64!", "a int64!", "pass"),
    ("a int64", "a int64, b {x int64!}", "announce"),
    ("a int64", "a int64, b <int64!>", "announce"),
    ("a int64, b string", "b string", "schema"),
    // Types.
    ("a int32", "a int64", "schema"),
    ("a int64", "a int32", "schema"),
    ("a int64", "a float64", "schema"),
    ("a float64", "a int64", "schema"),
    ("a int64", "a string", "schema"),
    ("a string", "a int64", "schema"),
    ("a string", "a binary", "schema"),
    ("a boolean", "a string", "schema"),
    ("a date", "a timestamp", "schema"),
    ("a timestamp", "a date", "schema"),
    ("a timestamp", "a string", "schema"),
    ("a decimal10.2", "a decimal12.2", "schema"),
    ("a decimal10.2", "a decimal10.3", "schema"),
    ("a decimal10.2", "a decimal10.2", "pass"),
    ("a decimal10.2", "a float64", "schema"),
    ("a int64", "a <int64>", "schema"),
    ("a <int64>", "a int64", "schema"),
    ("a {x int64}", "a string", "schema"),
    ("a {x int64}", "a <{x int64}>", "schema"),
    // Structs and lists.
    ("a {x int64}", "a {x int64}", "pass"),
    ("a {x int64}", "a {x int64; y string}", "announce"),
    ("a {x int64}", "a {x int64; y string!}", "schema"),
    ("a {x int64; y string}", "a {x int64}", "schema"),
    ("a {x int64; y string}", "a {x int64; z string}", "schema"),
    ("a {x int64; y string}", "a {y string; x int64}", "announce"),
    ("a {x int64!}", "a {x int64}", "schema"),
    ("a {x int64}", "a {x int32}", "schema"),
    ("a {x {y int64}}", "a {x {y int64; z string}}", "announce"),
    ("a {x {y int64}}", "a {x {y string}}", "schema"),
    ("a <int64>", "a <string>", "schema"),
    ("a <int64!>", "a <int64>", "schema"),
    ("a <int64>", "a <int64!>", "announce"),
    ("a <{x int64}>", "a <{x int64; y string}>", "announce"),
    ("a <{x int64; y string}>", "a <{x int64}>", "schema"),
    (
        "a <{x <{y int64}>}>",
        "a <{x <{y int64; z date}>}>",
        "announce",
    ),
    ("a <decimal10.2>", "a <decimal9.2>", "schema"),
];

#[test]
fn a_matrix_of_changes() {
    for (old, new, expected) in MATRIX {
        let found = changes(&shape(old), &shape(new));
        let worst = found.iter().map(|change| change.severity).max();
        let verdict = match worst {
            None => "pass",
            Some(Severity::Announced) => "announce",
            Some(Severity::BreaksSchema) => "schema",
            Some(Severity::BreaksTable) => "table",
        };
        assert_eq!(verdict, expected, "{old} → {new}: {found:?}");
    }
}

#[test]
fn a_change_says_from_what_to_what() {
    let texts = |old: &str, new: &str| -> Vec<String> {
        let found = changes(&shape(old), &shape(new));
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        texts(
            "a {x decimal10.2!}, b <string>, d date | y int32 | json | snapshot",
            "a {x decimal12.2}, b <date>, c {z int64} || parquet | incremental"
        ),
        [
            "the sync mode changes from snapshot to incremental",
            "the format changes from json to parquet",
            "the partitioning changes from (y int32) to none",
            "the column `a.x` changes from required to nullable",
            "the column `a.x` changes from decimal(10, 2) to decimal(12, 2)",
            "the column `b[]` changes from string to date",
            "the column `d` (date) is gone",
            "the column `c` (struct<z int64>) is new",
        ]
    );
}

/// A column that moves into the folders is not gone; another one that goes with it is.
#[test]
fn a_moved_column_is_a_change_of_the_partitioning_alone() {
    let found = changes(
        &shape("a int64, b int64, d int32"),
        &shape("a int64 | d int32"),
    );
    let severities: Vec<Severity> = found.iter().map(|change| change.severity).collect();
    assert_eq!(severities, [Severity::BreaksTable, Severity::BreaksSchema]);
}
