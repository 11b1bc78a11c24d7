//! Integration tests: the program as a process, against a folder and against a real S3 endpoint.

mod architecture;
mod boundaries;
mod crash;
mod definitions;
mod delivery;
mod export;
mod failures;
mod faults;
mod fixtures;
mod manifest;
mod memory;
mod query;
mod races;
mod readers;
mod s3;
mod s3_settings;
mod share;
mod shell;
mod support;
mod trace;
mod transcripts;
mod verify;
mod wait;
mod world;
