//! The staged write of a plan, by several writers on other machines.
//!
//! ```text
//! StagedWriteExec ─driver→ RemoteStagedWriteExec, one writer for each partition of its input
//!    writer: rows ─forwarding_writer→ staged files; partitions with few rows are forwarded
//!    ─GatherExec→ the last writer, which stages the forwarded rows of all others
//! ```
//! The writers do not communicate: each numbers its files by its index
//! ([`WriterIndex`](crate::stage::WriterIndex)), and aborts its uploads unless it comes to its end.

mod exec;
mod forwarded_rows;
mod forwarding_writer;
mod gather;
mod remote_writer;
mod small_partitions;
mod staging_config;
mod task;

pub(super) use exec::RemoteStagedWriteExec;
pub(super) use forwarded_rows::remote_files;
pub(super) use gather::GatherExec;
pub(super) use staging_config::{Destinations, RemoteStagingConfig};
pub(super) use task::RemoteWriteTask;
