//! Scans of sources: DataFusion tables over listed files, shared between the tables of a cycle.
//!
//! ```text
//! SourceTable ─plan→ JsonLinesExec | DataFusion's Parquet reader → RecordBatches
//!    shared: one scan of a source for all tables that read it
//!    filter: the conditions of a query on the rows of a scan
//!    scan_log: the files and rows that were read, on record
//! ```

pub(crate) mod batch_channel;
pub(crate) mod columns_read;
pub(crate) mod filter;
pub(crate) mod fixed_table;
pub(crate) mod json;
pub(crate) mod nested_projection;
pub(crate) mod parquet_views;
pub(crate) mod plan;
pub(crate) mod planned;
pub(crate) mod rejects;
pub(crate) mod sample;
pub(crate) mod scan_log;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod table;

pub use self::columns_read::Reads;
pub use self::filter::majority_split::keep_apart;
pub use self::fixed_table::FixedTable;
pub use self::planned::PlannedSource;
pub use self::rejects::{MaxRejects, Reject};
pub use self::sample::{Sample, sample};
pub use self::scan_log::{ScanLog, ScanProgress, SourceScan};
pub use self::search::{Found, Position, SourceFiles, declared_name};
pub use self::shared::{Gathering, Offers, Passes, Seat};
pub use self::table::SourceFormat;
