//! Marks on the columns of a file whose Arrow type does not say all about how they are stored.

use std::collections::HashMap;

use datafusion::arrow::datatypes::Field;

/// The key of the mark in the metadata of a field.
const KEY: &str = "dayport.stored_as";

/// The form in which a column is stored, where its Arrow type does not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredAs {
    /// Instants of the deprecated type INT96, read as their 12 bytes.
    Int96,
    /// Bytes that the file does not declare as UTF-8: the reader does not look into them.
    UncheckedText,
}

impl StoredAs {
    /// Returns the mark of a field, if it has one.
    pub(super) fn of(field: &Field) -> Option<Self> {
        match field.metadata().get(KEY).map(String::as_str) {
            Some("int96") => Some(Self::Int96),
            Some("unchecked_text") => Some(Self::UncheckedText),
            _ => None,
        }
    }

    /// Returns the field with the mark.
    pub(super) fn mark(self, field: Field) -> Field {
        let text = match self {
            Self::Int96 => "int96",
            Self::UncheckedText => "unchecked_text",
        };
        let mut metadata: HashMap<String, String> = field.metadata().clone();
        metadata.insert(KEY.to_owned(), text.to_owned());
        field.with_metadata(metadata)
    }
}
