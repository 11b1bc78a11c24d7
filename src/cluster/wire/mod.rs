//! Operators and errors as bytes that travel between the machines of a cluster.

pub(super) mod codec;
pub(super) mod error;
