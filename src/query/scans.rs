//! The malformed lines that the scans of a query set aside, judged as those of a run.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::error::Result;
use crate::scan::reject_limit::{check_rejects, check_rejects_so_far};
use crate::scan::rejects::{MaxRejects, Reject};
use crate::scan::scan_log::{ScanLog, SourceScan};

/// The number of rejects of a source that are shown.
const SHOWN_REJECTS: usize = 3;

/// The scans of one query, and the limit of malformed lines.
#[derive(Debug)]
pub(crate) struct QueryScans {
    pub(super) log: Arc<ScanLog>,
    max_rejects: MaxRejects,
}

/// The malformed lines of a source that a query set aside.
#[derive(Debug)]
pub(crate) struct SetAside {
    /// The name of the source.
    pub source: String,
    /// The number of lines.
    pub lines: u64,
    /// The first ones, in the order of files and lines.
    pub first: Vec<Reject>,
    /// True if the query ended before it had read the whole source.
    pub read_in_part: bool,
}

impl QueryScans {
    /// Creates an empty record. With a limit of none, a scan fails at its first malformed line.
    pub(super) fn new(max_rejects: MaxRejects) -> Self {
        let log = match max_rejects.is_strict() {
            true => ScanLog::new(),
            false => ScanLog::keeping_rejects(),
        };
        Self { log, max_rejects }
    }

    /// Checks the scans of a query that has ended, and returns what they set aside. `executed` is the plan
    /// that ran, once.
    ///
    /// # Errors
    /// As for a run: a source has too many malformed lines, a file without a good line, or a key in another
    /// case than declared. What only the end of a source decides is not checked of one that was read in part.
    pub(crate) fn check(&self, executed: &Arc<dyn ExecutionPlan>) -> Result<Vec<SetAside>> {
        let read_in_part = self.log.read_in_part();
        let mut set_aside = Vec::new();
        for source in self.log.report(executed) {
            let in_part = read_in_part.contains(&source.name);
            match in_part {
                true => check_rejects_so_far(&source, self.max_rejects)?,
                false => check_rejects(&source, self.max_rejects)?,
            }
            if !source.rejects.is_empty() {
                set_aside.push(SetAside::of(&source, in_part)?);
            }
        }
        if read_in_part.is_empty() {
            self.log.check_keys()?;
        }
        Ok(set_aside)
    }
}

impl SetAside {
    fn of(source: &SourceScan, read_in_part: bool) -> Result<Self> {
        let (mut lines, mut first) = (0, Vec::new());
        for reject in source.rejects.read()? {
            let reject = reject?;
            lines += 1;
            if first.len() < SHOWN_REJECTS {
                first.push(reject);
            }
        }
        Ok(Self {
            source: source.name.clone(),
            lines,
            first,
            read_in_part,
        })
    }
}
