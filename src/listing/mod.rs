//! The files of a scan: Hive folders, or folders and files by a pattern, listed and pruned by the query, and a
//! snapshot of the list.
//!
//! ```text
//! LOCATION ─location_split→ SourceLocation, PathPattern (name_pattern: one name, time_parts: its time)
//! SourceLocation ─expand→ folders, pruned by partition_filter, time_bounds and time_folders → SourceFiles
//!    └ with a PathPattern: pattern_files;   passed_over: names that are no data, or not of the pattern
//!    ─cycle_folders→ true if one lies in a folder of the cycle itself
//!    ─snapshot→ SnapshotFiles (key, size, ETag) and their digest
//!    ─file_groups→ groups of about the same size, one for each task
//! ```

mod below;
pub(crate) mod cycle_folders;
pub(crate) mod expand;
pub(crate) mod file_groups;
pub(crate) mod hive;
pub(crate) mod hive_time;
pub(crate) mod location;
pub(crate) mod location_split;
pub(crate) mod memo;
mod name_pattern;
pub(crate) mod partition_filter;
pub(crate) mod passed_over;
pub(crate) mod path_pattern;
mod pattern_files;
pub(crate) mod snapshot;
pub(crate) mod time_bounds;
pub(crate) mod time_folders;
mod time_parts;
