//! What a stored record says of itself: its version, its writer and its checksum.
//!
//! Manifests and log entries are such records. They are read by every later version and, in a race or
//! after a rollback, by earlier ones, which have to notice what they do not know.

use object_store::path::Path;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Error, Result};
use crate::manifest::checksum::{self, Checksum};

/// This program with its version, as records name their writer.
pub const WRITER: &str = concat!("dayport ", env!("CARGO_PKG_VERSION"));

/// The advice about a record that is not as it was written.
const RESTORE: &str = "restore the object from a copy or from an earlier version of it, then run again; \
     until then nothing is done with the table";

/// The header of a record that is as it was written and of a version that this program reads.
#[derive(Debug, Deserialize)]
pub(crate) struct RecordHeader {
    version: u32,
    /// The program that wrote the record, with its version.
    #[serde(default)]
    writer: Option<String>,
    #[serde(default)]
    checksum: Option<IgnoredAny>,
}

/// A kind of records, for messages and versions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordKind {
    /// The kind with its article, such as `a manifest`.
    pub name: &'static str,
    /// The newest version that this program reads.
    pub version: u32,
}

impl RecordHeader {
    /// Parses the header of the record `text` at `key`, and checks version and checksum.
    ///
    /// # Errors
    /// [`Error::outdated`] if the record is of a newer version; [`Error::data`] if it is no such record,
    /// or not as it was written.
    pub(crate) fn parse(kind: RecordKind, key: &Path, text: &[u8]) -> Result<Self> {
        let name = kind.name;
        let header: Self = serde_json::from_slice(text).map_err(|error| {
            Error::data(format!("`{key}` is not {name}"))
                .with_source(error)
                .with_hint(RESTORE)
        })?;
        let is_newer = header.version > kind.version;
        match checksum::inspect(text) {
            Checksum::Intact => {}
            Checksum::Absent if header.checksum.is_none() || is_newer => {}
            Checksum::Absent | Checksum::Broken => {
                return Err(Error::data(format!(
                    "`{key}` is damaged: its checksum is not that of its text"
                ))
                .with_hint(RESTORE));
            }
        }
        if is_newer {
            let version = header.version;
            return Err(header.newer(key, &format!("{name} of version {version}")));
        }
        if header.version == 0 {
            return Err(
                Error::data(format!("`{key}` is {name} of version 0, which never was"))
                    .with_hint(RESTORE),
            );
        }
        Ok(header)
    }

    /// Creates the error of a record that has passed [`RecordHeader::parse`] and yet cannot be read.
    pub(crate) fn unreadable(
        &self,
        kind: RecordKind,
        key: &Path,
        error: serde_json::Error,
    ) -> Error {
        let name = kind.name;
        match self.checksum {
            // It is as it was written, so its writer knew more.
            Some(_) => self
                .newer(key, &format!("{name} with members"))
                .with_source(error),
            None => Error::data(format!("`{key}` is not {name}"))
                .with_source(error)
                .with_hint(RESTORE),
        }
    }

    /// Creates the error of a record of a newer program. `what` is the part that is not known.
    pub(crate) fn newer(&self, key: &Path, what: &str) -> Error {
        let writer = self.writer.as_deref().unwrap_or("an unnamed version");
        Error::outdated(format!(
            "`{key}` is {what} that {WRITER} does not know; {writer} wrote it"
        ))
        .with_hint("use a newer dayport, at least the version that wrote it")
    }

    /// Sets the writer of a record whose header has none.
    #[must_use]
    pub(crate) fn or_writer(mut self, writer: Option<String>) -> Self {
        self.writer = self.writer.or(writer);
        self
    }
}
