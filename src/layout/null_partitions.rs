//! The folders of rows that have NULL in a partition column.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Hive's name of the partition for NULL; a string value spelled like this would be read back as NULL.
pub const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The declared values of folders for NULL, by partition column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NullPartitions(BTreeMap<String, String>);

impl NullPartitions {
    /// Creates them from the values of columns.
    pub fn new(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }

    /// Returns the value of the folders for NULL in a column, if one is declared.
    pub fn value_of(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(String::as_str)
    }

    /// Returns true if none is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if readers of the folders take the value of a column for NULL, and not for a value.
    pub fn is_hive_null(&self, column: &str) -> bool {
        self.value_of(column) == Some(HIVE_NULL)
    }
}
