//! Scans of sources: DataFusion tables over listed files, shared between the tables of a cycle.
//!
//! ```text
//! SourceTable ─plan→ JsonLinesExec | DataFusion's Parquet reader → RecordBatches
//!    parquet: files as the declared columns, every value exactly
//!    shared: one scan of a source for all tables that read it
//!    filter: the conditions of a query on the rows of a scan
//!    nested_projection: the leaves of columns that a query uses
//!    absent: columns without any value, and the rules for them
//!    key_log: declared keys that lines spell in another case
//!    misplaced: rows outside of the time of their folder, which no cycle reads
//!    reject_limit: the decision whether a source has too many malformed lines, bytes or files
//!    awaited: the decision whether a cycle waits for files of its sources
//!    ready_rule, readiness: whether a source is ready for a cycle
//!    windowed: the files that a cycle would be read from now
//!    executed: the scan that an operator of an executed plan does
//!    record, scan_log: the files and rows that were read, on record
//! ```

pub(crate) mod absent;
pub(crate) mod awaited;
mod batch_channel;
pub(crate) mod columns_read;
pub(crate) mod executed;
mod file_rejects;
pub(crate) mod filter;
pub(crate) mod fixed_table;
pub(crate) mod json;
pub(crate) mod key_log;
mod limit;
mod line_text;
pub(crate) mod misplaced;
pub(crate) mod misplaced_report;
pub(crate) mod missing;
pub(crate) mod nested_projection;
pub(crate) mod parquet;
mod passed_over_report;
mod plan;
pub(crate) mod planned;
pub(crate) mod readiness;
pub(crate) mod ready_rule;
pub(crate) mod record;
pub(crate) mod reject_limit;
mod reject_log;
mod reject_runs;
pub(crate) mod rejects;
pub(crate) mod sample;
pub(crate) mod scan_log;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod spec;
pub(crate) mod table;
pub(crate) mod windowed;

pub use self::awaited::MissingFiles;
pub use self::misplaced_report::MaxMisplaced;
pub use self::missing::{AwaitRule, MissingSource, NotReady};
pub use self::rejects::{KeepRejects, MaxRejects};
