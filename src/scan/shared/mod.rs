//! One pass over a source for all tables of a cycle that read it.
//!
//! ```text
//! table ─Seat→ plan, whose scans make Offers ─┐
//! table ─Seat→ plan …                         ├→ Gathering: all have come or left → Passes are formed
//! table ─Seat→ nothing to do, or failed ──────┘
//!    pass: files ─read once, what any of them uses→ batches ─Feed→ each plan takes its own columns
//! ```
//! Batches are handed on without copies, and at the pace of the slowest plan, so that memory stays
//! bounded. A plan has a place in one pass at most, and in that with one of its scans: two scans of
//! one plan may wait for each other, and two plans may read two sources in opposite order. Its other
//! scans read for themselves. A plan that ends or fails leaves the pass to the others.

pub(crate) mod barrier;
pub(crate) mod parquet;
pub(crate) mod request;
pub(crate) mod shared_scan;

pub use self::barrier::{Gathering, Passes, Seat};
pub use self::request::Offers;
