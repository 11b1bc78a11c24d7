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
//! [`lone_footer`] reads a footer without rows, and [`page_checksums`] the head of a page.

mod adapter;
mod checked_expr;
mod comparison;
mod damage;
mod footer;
mod int96;
pub(crate) mod lone_footer;
pub(crate) mod misplaced;
mod morsels;
mod open_file;
pub(crate) mod page_checksums;
mod reader;
pub(crate) mod row_group_memory;
mod rule;
pub(crate) mod source;
mod stored_as;
