//! Scans in tasks on other machines.
//!
//! ```text
//! JsonLinesExec ─distribute→ RemoteJsonExec ← file lists: for each partition, its files as rows
//! DataSourceExec (Parquet) ─distribute→ RowCountExec ← the same scan, partition indexes
//! ```
//! A scheduler cuts a plan by cutting the scans that it knows. It does not know ours, so the files
//! of a JSON scan are the rows of a scan that it knows. The counts of the scans come back in the
//! plan's metrics ([`RemoteCounts`](crate::cluster::counts::RemoteCounts)).

mod distribute;
mod file_list;
mod json;
mod rejects;
mod row_count;
#[cfg(test)]
mod tests;

pub(super) use distribute::{apply_counts, distribute_scans};
pub(super) use json::{RemoteJsonExec, RemoteJsonTask};
pub(super) use row_count::RowCountExec;
