//! Decompresses files, whose first bytes decide about their compression.

use std::io::{self, BufReader, Cursor, Read};

use crate::jsonl::compression::Compression;
use crate::jsonl::content::{ContentKind, HEAD_BYTES, is_text};
use crate::jsonl::file_error::FileError;
use crate::jsonl::gzip_members::GzipMembers;
use crate::jsonl::zstd_frames::ZstdFrames;

/// The extensions of files that should be compressed, in lower case.
const EXTENSIONS: [&str; 4] = [".gz", ".gzip", ".zst", ".zstd"];

/// The size of the buffer between the compressed bytes and the decompressor, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

impl Compression {
    /// Returns the compression of the file `key`, which begins with `head`; never [`Self::Auto`].
    ///
    /// # Errors
    /// Returns the reason if the file cannot be JSON lines, or is compressed in another way than this
    /// declared one.
    pub fn detect(self, key: &str, head: &[u8]) -> Result<Self, FileError> {
        let name = key.to_ascii_lowercase();
        let is_named = EXTENSIONS.iter().any(|extension| name.ends_with(extension));
        let found = ContentKind::of(head);
        let detected = match found {
            // The first byte of a frame is a character, too.
            ContentKind::Text if head == b"(" && (is_named || self == Self::Zstd) => Self::Zstd,
            ContentKind::Gzip => Self::Gzip,
            ContentKind::Zstd => Self::Zstd,
            ContentKind::Text => Self::None,
            kind @ ContentKind::Other(..) => {
                return Err(FileError::Unreadable { kind, inside: None });
            }
        };
        if self == Self::Auto {
            if detected == Self::None && is_named && !is_text(head) {
                return Err(FileError::NotAsNamed);
            }
        } else if self != detected && !head.is_empty() {
            return Err(FileError::NotAsDeclared {
                declared: self,
                found,
            });
        }
        Ok(detected)
    }

    /// Checks that decompressed text, which begins with `head`, can be JSON lines.
    ///
    /// # Errors
    /// Returns the reason if it cannot.
    pub fn check_text(self, head: &[u8]) -> Result<(), FileError> {
        match ContentKind::of(head.get(..HEAD_BYTES).unwrap_or(head)) {
            ContentKind::Text => Ok(()),
            kind => Err(FileError::Unreadable {
                kind,
                inside: (self != Self::None).then_some(self),
            }),
        }
    }

    /// Creates a reader that decompresses the file `key` to its very end: all members or frames.
    ///
    /// # Errors
    /// It fails with a [`FileError`] if the file cannot be JSON lines. The reader fails with
    /// [`io::ErrorKind::UnexpectedEof`] if the data is truncated, and with other kinds if it is
    /// corrupt. Errors of `compressed` are returned unchanged.
    pub fn reader<'a>(
        self,
        key: &str,
        mut compressed: impl Read + 'a,
    ) -> io::Result<Box<dyn Read + 'a>> {
        let head = read_head(&mut compressed)?;
        let detected = self.detect(key, &head)?;
        detected.detected_reader(Cursor::new(head).chain(compressed))
    }

    /// Creates a reader as [`Self::reader`] does, of a file with exactly this compression.
    ///
    /// # Errors
    /// As [`Self::reader`].
    pub fn detected_reader<'a>(self, compressed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let buffered = |compressed| BufReader::with_capacity(BUFFER_BYTES, compressed);
        let mut text: Box<dyn Read + 'a> = match self {
            Self::Gzip => Box::new(GzipMembers::new(buffered(compressed))),
            Self::Zstd => Box::new(ZstdFrames::new(buffered(compressed))?),
            Self::Auto | Self::None => return Ok(Box::new(compressed)),
        };
        let head = read_head(&mut text)?;
        self.check_text(&head)?;
        Ok(Box::new(Cursor::new(head).chain(text)))
    }
}

/// Reads the first bytes of a file, by which its content is recognized. Fewer are the whole file.
pub fn read_head(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader
        .by_ref()
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests;
