//! The files that a scan reads: Hive folders of a location, pruned by the query, frozen as a list.
//!
//! ```text
//! Location ─expand→ folders, pruned by partition_filter, time_bounds and hive_time ─list→ SourceFiles
//!    ─snapshot→ FrozenFiles (key, size, ETag) and their digest
//! ```

pub(crate) mod expand;
pub(crate) mod hive;
pub(crate) mod hive_time;
pub(crate) mod location;
pub(crate) mod partition_filter;
pub(crate) mod snapshot;
pub(crate) mod time_bounds;

pub use self::snapshot::FrozenFile;
