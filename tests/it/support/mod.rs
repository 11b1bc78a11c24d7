//! The harness of the scenarios.
//!
//! ```text
//! Sandbox ── dayport as a child process ──> TestDestination (a folder | a bucket of the in-process server)
//!    └ sql/, raw/                             └ published.rs, rows.rs: read back without dayport
//! ```
//! Nothing here uses dayport's own code: published objects are listed with the file system or from
//! the server's memory, manifests are parsed as plain JSON, and files are decoded by other crates.

mod command_output;
mod destination;
mod instant;
mod published;
mod raw;
mod records;
mod rows;
mod sandbox;
mod selftest;

pub(crate) use command_output::CommandOutput;
pub(crate) use destination::{BUCKET, TestDestination, files_below};
pub(crate) use instant::instant;
pub(crate) use published::{check_data, check_published, check_tidy, current_manifests, manifest};
pub(crate) use raw::{gzip, lines};
pub(crate) use records::{check_checksum, damage, rewrite};
pub(crate) use rows::{decode, number_of, rows, sorted};
pub(crate) use sandbox::{FIRST_DAY, SECOND_DAY, Sandbox, THIRD_DAY, repository};

/// Makes two tests of each scenario `fn(TestDestination)`: one with a folder, one with a bucket.
macro_rules! for_each_destination {
    ($($scenario:ident),+ $(,)?) => {
        mod local {
            $(#[test] fn $scenario() { super::$scenario(crate::support::TestDestination::local()); })+
        }
        mod s3 {
            $(#[test] fn $scenario() { super::$scenario(crate::support::TestDestination::s3()); })+
        }
    };
}
pub(crate) use for_each_destination;
