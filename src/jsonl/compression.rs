//! How a file of JSON lines is compressed.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

/// The declared compression of a source's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// By the end of each file's name: `.gz`, `.gzip`, `.zst`, `.zstd`, anything else is none.
    #[default]
    Auto,
    /// Plain text.
    None,
    /// Gzip, with one member or many.
    Gzip,
    /// Zstandard, with one frame or many.
    Zstd,
}

/// Compressed bytes come in, and are handed to the decompressor, in pieces of this size.
const PIECE: usize = 64 * 1024;

impl Compression {
    /// The compression that an option names, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Never [`Compression::Auto`].
    fn of_file(self, key: &str) -> Self {
        let ends = |suffixes: [&str; 2]| suffixes.iter().any(|suffix| key.ends_with(suffix));
        match self {
            Self::Auto if ends([".gz", ".gzip"]) => Self::Gzip,
            Self::Auto if ends([".zst", ".zstd"]) => Self::Zstd,
            Self::Auto => Self::None,
            declared => declared,
        }
    }

    pub(crate) fn is_gzip(self, key: &str) -> bool {
        self.of_file(key) == Self::Gzip
    }

    /// Inflates what `stored` holds, to its very end: all members and frames.
    ///
    /// # Errors
    /// The reader fails with [`io::ErrorKind::UnexpectedEof`] where the data is cut off, and with
    /// other kinds where it is damaged; errors of `stored` come through as they are.
    pub(crate) fn reader<'a>(
        self,
        key: &str,
        stored: impl Read + 'a,
    ) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self.of_file(key) {
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, stored))),
            Self::Zstd => {
                let stored = BufReader::with_capacity(PIECE, stored);
                Box::new(zstd::stream::read::Decoder::with_buffer(stored)?)
            }
            Self::Auto | Self::None => Box::new(stored),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn zst(text: &str) -> Vec<u8> {
        zstd::stream::encode_all(text.as_bytes(), 0).unwrap()
    }

    fn inflate(compression: Compression, stored: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        compression.reader("x", stored)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn all_members_and_frames_are_read() {
        let gzip = [gzip("one\n"), gzip(""), gzip("two")].concat();
        assert_eq!(inflate(Compression::Gzip, &gzip).unwrap(), "one\ntwo");
        let zst = [zst("one\n"), zst(""), zst("two")].concat();
        assert_eq!(inflate(Compression::Zstd, &zst).unwrap(), "one\ntwo");
        assert_eq!(inflate(Compression::None, b"one").unwrap(), "one");
    }

    #[test]
    fn data_that_is_cut_off_anywhere_is_an_error() {
        let text = "a line of text\n".repeat(1000);
        for (compression, stored) in [
            (Compression::Gzip, [gzip("first"), gzip(&text)].concat()),
            (Compression::Zstd, zst(&text)),
        ] {
            let first = match compression {
                Compression::Gzip => gzip("first").len(),
                _ => 0,
            };
            for length in first + 1..stored.len() {
                let error = inflate(compression, &stored[..length]).unwrap_err();
                assert_eq!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof,
                    "{compression:?} {length}"
                );
            }
        }
    }

    #[test]
    fn damaged_data_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            assert!(inflate(compression, b"{\"a\": 1}\n, no archive at all").is_err());
        }
        let trailing = [gzip("one"), b"rest".to_vec()].concat();
        assert!(inflate(Compression::Gzip, &trailing).is_err());
    }

    #[test]
    fn names_decide_only_when_asked() {
        for (key, expected) in [
            ("a.json.gz", Compression::Gzip),
            ("a.gzip", Compression::Gzip),
            ("a.zst", Compression::Zstd),
            ("a.json.zstd", Compression::Zstd),
            ("a.json", Compression::None),
        ] {
            assert_eq!(Compression::Auto.of_file(key), expected);
            assert_eq!(Compression::None.of_file(key), Compression::None);
        }
    }
}
