//! A small export that is disturbed and checked: its tables and raw files, and an independent reader.

mod raw;
mod reader;

pub(crate) use raw::{Raw, date};
pub(crate) use reader::Reader;

/// The first published cycle.
pub(crate) const FIRST_DAY: u32 = 5;
