//! Filters of a query, evaluated on the batches of a scan.
//!
//! ```text
//! batches ─predicate→ flags of rows ─majority_split→ majority, rest
//!    ─filter_kernel→ copied rows ─batch_coalescer→ batches of thousands of rows
//! ```

mod batch_coalescer;
mod filter_kernel;
mod filter_stream;
mod majority_split;
mod predicate;
pub(crate) mod row_filter;
pub(crate) mod split_pushdown;
#[cfg(test)]
mod tests;
