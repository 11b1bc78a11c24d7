//! Staging: writes rows into files that nobody can see yet.
//!
//! ```text
//! COPY … ─format→ StagedWriteExec ─splitter→ (Partition, rows) ─rolling_file→ encode → upload, completion withheld
//!                     └→ one row for each staged file, back to the caller that runs the plan
//! ```
//! [`StageFormats`] replaces DataFusion's file formats, so that a plain `COPY` plans into
//! [`StagedWriteExec`]. The plan determines the columns and the encoding ([`StageSpec`]); the run
//! determines the destination and the names ([`StagingSession`], an extension of the session that
//! executes the plan).
//!
//! | file | concept |
//! |---|---|
//! | `format`, `format_binding`, `encoding_options`, `spec` | the door to DataFusion, and what a `COPY` writes |
//! | `exec`, `staged_rows` | the operator, and staged files as its rows |
//! | `session`, `shard_numbers` | uploads with withheld completion, and their names |
//! | `partitioned_writer`, `combined_schema`, `splitter`, `open_partition` | rows to partitions, each written by a task |
//! | `spill_sort`, `clustered_writer` | rows of partitions that have no open file |
//! | `rolling_file`, `shard_writer`, `file_memory`, `compression_limit` | the rows of one partition to files |
//! | `window_check`, `row_tap` | rows outside of the cycle; what sees all rows |
//! | `checked_rows` | the same rows with the same checks, without files |

mod checked_rows;
mod clustered_writer;
mod combined_schema;
mod compression_limit;
mod encoding_options;
mod exec;
mod file_memory;
mod format;
mod format_binding;
mod open_partition;
mod partitioned_writer;
mod rolling_file;
mod row_tap;
mod session;
mod shard_numbers;
mod shard_writer;
mod spec;
mod spill_sort;
mod splitter;
mod staged_rows;
mod window_check;

pub use checked_rows::CheckedRows;
pub use compression_limit::CompressionLimit;
pub use encoding_options::EncodingOptions;
pub use exec::{DistributionMode, StagedWriteExec};
pub use format::{StageFormats, spec_of};
pub use partitioned_writer::PartitionedWriter;
pub use row_tap::{InstalledTap, RowTap};
pub use session::{Progress, StagingConfig, StagingSession};
pub use shard_numbers::{NumberingHistory, WriterIndex};
pub use spec::{CopyContext, StageSpec, WindowColumn};
pub use splitter::PartitionRows;
pub use staged_rows::{staged_files, staged_rows, staged_schema};
