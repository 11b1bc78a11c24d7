//! Integration tests: the program as a process, against a folder and against a real S3 endpoint.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod architecture;
mod boundaries;
mod check;
#[cfg(feature = "cluster")]
mod cluster;
mod comfort;
mod crash;
mod definitions;
mod delivery;
mod enforced;
mod export;
mod failures;
mod faults;
mod fixtures;
mod logs;
mod manifest;
mod memory;
mod plan;
mod policy;
mod query;
mod races;
mod readers;
mod s3;
mod s3_settings;
mod serve;
mod shared_scan;
mod shell;
mod status;
mod support;
mod trace;
mod transcripts;
mod verify;
mod wait;
mod world;
