//! Source files that arrived after their cycle was published, and what becomes of the cycle.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::manifest::Cause;
use crate::scan::MissingSource;

/// The maximum number of files that manifest and report name.
pub(super) const MAX_NAMED: usize = 20;

/// The source files of a published cycle that it was not read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LateFiles {
    /// The published revision, which lacks them.
    pub revision: u32,
    /// The number of files that were added.
    pub added: u64,
    /// The number of files that were changed.
    pub changed: u64,
    /// The URLs of the first of these files.
    pub files: Vec<String>,
    /// The digest of the present lists of all sources.
    #[serde(skip)]
    pub(super) digest: String,
}

/// What becomes of a cycle with late files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It is published again.
    Due,
    /// It is not: its rows would be the same.
    SameRows,
    /// It is not: it has been final since this time.
    Final {
        /// The time.
        since: DateTime<Utc>,
    },
    /// It is not: source files that it was read from are gone, and their rows would be lost.
    SourceGone {
        /// The URL of the first of them.
        first: String,
    },
    /// It is not: its query gives other rows each time, and it was published again once.
    NotComparable,
    /// It is not yet: its sources are not ready again, or files that it needs are not there.
    Awaited {
        /// The sources.
        sources: Vec<MissingSource>,
    },
}

impl LateFiles {
    /// Returns the cause to record of a revision with these files.
    pub(super) fn cause(&self, rows: u64, rows_before: u64) -> Cause {
        let difference = i128::from(rows) - i128::from(rows_before);
        Cause::LateSource {
            added: self.added,
            changed: self.changed,
            files: self.files.clone(),
            rows_difference: i64::try_from(difference).unwrap_or_default(),
        }
    }
}
