//! Audits: rules for the rows of a cycle, which are checked before these are published.
//!
//! ```text
//! Audit ─bind→ BoundAudits ─start→ AuditRun ←─ tap ── rows of the cycle, before they are encoded
//!    rows one by one:  a condition over each batch; values that are unique; the newest time
//!    rows read once:   a query beside the export, over a bounded channel
//!    any other query:  over a local spill of the rows, once they are staged
//!                                    └─finish→ AuditResult of each, with keys and rows that break it
//! ```
//! The run decides what that means for the publication. `docs/audits.md` has the language of the audits.

mod bound;
mod distinct;
mod failing_rows;
mod newest;
mod query_rule;
mod report;
mod row_count;
mod row_rule;
mod row_spill;
mod running;
mod this_table;

pub(crate) use bound::{AuditScope, BoundAudits};
pub(crate) use failing_rows::FailingRow;
pub use report::AuditResult;
pub(crate) use report::failing_summary;
pub(crate) use row_count::AuditedCycle;
pub(crate) use running::AuditRun;
