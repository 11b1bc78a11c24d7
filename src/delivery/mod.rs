//! Staged files into a published table: exactly once, whatever breaks.
//!
//! ```text
//! recover ─History→ decide (pure) ─Publication→ … stage … ─StagedFile→ commit ─LogEntry→ publish → manifest
//!    ↑ finishes or voids what the entry before left open        ↑ one put, create-if-absent
//! ```
//! The only commit point is the create-if-absent put of the next log entry ([`commit`]). It holds all
//! that is needed to finish: the manifest and the upload tokens. Whoever comes next, on any machine,
//! finishes or voids it first ([`recover`]), so an upload of an older entry can never overwrite the
//! files of a newer one. Names that were given up are never used again, so a late delete hits nobody.

mod commit;
mod decide;
mod history;
mod log;
mod publish;
mod recover;

pub use commit::{Commit, commit};
pub use decide::{Decision, Publication, decide};
pub use history::{History, read_manifest};
pub use log::{Action, LogEntry, PendingUpload, newest as newest_entry};
pub use publish::{Publish, publish};
pub use recover::{Open, State, inspect, recover};
