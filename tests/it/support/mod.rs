//! What every scenario stands on.
//!
//! ```text
//! Sandbox ── dayport as a child process ──> Place (a folder | a bucket of the in-process server)
//!    └ sql/, raw/                             └ published.rs, rows.rs: read back without dayport
//! ```
//! Nothing here uses dayport's own code: what was published is listed with the file system or from
//! the server's memory, manifests are plain JSON, and files are decoded with the crates themselves.

mod instant;
mod place;
mod published;
mod ran;
mod raw;
mod rows;
mod sandbox;
mod selftest;

pub(crate) use instant::instant;
pub(crate) use place::{BUCKET, Place};
pub(crate) use published::{check_data, check_published, check_tidy, current_manifests, manifest};
pub(crate) use ran::Ran;
pub(crate) use raw::{gzip, lines};
pub(crate) use rows::{decode, number_of, rows, sorted};
pub(crate) use sandbox::{FIRST_DAY, SECOND_DAY, Sandbox, THIRD_DAY, repository};

/// One test for each place out of each scenario `fn(Place)`.
macro_rules! in_both_places {
    ($($scenario:ident),+ $(,)?) => {
        mod local {
            $(#[test] fn $scenario() { super::$scenario(crate::support::Place::local()); })+
        }
        mod s3 {
            $(#[test] fn $scenario() { super::$scenario(crate::support::Place::s3()); })+
        }
    };
}
pub(crate) use in_both_places;
