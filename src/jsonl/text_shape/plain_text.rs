//! Recognizes text that does not begin with JSON, by its first lines.

use crate::jsonl::chunk::raw_lines;
use crate::jsonl::text_shape::first_value::{FirstValue, first_value};
use crate::jsonl::text_shape::shape::TextShape;

/// The minimum length of a line of base64, in bytes.
const MIN_BASE64_BYTES: usize = 24;

/// The beginnings of an object and of gzip in base64.
const BASE64_STARTS: [&[u8]; 2] = [b"eyJ", b"H4sI"];

/// Separators of fields, with the name of the format.
const DELIMITERS: [(u8, &str); 4] = [
    (b'\t', "tab-separated values"),
    (b',', "CSV"),
    (b';', "CSV with semicolons"),
    (b'|', "values separated by `|`"),
];

/// Returns the shape of text that begins with no value of JSON lines.
pub(super) fn shape_of(text: &[u8]) -> TextShape {
    let mut lines = raw_lines(text).map(<[u8]>::trim_ascii);
    let mut next_line = || lines.find(|line| !line.is_empty()).unwrap_or_default();
    let (first, second) = (next_line(), next_line());
    if first.starts_with(b"<") {
        let start = first.get(..14).unwrap_or(first).to_ascii_lowercase();
        let is_html = start.starts_with(b"<html") || start.starts_with(b"<!doctype html");
        return match is_html {
            true => TextShape::Html,
            false => TextShape::Xml,
        };
    }
    if first == b"---" {
        return TextShape::Yaml;
    }
    if has_object_at_end(first) || has_object_at_end(second) {
        return TextShape::Prefixed;
    }
    if is_base64(first) {
        return TextShape::Base64;
    }
    let count = |line: &[u8], delimiter| memchr::memchr_iter(delimiter, line).count();
    let same_count = |(delimiter, _): &&(u8, &str)| {
        let fields = count(first, *delimiter);
        fields > 0 && fields == count(second, *delimiter)
    };
    match DELIMITERS.iter().find(same_count) {
        Some((_, name)) => TextShape::Delimited(name),
        None => TextShape::Plain,
    }
}

/// Returns true if other text stands in front of an object that ends with the line.
fn has_object_at_end(line: &[u8]) -> bool {
    let object = memchr::memchr(b'{', line).and_then(|start| line.get(start..));
    let is_whole = |object: &[u8]| match first_value(object) {
        FirstValue::Complete { length } => object.len() == length,
        _ => false,
    };
    !line.starts_with(b"{") && object.is_some_and(is_whole)
}

fn is_base64(line: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    line.len() >= MIN_BASE64_BYTES
        && BASE64_STARTS.iter().any(|start| line.starts_with(start))
        && line.iter().all(is_digit)
}
