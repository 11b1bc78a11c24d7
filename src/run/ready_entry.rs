//! A log entry that is ready to be committed.

use crate::books::Balance;
use crate::delivery::{LogEntry, Published};
use crate::error::Error;
use crate::run::report::TableOutcome;
use crate::scan::MissingSource;
use crate::scan::absent::AbsentColumn;
use crate::schema_evolution::Change;

/// A log entry that may be committed, and what the report says beside it.
pub(super) struct ReadyEntry {
    pub(super) entry: LogEntry,
    /// The books, with the figures that the manifest may not have.
    pub(super) balance: Balance,
    /// The keys of the foreign objects that were found.
    pub(super) foreign: Vec<String>,
    /// The sources without a file for the cycle, which the query could do without.
    pub(super) missing: Vec<MissingSource>,
    /// The columns for which no line had a value, in no cycle.
    pub(super) absent: Vec<AbsentColumn>,
    /// The changes against the table as it was published before.
    pub(super) changes: Vec<Change>,
}

impl ReadyEntry {
    /// Returns the outcome once the entry is published.
    pub(super) fn outcome(self, published: Published) -> TableOutcome {
        let Published {
            manifest,
            schema_file_error,
        } = published;
        TableOutcome::Published {
            revision: manifest.revision,
            rows: manifest.rows,
            files: manifest.files.len() as u64,
            bytes: manifest.bytes,
            manifest: manifest.name().path().to_string(),
            sources: manifest.sources,
            balance: Box::new(self.balance),
            provisional: manifest.provisional,
            cause: manifest.cause.map(Box::new),
            rejects: manifest.rejects,
            replaced: manifest.replaced,
            foreign: self.foreign,
            missing: self.missing,
            absent: self.absent,
            changes: self.changes.iter().map(ToString::to_string).collect(),
            schema_file_error: schema_file_error.as_ref().map(Error::chain),
        }
    }
}
