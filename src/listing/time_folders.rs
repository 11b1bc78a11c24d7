//! The folders and files whose names have the time of their rows.

use std::ops::Range;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::listing::hive_time::{HiveTime, Nanos};
use crate::listing::path_pattern::PathPattern;

/// The rule by which a path has the time of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TimeFolders {
    /// Hive folders.
    Hive(HiveTime),
    /// Names by the pattern of a LOCATION.
    Pattern(Box<PathPattern>),
}

impl TimeFolders {
    /// Recognises the columns of Hive folders by their names, or the time of a pattern.
    pub(crate) fn recognise(
        partition_fields: &[FieldRef],
        pattern: Option<&PathPattern>,
    ) -> Option<Self> {
        match pattern {
            None => HiveTime::recognise(partition_fields).map(Self::Hive),
            Some(pattern) => {
                let with_time = || Self::Pattern(Box::new(pattern.clone()));
                pattern.has_time().then(with_time)
            }
        }
    }

    /// Returns true if the partition column with this index contains a part of the time.
    pub(crate) fn has(&self, column: usize) -> bool {
        match self {
            Self::Hive(folders) => folders.has(column),
            Self::Pattern(pattern) => pattern.is_time(column),
        }
    }

    /// Returns the time of the rows of a file as a half-open range; `None` if its folders do not bound it.
    pub(crate) fn range(&self, key: &Path, partition: &[ScalarValue]) -> Option<Range<Nanos>> {
        match self {
            Self::Hive(folders) => folders.range(partition),
            Self::Pattern(pattern) => pattern.range(key),
        }
    }
}
