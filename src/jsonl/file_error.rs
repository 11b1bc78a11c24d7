//! Errors of files that cannot be read as JSON lines, whatever their lines say.

use std::{fmt, io};

use crate::jsonl::compression::Compression;
use crate::jsonl::content::{ContentKind, Remedy};

/// The reason why a file cannot be read. It continues a sentence that begins with the file's name.
///
/// A reader returns it inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileError {
    /// The content is in a format that is not read.
    Unreadable {
        /// The format.
        kind: ContentKind,
        /// The compression that the content is inside of.
        inside: Option<Compression>,
    },
    /// The content is not compressed as the source declares.
    NotAsDeclared {
        /// The declared compression.
        declared: Compression,
        /// The content.
        found: ContentKind,
    },
    /// The name says that the file is compressed, and it is neither compressed nor text.
    NotAsNamed,
    /// Other bytes follow the last member of gzip, or the last frame of zstd.
    TrailingBytes {
        /// The compression.
        compression: Compression,
        /// Their offset in the file, where it is known.
        offset: Option<u64>,
    },
    /// A frame of zstd needs a larger window than is allowed.
    WindowTooLarge,
}

impl FileError {
    /// Returns the error inside an error of a reader.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }

    /// Returns what to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Unreadable {
                kind: ContentKind::Gzip | ContentKind::Zstd,
                ..
            } => "it is compressed twice: decompress it once",
            Self::Unreadable { kind, .. } => match kind {
                ContentKind::Other(_, remedy) => remedy.hint(),
                _ => "is it a file of this source?",
            },
            Self::NotAsDeclared { .. } => {
                "with `compression` 'auto', the default, each file is read as its bytes say"
            }
            Self::NotAsNamed => "was it damaged when it was stored? replace or remove it",
            Self::TrailingBytes { .. } => {
                "was something appended to the file? remove what is behind the compressed data"
            }
            Self::WindowTooLarge => "recompress it without `--long`, or with `--long=27` at most",
        }
    }
}

impl Remedy {
    fn hint(self) -> &'static str {
        match self {
            Self::Recompress => "compress it with gzip or zstd, or store it as plain text",
            Self::Unpack => "unpack it: the files of a source are JSON lines, plain, gzip or zstd",
            Self::Recode => "convert it to UTF-8",
            Self::DeclareParquet => "declare a source STORED AS PARQUET for it",
            Self::Convert => "convert it to JSON lines or Parquet",
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { kind, inside: None } => {
                write!(f, "looks like {kind}, not like JSON lines")
            }
            Self::Unreadable {
                kind,
                inside: Some(compression),
            } => write!(f, "has {kind} inside {compression}, not JSON lines"),
            Self::NotAsDeclared { declared, found } => write!(
                f,
                "looks like {found}, but the compression '{declared}' is declared"
            ),
            Self::NotAsNamed => {
                f.write_str("has the name of a compressed file, but is neither compressed nor text")
            }
            Self::TrailingBytes {
                compression,
                offset,
            } => {
                let unit = match compression {
                    Compression::Zstd => "frame",
                    _ => "member",
                };
                write!(
                    f,
                    "is damaged: bytes that are no {compression} follow the last {unit}"
                )?;
                match offset {
                    Some(offset) => write!(f, " at offset {offset}"),
                    None => Ok(()),
                }
            }
            Self::WindowTooLarge => f.write_str(
                "is zstd with a window larger than 128 MiB, which needs too much memory",
            ),
        }
    }
}

impl std::error::Error for FileError {}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
