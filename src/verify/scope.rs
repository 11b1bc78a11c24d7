//! The scope of a verification: tables, cycles, depth.

use crate::cycle::Cycle;
use crate::layout::TableName;

/// The scope of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifyScope {
    /// The tables; empty for all of them, and then also for objects that belong to no table.
    pub tables: Vec<TableName>,
    pub cycles: VerifyCycles,
    pub depth: VerifyDepth,
    /// True if ETags are not compared, since the export was copied.
    pub ignores_etags: bool,
    /// The maximum number of files that are read concurrently.
    pub jobs: usize,
}

/// The cycles to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VerifyCycles {
    All,
    /// A range of cycles, both ends included. Extra objects are searched only in the folders of the
    /// files of these cycles.
    Range {
        first: Cycle,
        last: Cycle,
    },
}

impl VerifyCycles {
    /// Returns true if the cycle is verified.
    pub(crate) fn contains(&self, cycle: Cycle) -> bool {
        match self {
            VerifyCycles::All => true,
            VerifyCycles::Range { first, last } => (*first..=*last).contains(&cycle),
        }
    }
}

/// The depth of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VerifyDepth {
    /// Names, sizes and ETags.
    Quick,
    /// Every byte of every file.
    Full,
}
