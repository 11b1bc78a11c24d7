//! Errors of reading a file of JSON lines.

use std::io;

use crate::error::Error;
use crate::jsonl::FileError;

/// Converts an error of a reader: into our own, if the reader of stored bytes failed with one, else
/// into one of the file `key`.
pub(crate) fn read_error(key: &str, error: io::Error) -> Error {
    let content_error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(other) => other,
    };
    if let Some(file_error) = FileError::of(&content_error) {
        return Error::data(format!("`{key}` {file_error}")).with_hint(file_error.hint());
    }
    if content_error.kind() == io::ErrorKind::UnexpectedEof {
        let message = format!("`{key}` is cut off: its compressed data does not end");
        return Error::data(message).with_source(content_error);
    }
    Error::data(format!("`{key}` cannot be decompressed"))
        .with_source(content_error)
        .with_hint("its compressed data is damaged: replace or remove the file")
}
