//! Decides whether a cycle has to wait for its source files, from the scans of its plan.
//!
//! A source that has no file for the cycle is late, or has nothing to say: nobody can tell. Published,
//! the cycle would be empty for good. So it waits
//! - if every scan that the cycle limits through the folders has no file in the cycle's own folders, or
//! - if the files that are missing leave the query without input: one side of an inner join, the left
//!   side of a left join, all inputs of a union. An aggregate over no input counts as no input.
//!
//! A source whose `date` or `year` folders are not declared to hold the time (`time_column`) is read
//! whole. If its folders of the cycle have no file, the cycle waits once the query has yielded no row.
//!
//! A file of no bytes is a file. Files that a missing source is only joined to by a left join, or that
//! other inputs of a union have, are published, with the missing source on record.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use crate::error::{Error, Result};
use crate::scan::missing::{AwaitRule, MissingSource, NotReady, filters_key};
use crate::scan::record::Scan;
use crate::scan::scan_log::ScanLog;
use crate::scan::table::SourceTable;

/// The sources without a file for the cycle, and what follows from that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingFiles {
    /// The sources, sorted by name.
    pub sources: Vec<MissingSource>,
    /// True if the cycle has to wait for them.
    pub is_awaited: bool,
    /// The sources that have no file in the folders that seem to be those of the cycle: if the query
    /// yields no row, the cycle has to wait for them.
    pub doubtful: Vec<MissingSource>,
    /// The sources that are not ready although the cycle does not wait for them any more.
    pub unready: Vec<MissingSource>,
}

impl ScanLog {
    /// Decides what the missing files of the scans mean for the query `optimized`, whose physical
    /// plan has recorded them here.
    ///
    /// # Errors
    /// [`Error::data`] if a source is not ready, and the rule says that the cycle fails then.
    pub fn missing_files(&self, optimized: &LogicalPlan) -> Result<MissingFiles> {
        let Some(rule) = self.await_rule() else {
            return Ok(MissingFiles::default());
        };
        let unready: BTreeSet<MissingSource> = self
            .scans()
            .iter()
            .filter_map(|scan| scan.cycle_files.unready.clone())
            .collect();
        let unready: Vec<MissingSource> = unready.into_iter().collect();
        match rule.not_ready {
            _ if unready.is_empty() => Ok(self.without_files(optimized, rule)),
            NotReady::Await => Ok(MissingFiles {
                sources: unready,
                is_awaited: true,
                ..MissingFiles::default()
            }),
            NotReady::Fail => Err(still_unready(&unready)),
            NotReady::Publish => Ok(MissingFiles {
                unready,
                ..self.without_files(optimized, rule)
            }),
        }
    }

    fn without_files(&self, optimized: &LogicalPlan, rule: AwaitRule) -> MissingFiles {
        let scans = self.scans();
        let missing = || {
            scans
                .iter()
                .filter_map(|scan| scan.cycle_files.missing.as_ref())
        };
        if rule.allow_empty {
            return MissingFiles::default();
        }
        let sources: BTreeSet<MissingSource> = missing().cloned().collect();
        let is_awaited =
            !sources.is_empty() && (all_windowed_missing(&scans) || lacks_input(optimized, &scans));
        let doubtful: BTreeSet<MissingSource> = scans
            .iter()
            .filter_map(|scan| scan.cycle_files.doubtful.clone())
            .collect();
        MissingFiles {
            sources: sources.into_iter().collect(),
            is_awaited,
            doubtful: doubtful.into_iter().collect(),
            unready: Vec::new(),
        }
    }
}

fn still_unready(unready: &[MissingSource]) -> Error {
    let reasons = unready.iter().map(|source| {
        let reason = source.unready.as_deref().unwrap_or_default();
        format!("the source `{}` is not ready: {reason}", source.name)
    });
    let reasons: Vec<String> = reasons.collect();
    Error::data(reasons.join("; ")).with_hint(
        "--when-not-ready publish publishes the cycle as provisional; without --ready-timeout it waits",
    )
}

/// Returns true if there are scans that the cycle limits through folders, and none has a file.
fn all_windowed_missing(scans: &[Arc<Scan>]) -> bool {
    let mut windowed = scans
        .iter()
        .filter(|scan| scan.cycle_files.is_windowed)
        .peekable();
    windowed.peek().is_some() && windowed.all(|scan| scan.cycle_files.missing.is_some())
}

/// Returns true if missing files leave a plan without input.
fn lacks_input(plan: &LogicalPlan, scans: &[Arc<Scan>]) -> bool {
    let lacks = |plan: &LogicalPlan| lacks_input(plan, scans);
    match plan {
        LogicalPlan::TableScan(scan) => is_missing(scan, scans),
        LogicalPlan::Join(join) => {
            let (left, right) = (lacks(&join.left), lacks(&join.right));
            match join.join_type {
                JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => left || right,
                JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => left,
                JoinType::Right | JoinType::RightAnti | JoinType::RightMark => right,
                JoinType::Full => left && right,
            }
        }
        LogicalPlan::RecursiveQuery(query) => lacks(&query.static_term),
        plan => {
            let inputs = plan.inputs();
            !inputs.is_empty() && inputs.into_iter().all(lacks)
        }
    }
}

fn is_missing(scan: &TableScan, scans: &[Arc<Scan>]) -> bool {
    let Ok(provider) = source_as_provider(&scan.source) else {
        return false;
    };
    let Some(table) = provider.downcast_ref::<SourceTable>() else {
        return false;
    };
    // As DataFusion passes them to the scan.
    let filters = filters_key(&unnormalize_cols(scan.filters.iter().cloned()));
    let mut same = scans
        .iter()
        .filter(|scan| scan.source == table.name() && scan.filters == filters)
        .peekable();
    same.peek().is_some() && same.all(|scan| scan.cycle_files.missing.is_some())
}
