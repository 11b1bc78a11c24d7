//! Keys and names of files that [`Path`] cannot hold, escaped so that it can.
//!
//! A [`Path`] has no control characters, no empty segments, no `.` and `..`, and is UTF-8. Stores have
//! objects with such keys. A byte that a path cannot hold becomes [`ESCAPE`] and two hexadecimal digits;
//! an empty segment becomes [`ESCAPE`] alone:
//!
//! | key or name | path |
//! |---|---|
//! | `src/a<tab>b.json` | `src/a<ESCAPE>09b.json` |
//! | `src//b.json` | `src/<ESCAPE>/b.json` |
//! | `src/../b.json` | `src/<ESCAPE>2E<ESCAPE>2E/b.json` |
//!
//! Every other key is its own path. The stores of this crate escape what they list, and unescape what
//! they are asked for; [`shown`] is for people.

use std::borrow::Cow;
use std::fmt::Write;

use object_store::ObjectMeta;
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use url::Url;

/// The character that begins an escape: a noncharacter, which no text contains. In a key it is escaped
/// itself.
pub(super) const ESCAPE: char = '\u{fdd0}';

/// Returns the path of a key or of a file's path relative to its root.
pub(super) fn escaped(key: &[u8]) -> Path {
    let plain = std::str::from_utf8(key).ok().filter(|key| is_plain(key));
    let text = match plain {
        Some(plain) => plain.to_owned(),
        None => {
            let segments = key.split(|byte| *byte == b'/').map(escaped_segment);
            segments.collect::<Vec<_>>().join("/")
        }
    };
    // It parses: what a path cannot hold is escaped.
    Path::parse(&text).unwrap_or_else(|_| Path::from(text))
}

fn is_plain(key: &str) -> bool {
    let is_plain_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    key.split('/').all(is_plain_segment)
        && !key.contains(|c: char| c.is_ascii_control() || c == ESCAPE)
}

fn escaped_segment(segment: &[u8]) -> String {
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(text, "{ESCAPE}{byte:02X}");
        }
    };
    let mut text = String::with_capacity(segment.len() + 8);
    if segment.is_empty() {
        text.push(ESCAPE);
    } else if segment == b"." || segment == b".." {
        escape(&mut text, segment);
    } else {
        for chunk in segment.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c.is_ascii_control() || c == ESCAPE {
                    true => escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                    false => text.push(c),
                }
            }
            escape(&mut text, chunk.invalid());
        }
    }
    text
}

/// Returns the path of the file or folder that a `file` URL names.
pub fn path_of_url(url: &Url) -> Path {
    let path: Vec<u8> = percent_decode_str(url.path()).collect();
    let relative = path.strip_prefix(b"/").unwrap_or(&path);
    match relative.strip_suffix(b"/").unwrap_or(relative) {
        b"" => Path::ROOT,
        relative => escaped(relative),
    }
}

/// Returns true if the path stands for a key that a path cannot hold.
pub(super) fn is_escaped(path: &str) -> bool {
    path.contains(ESCAPE)
}

/// Returns the key that a path stands for.
pub(super) fn unescaped(path: &str) -> Cow<'_, [u8]> {
    if !is_escaped(path) {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut pieces = path.split(ESCAPE);
    let mut key = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        match escaped_byte(piece) {
            Some((byte, rest)) => {
                key.push(byte);
                key.extend_from_slice(rest.as_bytes());
            }
            // An empty segment.
            None => key.extend_from_slice(piece.as_bytes()),
        }
    }
    Cow::Owned(key)
}

/// Splits the byte that follows an [`ESCAPE`] from the rest. A segment is empty, or has its digits.
fn escaped_byte(piece: &str) -> Option<(u8, &str)> {
    let byte = u8::from_str_radix(piece.get(..2)?, 16).ok()?;
    Some((byte, piece.get(2..)?))
}

/// Returns the key that a path stands for as text. Bytes that are not UTF-8 are shown as `\xff`.
pub fn shown(path: &str) -> Cow<'_, str> {
    match unescaped(path) {
        Cow::Borrowed(_) => Cow::Borrowed(path),
        Cow::Owned(key) => {
            let mut text = String::with_capacity(key.len());
            for chunk in key.utf8_chunks() {
                text.push_str(chunk.valid());
                for byte in chunk.invalid() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
            Cow::Owned(text)
        }
    }
}

/// Returns the name of a folder or file, the last segment of its path, if it is UTF-8. That of an
/// object whose key ends with `/` is empty.
pub fn file_name(path: &Path) -> Option<Cow<'_, str>> {
    match unescaped(path.filename().unwrap_or_default()) {
        Cow::Borrowed(_) => path.filename().map(Cow::Borrowed),
        Cow::Owned(name) => String::from_utf8(name).ok().map(Cow::Owned),
    }
}

/// Returns true for a part of a path that stands for itself: it is not empty, `.` or `..`, and is plain
/// UTF-8.
pub fn is_plain_name(part: &str) -> bool {
    !part.is_empty() && !is_escaped(part)
}

/// Returns true for the empty object that some tools create as the marker of a folder, with its name
/// and a slash as the key.
pub fn is_marker(object: &ObjectMeta) -> bool {
    object.size == 0 && file_name(&object.location).is_some_and(|name| name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back() {
        let keys: [&[u8]; 18] = [
            b"a/b.json",
            b"a\tb",
            b"a\x00\x01\x7f",
            b"a//b",
            b"/a",
            b"a/",
            b"//",
            b"a/./b",
            b"a/../b",
            b".",
            b"..",
            b"a.b/..c",
            b"caf\xe9/x",
            b"\xff\xfe",
            b"a%09b",
            "a\u{fdd0}09b".as_bytes(),
            "\u{fdd0}".as_bytes(),
            "a b/\u{e9}#1\\".as_bytes(),
        ];
        let mut paths = std::collections::BTreeSet::new();
        for key in keys {
            let path = escaped(key);
            assert_eq!(unescaped(path.as_ref()).as_ref(), key, "{path:?}");
            assert!(paths.insert(path));
        }
    }

    #[test]
    fn other_keys_are_their_own_paths() {
        for key in ["a/b=c%3D/d.json", "a b/\u{e9}#1\\", "_x/.y", "a..b"] {
            assert_eq!(escaped(key.as_bytes()).as_ref(), key);
            assert!(!is_escaped(key));
        }
    }

    #[test]
    fn people_see_the_key() {
        let shown_key = |key: &[u8]| shown(escaped(key).as_ref()).into_owned();
        assert_eq!(shown_key(b"src//b\t.json"), "src//b\t.json");
        assert_eq!(shown_key(b"src/caf\xe9"), "src/caf\\xe9");
        assert_eq!(file_name(&escaped(b"a/b\tc")).as_deref(), Some("b\tc"));
        assert_eq!(file_name(&escaped(b"a/")).as_deref(), Some(""));
        assert_eq!(file_name(&escaped(b"a/\xff")), None);
    }
}
