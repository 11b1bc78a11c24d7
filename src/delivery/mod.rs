//! Publishes staged files as a table: exactly once, whatever breaks.
//!
//! ```text
//! recover ─History→ decide (pure) ─Publication→ … stage … ─StagedFile→ commit ─LogEntry→ publish → manifest
//!    ↑ finishes or voids what the previous entry left pending   ↑ one atomic put, create-if-absent
//! ```
//! The only commit point is the create-if-absent put of the next log entry ([`commit()`]). The entry
//! holds all that is needed to finish: the manifest and the upload tokens. The next run, on any
//! machine, finishes or voids it first ([`recover()`]), so an upload of an older entry can never
//! overwrite the files of a newer one. File names that were retired are never reused, so a late
//! delete cannot hit a live file. Every step is idempotent.

mod commit;
mod condition;
mod decide;
mod entry_text;
mod history;
mod log;
mod log_store;
mod ownership;
mod publish;
mod recover;
mod reread;

pub(crate) use commit::{Commit, commit};
pub use condition::ConditionProof;
pub(crate) use decide::{Decision, Publication, decide};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use entry_text::parse as parse_entry;
pub(crate) use history::{History, read_manifest, read_manifest_and_digest};
pub(crate) use log::{LogAction, LogEntry, PendingUpload, TableState};
pub(crate) use log_store::newest as newest_entry;
pub(crate) use ownership::{require_own_files, require_own_keys};
pub(crate) use publish::{Publish, Published, publish};
pub(crate) use recover::{InspectedTable, PendingWork, inspect, recover};
pub(crate) use reread::read as read_record;
