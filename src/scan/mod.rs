//! Scans of sources: DataFusion tables over listed files, shared between the tables of a cycle.
//!
//! ```text
//! SourceTable ─plan→ JsonLinesExec | DataFusion's Parquet reader → RecordBatches
//!    shared: one scan of a source for all tables that read it
//!    filter: the conditions of a query on the rows of a scan
//!    nested_projection: the leaves of columns that a query uses
//!    record, scan_log: the files and rows that were read, on record
//! ```

mod batch_channel;
pub(crate) mod columns_read;
pub(crate) mod filter;
pub(crate) mod fixed_table;
pub(crate) mod json;
pub(crate) mod nested_projection;
mod parquet_views;
mod plan;
pub(crate) mod planned;
pub(crate) mod record;
pub(crate) mod rejects;
pub(crate) mod sample;
pub(crate) mod scan_log;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod spec;
pub(crate) mod table;

pub use self::rejects::MaxRejects;
