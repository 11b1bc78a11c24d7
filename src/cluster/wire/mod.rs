//! Operators and errors as bytes that travel between the machines of a cluster.

pub mod codec;
pub mod error;
