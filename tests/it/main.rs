//! Integration tests: the program as a process, against a folder and against a real S3 endpoint.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod absent_columns;
mod architecture;
mod audits;
mod books;
mod boundaries;
mod cases;
mod check;
mod check_editors;
#[cfg(feature = "cluster")]
mod cluster;
mod comfort;
mod complete_cycles;
mod crash;
mod days;
mod definitions;
mod delivery;
mod diff;
mod documents;
mod enforced;
mod export;
mod failures;
mod faults;
mod fixtures;
mod folders;
mod full_disk;
mod growing;
mod init;
mod key_case;
mod logs;
mod manifest;
mod memory;
mod misplaced;
mod null_partitions;
mod odd_names;
mod page_checksums;
mod plan;
mod policy;
mod query;
mod query_rejects;
mod races;
mod readers;
mod records;
mod refused;
mod rejected_lines;
mod s3;
mod s3_settings;
mod seeded_days;
mod serve;
mod shared_scan;
mod shell;
mod spill;
mod sql_files;
mod status;
mod support;
mod time_texts;
mod time_units;
mod trace;
mod transcripts;
mod verify;
mod version_skew;
mod wait;
mod wide_rows;
mod window;
mod world;

use crash::faulty_store;
