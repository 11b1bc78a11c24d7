//! Verifies published files against their manifests.
//!
//! ```text
//! manifests, newest log entry ─published→ PublishedTable ┐
//!                       data/<table>/ ─one listing→ Listing ┴ plan (pure) → findings, files to read
//!                                            files ─check, each byte once→ findings → VerifyReport
//! markers of complete cycles ─markers→ findings
//! ```
//! Only the files that make up a table now are verified: of an incremental table those of the newest
//! revision of every cycle, of a snapshot those of its newest cycle alone. Nothing is written, and the
//! store is only listed and read.

mod check;
mod destination;
mod markers;
mod plan;
mod progress;
mod published;
mod report;
mod scope;
mod stray;

pub(crate) use destination::verify;
pub(crate) use progress::{NoProgress, VerifyProgress};
pub(crate) use report::VerifyReport;
pub(crate) use scope::{VerifyCycles, VerifyDepth, VerifyScope};
