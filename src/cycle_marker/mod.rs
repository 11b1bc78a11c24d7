//! Markers of complete cycles: one object says that every table of a cycle is published.
//!
//! ```text
//! outcomes of a run, names of manifests and markers ─decide (pure)→ tables of each cycle
//!    ─write→ inspect the logs of other tables → read the manifests → cycles/<cycle>.r<N>.json (create-if-absent)
//!                                                                  → latest.json (overwritten)
//!                         before it, if they are asked for: marks → marks/success, marks/symlink (overwritten)
//! ```
//! A marker is written after the manifests that it names, by the last run that publishes a table of the
//! cycle: each run lists the manifests after its own are written, so that of two runs at least one sees
//! the manifests of both. Markers are immutable. If a table of a marked cycle gets another revision, so
//! does the marker; if a rerun fails halfway, the next revision withdraws it.

mod decide;
mod latest;
mod marks;
mod names;
mod read;
mod report;
mod reruns;
mod settled;
mod write;

pub use decide::ExportTables;
pub(crate) use decide::out_of_date;
pub use marks::Mark;
pub(crate) use names::{ListedRevision, MarkerNames, PublishedNames};
pub(crate) use read::{find_newest_marker, read_marker};
pub(crate) use report::MarkedCycles;
pub use report::{CycleOutcome, CycleReport, MarkerFailure};
pub(crate) use write::{DeliveredTables, MarkerWriter};
