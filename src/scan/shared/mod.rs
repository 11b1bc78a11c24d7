//! Shared scans: tables of a cycle that read the same source read it once.
//!
//! ```text
//! table ─Participant→ plan, whose scans are ScanRequests ─┐
//! table ─Participant→ plan …                              ├→ ScanBarrier: when all have joined or
//! table ─Participant→ nothing to do, or failed ───────────┘  left, requests are assigned to SharedScans
//!    SharedScan: files ─read once, the union of columns→ batches ─BatchSender→ each plan, its own columns
//! ```
//! Batches are forwarded without copies and at the pace of the slowest plan (backpressure), so that
//! memory stays bounded. A plan takes part in one shared scan at most, with one of its scans: two
//! scans of one plan may wait for each other, and two plans may read two sources in opposite order.
//! Its other scans read their files themselves. A plan that ends or fails leaves the shared scan to
//! the others.

pub(crate) mod barrier;
pub(crate) mod parquet;
pub(crate) mod request;
mod shared_scan;
