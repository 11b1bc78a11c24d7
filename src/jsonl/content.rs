//! Recognizes what a file holds by its first bytes.

use std::fmt;

/// The number of bytes at the start of a file that are looked at: those of a header of tar.
pub(crate) const HEAD_BYTES: usize = 512;

/// The kind of a file, or of its decompressed content, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// Anything that is none of the others. If it is not JSON, its lines say so.
    Text,
    /// Gzip.
    Gzip,
    /// Zstandard, or a skippable frame, which may stand before it.
    Zstd,
    /// A format that is not read, by its name with an article.
    Other(&'static str, Remedy),
}

/// The remedy for a file whose format is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is compressed in a way that is not read.
    Recompress,
    /// It is an archive of files.
    Unpack,
    /// It is text in another encoding.
    Recode,
    /// It is a table in a format that another declaration reads.
    DeclareParquet,
    /// It is a table in a format that is not read.
    Convert,
}

use ContentKind::Other;
use Remedy::{Convert, DeclareParquet, Recode, Recompress, Unpack};

/// Formats by the bytes that they begin with. Where one is the start of another, the longer comes
/// first.
const MAGICS: [(&[u8], ContentKind); 41] = [
    (b"\x1f\x8b", ContentKind::Gzip),
    (b"\x28\xb5\x2f\xfd", ContentKind::Zstd),
    (b"BZh", Other("a bzip2 file", Recompress)),
    (b"\xfd7zXZ\0", Other("an xz file", Recompress)),
    (b"LZIP", Other("an lzip file", Recompress)),
    (b"\x5d\0\0", Other("an lzma file", Recompress)),
    (b"\x04\x22\x4d\x18", Other("an lz4 file", Recompress)),
    (b"\x02\x21\x4c\x18", Other("an lz4 file", Recompress)),
    (b"\x89LZO\0", Other("an lzop file", Recompress)),
    (b"\xff\x06\0\0sNaPpY", Other("a snappy file", Recompress)),
    (b"\x1f\x9d", Other("a file of `compress`", Recompress)),
    (b"\x1f\xa0", Other("a file of `compress`", Recompress)),
    (b"\x78\x01", Other("a zlib stream", Recompress)),
    (b"\x78\x9c", Other("a zlib stream", Recompress)),
    (b"\x78\xda", Other("a zlib stream", Recompress)),
    (b"PK\x03\x04", Other("a zip archive", Unpack)),
    (b"PK\x05\x06", Other("a zip archive", Unpack)),
    (b"PK\x07\x08", Other("a zip archive", Unpack)),
    (b"7z\xbc\xaf\x27\x1c", Other("a 7z archive", Unpack)),
    (b"Rar!\x1a\x07", Other("a rar archive", Unpack)),
    (b"PAR1", Other("a Parquet file", DeclareParquet)),
    (b"PARE", Other("an encrypted Parquet file", Convert)),
    (b"Obj\x01", Other("an Avro file", Convert)),
    (b"ORC", Other("an ORC file", Convert)),
    (b"ARROW1", Other("an Arrow file", Convert)),
    (b"\xff\xff\xff\xff", Other("an Arrow stream", Convert)),
    (b"SQLite format 3\0", Other("an SQLite database", Convert)),
    (b"SEQ\x06", Other("a Hadoop sequence file", Convert)),
    (b"\xd0\xcf\x11\xe0", Other("a document of Office", Convert)),
    (b"%PDF-", Other("a PDF document", Convert)),
    (b"\0\0\xfe\xff", Other("UTF-32 text", Recode)),
    (b"\xff\xfe\0\0", Other("UTF-32 text", Recode)),
    (b"\xfe\xff", Other("UTF-16 text", Recode)),
    (b"\xff\xfe", Other("UTF-16 text", Recode)),
    // The same without a byte-order mark: an object or a list in ASCII. JSON has no NUL.
    (b"{\0\0\0", Other("UTF-32 text", Recode)),
    (b"[\0\0\0", Other("UTF-32 text", Recode)),
    (b"\0\0\0{", Other("UTF-32 text", Recode)),
    (b"\0\0\0[", Other("UTF-32 text", Recode)),
    (b"{\0", Other("UTF-16 text", Recode)),
    (b"[\0", Other("UTF-16 text", Recode)),
    (b"\0{", Other("UTF-16 text", Recode)),
];

impl ContentKind {
    /// Recognizes the content that begins with `head`, up to [`HEAD_BYTES`] of it.
    pub fn of(head: &[u8]) -> Self {
        let found = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
        match found {
            // A line of text may begin with the same letters.
            Some((magic, _)) if is_text(magic) && is_text(head) => Self::Text,
            Some((_, kind)) => *kind,
            None if is_skippable_zstd_frame(head) => Self::Zstd,
            None if is_old_zstd(head) => Other("a zstd file of a version before 0.8", Recompress),
            None if is_tar(head) => Other("a tar archive", Unpack),
            None if head == b"\x1f" => Self::Gzip,
            None if head.len() > 1 && b"\x28\xb5\x2f\xfd".starts_with(head) => Self::Zstd,
            None => Self::Text,
        }
    }
}

impl fmt::Display for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "plain text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Other(name, _) => name,
        })
    }
}

/// Returns true if the bytes are UTF-8 without control characters other than those that lay text out.
/// The last character may be cut off.
pub(crate) fn is_text(head: &[u8]) -> bool {
    let is_control = |byte: &u8| {
        byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
    };
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && !head.iter().any(is_control)
}

fn is_skippable_zstd_frame(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

fn is_old_zstd(head: &[u8]) -> bool {
    matches!(head, [0x1e | 0x22..=0x27, 0xb5, 0x2f, 0xfd, ..])
}

/// Returns true for a header of tar: its magic stands behind a name that is padded with NUL.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") && !is_text(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_text_are_text_whatever_letters_they_begin_with() {
        for text in [
            "",
            "{",
            "[",
            "\u{feff}{\"a\":1}",
            "BZh is no JSON",
            "PAR1",
            "ORC",
            "PK",
            "%PDF-1.7",
            "xx",
            "(",
            "\u{e9}t\u{e9}",
            "  \r\n{\"a\": \"ustar\"}",
        ] {
            assert_eq!(
                ContentKind::of(text.as_bytes()),
                ContentKind::Text,
                "{text}"
            );
        }
        let line = format!("{:257}ustar", "{\"a\":1}");
        assert_eq!(ContentKind::of(line.as_bytes()), ContentKind::Text);
    }

    #[test]
    fn longer_magics_win() {
        let name = |head: &[u8]| ContentKind::of(head).to_string();
        assert_eq!(name(b"\xff\xfe{\0"), "UTF-16 text");
        assert_eq!(name(b"\xff\xfe\0\0{\0\0\0"), "UTF-32 text");
        assert_eq!(name(b"{\0\"\0"), "UTF-16 text");
        assert_eq!(name(b"{\0\0\0"), "UTF-32 text");
        assert_eq!(name(b"\0\0\0{"), "UTF-32 text");
        assert_eq!(name(b"\0{\0\""), "UTF-16 text");
        assert_eq!(name(b"\x5a\x2a\x4d\x18\0\0\0\0"), "zstd");
        assert_eq!(name(b"\x1f"), "gzip");
        let mut tar = [0; 512];
        tar[..6].copy_from_slice(b"a.json");
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(name(&tar), "a tar archive");
    }
}
