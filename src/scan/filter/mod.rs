//! The conditions of a query, evaluated on the batches of a scan.

pub(crate) mod filter_kernel;
pub(crate) mod majority_split;
pub(crate) mod row_filter;
