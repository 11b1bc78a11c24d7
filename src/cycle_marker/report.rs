//! The outcome of the markers of a run, as its report shows them.

use serde::Serialize;

use crate::cycle::Cycle;
use crate::error::{Error, ErrorKind};
use crate::layout::TableName;

/// The state of one cycle after a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CycleReport {
    /// The cycle.
    pub cycle: Cycle,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: CycleOutcome,
}

/// The outcome of examining one cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CycleOutcome {
    /// Every table is published, and this run wrote the marker that says so.
    Complete {
        /// The revision of the marker.
        revision: u32,
        /// The key of the marker.
        marker: String,
        /// The number of tables.
        tables: u64,
        /// The number of rows of all tables.
        rows: u64,
    },
    /// The marker was there, and is still true.
    AlreadyComplete {
        /// The revision of the marker.
        revision: u32,
        /// The key of the marker.
        marker: String,
    },
    /// The cycle waits for tables, and has no marker.
    Incomplete {
        /// The tables that are missing, awaited or failed.
        missing: Vec<TableName>,
        /// Those of `missing` that have no definition here: another runner exports them, or they were
        /// removed.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        undefined: Vec<TableName>,
    },
    /// The marker is no longer true, and this run, or one before it, withdrew it.
    Withdrawn {
        /// The revision of the marker that says so.
        revision: u32,
        /// The key of that marker.
        marker: String,
        /// The tables that the cycle waits for.
        missing: Vec<TableName>,
    },
    /// It is not known whether the cycle is complete, or its marker is not written. The next run tries
    /// again.
    Failed(MarkerFailure),
}

/// The reason why markers are not written. Tables are published without them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MarkerFailure {
    /// The chain of causes, in one line.
    pub error: String,
    /// The advice to the operator, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The kind of the error.
    #[serde(skip)]
    pub kind: ErrorKind,
    /// True if a right is missing, which tables do not need.
    #[serde(skip)]
    pub is_forbidden: bool,
}

impl MarkerFailure {
    /// Returns true if the store fails or refuses, and would do so for other cycles.
    pub(super) fn is_of_the_store(&self) -> bool {
        self.is_forbidden || self.kind == ErrorKind::Unavailable
    }
}

impl From<&Error> for MarkerFailure {
    fn from(error: &Error) -> Self {
        Self {
            error: error.chain(),
            hint: error.hint().map(str::to_owned),
            kind: error.kind(),
            is_forbidden: error.is_forbidden(),
        }
    }
}

/// The markers of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MarkedCycles {
    /// The cycles that were examined, oldest first.
    pub cycles: Vec<CycleReport>,
    /// The reason why no cycle could be examined.
    pub failure: Option<MarkerFailure>,
}

impl CycleOutcome {
    /// Returns the failure, if this is one.
    pub fn failure(&self) -> Option<&MarkerFailure> {
        match self {
            CycleOutcome::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}
