//! Tests of the shapes of text.

use super::*;

fn shape(text: &str) -> String {
    let shape = TextShape::of(text.as_bytes(), |key| key == "id");
    shape.map_or_else(|| "JSON lines".to_owned(), |shape| shape.to_string())
}

#[test]
fn each_shape_is_recognized() {
    for (expected, texts) in [
        (
            "one JSON array",
            &[
                r#"[{"id":1},{"id":2}]"#,
                "[\n{\"id\":1},\n{\"id\":2}\n]\n",
                "  [ {\"id\":1},\n{\"id\":2},\n",
                "[{\"id\":1},\n{\"id\":NaN}]",
                "[]",
            ][..],
        ),
        (
            "objects joined without line ends",
            &[
                r#"{"id":1}{"id":2}"#,
                "{\"id\":1} \t{\"id\":2}\n",
                "{\"id\":\"}{\"}{\"id\":2}\n{\"id\":3}{\"id\":4}\n",
            ],
        ),
        (
            "objects separated by commas",
            &["{\"id\":1},{\"id\":2}", "{\"id\":1},\n{\"id\":2},\n"],
        ),
        (
            "objects in a \"Records\" list",
            &[
                r#"{"Records":[{"id":1},{"id":2}]}"#,
                "{\n  \"count\": 2,\n  \"Records\": [\n    {\"id\": 1}\n  ]\n}\n",
                "{\"Records\":[{\"id\":1}]}\n{\"Records\":[{\"id\":2}]}\n",
            ],
        ),
        (
            "objects in a list inside an object",
            &[r#"{"someone@example.com":[{"id":1}]}"#],
        ),
        (
            "lines that end in CR only",
            &["{\"id\":1}\r{\"id\":2}\r", "{\"id\":1}\r{\"id\":2}\n"],
        ),
        (
            "pretty-printed JSON over several lines",
            &[
                "{\n  \"id\": 1\n}\n{\n  \"id\": 2\n}\n",
                "{\n  \"id\": 1,\n",
                "{\r  \"id\": 1\r}\r{\r",
                "{\"a\": 1,\n\"id\": nan}",
            ],
        ),
        (
            "objects with `\\n` as text between them",
            &["{\"id\":1}\\n{\"id\":2}\\n"],
        ),
        (
            "JSON text sequences (RFC 7464)",
            &["\u{1e}{\"id\":1}\n\u{1e}{\"id\":2}\n"],
        ),
        (
            "JSON objects inside JSON strings",
            &["\"{\\\"id\\\":1}\"\n\"{\\\"id\\\":2}\"\n"],
        ),
        (
            "JSON lists instead of objects",
            &["[1,\"a\"]\n[2,\"b\"]\n", "[1][2]"],
        ),
        (
            "lines with text in front of the object",
            &[
                "2026-01-15 10:00:00 INFO {\"id\":1}\n",
                "data: {\"id\":1}\n\ndata: {\"id\":2}\n",
                "[2026-01-15] {\"id\":1}\n[2026-01-15] {\"id\":2}\n",
                "1|{\"id\":1}\n",
            ],
        ),
        (
            "objects in single quotes, as Python prints them",
            &["{'id': 1}\n{'id': 2}\n"],
        ),
        ("objects whose keys have no quotes", &["{id: 1}\n{id: 2}\n"]),
        ("CSV", &["id,name\n1,a\n", "\"id\",\"name\"\n\"1\",\"a\"\n"]),
        ("tab-separated values", &["id\tname\n1\ta\n"]),
        ("CSV with semicolons", &["id;name\n1;a,5\n"]),
        (
            "XML",
            &[
                "<?xml version=\"1.0\"?>\n<a/>",
                "<Error><Code>x</Code></Error>",
            ],
        ),
        (
            "a page of HTML",
            &["<!DOCTYPE html>\n<html>", "<HTML><body>"],
        ),
        ("YAML", &["---\nid: 1\n"]),
        ("base64", &["eyJpZCI6MSwibmFtZSI6ImFiYyJ9\neyJpZCI6Mn0=\n"]),
        (
            "text without JSON",
            &["hello\nworld\n", "# a comment\n", "[section]\nkey = 1\n"],
        ),
    ] {
        for text in texts {
            assert_eq!(shape(text), expected, "{text}");
        }
    }
}

#[test]
fn bytes_that_are_no_text() {
    let shape = |text: &[u8]| TextShape::of(text, |_| false);
    assert_eq!(shape(b"\x01\x02\x03{\0"), Some(TextShape::Binary));
    assert_eq!(shape(b"{\"id\":\"caf\xe9\"}\n"), Some(TextShape::NotUtf8));
    assert_eq!(shape(b""), None);
    assert_eq!(shape(b" \r\n"), None);
}

#[test]
fn lines_of_the_usual_form_have_no_other_shape() {
    for text in [
        "{\"id\":1}\n{\"id\":2}\n",
        "{\"id\":1}\r\n{\"id\":2}\r\n",
        "{\"id\":1}",
        "{\"id\":1,\"tags\":[{\"k\":1}]}\n",
        "{\"id\":1,\n",
        "{\"id\":1} x\n",
        "{\"tags\":[1,2]}\n{}\n",
        "{\"id\":tru}\n{}\n",
    ] {
        assert_eq!(shape(text), "JSON lines", "{text}");
    }
}

#[test]
fn hints_name_the_list() {
    let shape = TextShape::ObjectsInList(Some("Records".to_owned()));
    assert!(
        shape
            .hint()
            .starts_with("declare the source with OPTIONS ('records' '$.Records[*]')")
    );
}
