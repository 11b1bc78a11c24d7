//! Parquet files as the declared columns: every value exactly, or an error with the name of the file.
//!
//! ```text
//! CheckedParquetSource ─for each file→ DataFusion's reader with
//!    reader: the footer, prepared (footer, int96, stored_as), and the row that is read (open_file)
//!    row_group_memory: what is fetched and decoded, counted against the memory limit
//!    adapter: expressions of the query → CheckedExpr over the file's columns (rule, comparison)
//!    misplaced: rows outside of the time of their folder
//!    morsels: errors and panics of the reader, with the file and the column (damage)
//! ```
//! [`row_count`] reads a footer alone.

mod adapter;
mod checked_expr;
mod comparison;
mod damage;
mod footer;
mod int96;
pub(crate) mod misplaced;
mod morsels;
mod open_file;
mod reader;
pub(crate) mod row_count;
pub(crate) mod row_group_memory;
mod rule;
pub(crate) mod source;
mod stored_as;
