//! Compression formats of JSON lines files.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

/// The declared compression of a source's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Detected by the extension of each file: `.gz` and `.gzip`, `.zst` and `.zstd`; all other
    /// files are plain text.
    #[default]
    Auto,
    /// Plain text.
    None,
    /// Gzip, with any number of members.
    Gzip,
    /// Zstandard, with any number of frames.
    Zstd,
}

/// The size of the buffer between the compressed bytes and the decompressor, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

impl Compression {
    /// Parses the name of a compression, in any case.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Resolves [`Compression::Auto`] by the name of a file, and returns any other as it is.
    fn resolve(self, key: &str) -> Self {
        let ends = |suffixes: [&str; 2]| suffixes.iter().any(|suffix| key.ends_with(suffix));
        match self {
            Self::Auto if ends([".gz", ".gzip"]) => Self::Gzip,
            Self::Auto if ends([".zst", ".zstd"]) => Self::Zstd,
            Self::Auto => Self::None,
            declared => declared,
        }
    }

    /// Returns true if the file `key` is read as gzip.
    pub fn is_gzip(self, key: &str) -> bool {
        self.resolve(key) == Self::Gzip
    }

    /// Creates a reader that decompresses the file `key` to its very end: all members or frames.
    ///
    /// # Errors
    /// The reader fails with [`io::ErrorKind::UnexpectedEof`] if the data is truncated, and with
    /// other kinds if it is corrupt. Errors of `compressed` are returned unchanged.
    pub fn reader<'a>(
        self,
        key: &str,
        compressed: impl Read + 'a,
    ) -> io::Result<Box<dyn Read + 'a>> {
        let buffered = |compressed| BufReader::with_capacity(BUFFER_BYTES, compressed);
        Ok(match self.resolve(key) {
            Self::Gzip => Box::new(MultiGzDecoder::new(buffered(compressed))),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(
                compressed,
            ))?),
            Self::Auto | Self::None => Box::new(compressed),
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
        let members = [gzip("one\n"), gzip(""), gzip("two")].concat();
        assert_eq!(inflate(Compression::Gzip, &members).unwrap(), "one\ntwo");
        let frames = [zst("one\n"), zst(""), zst("two")].concat();
        assert_eq!(inflate(Compression::Zstd, &frames).unwrap(), "one\ntwo");
        assert_eq!(inflate(Compression::None, b"one").unwrap(), "one");
    }

    #[test]
    fn truncated_data_is_an_error_wherever_it_ends() {
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
    fn the_extension_decides_only_for_auto() {
        for (key, expected) in [
            ("a.json.gz", Compression::Gzip),
            ("a.gzip", Compression::Gzip),
            ("a.zst", Compression::Zstd),
            ("a.json.zstd", Compression::Zstd),
            ("a.json", Compression::None),
        ] {
            assert_eq!(Compression::Auto.resolve(key), expected);
            assert_eq!(Compression::None.resolve(key), Compression::None);
        }
    }
}
