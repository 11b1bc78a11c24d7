//! What scans on other machines counted, and its way back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

use crate::error::{Error, Result};
use crate::scan::scan_log::{Scan, ScanLog};

/// Every name of such a metric begins with it.
const NAMESPACE: &str = "dayport";

/// One part of a scan: what one partition of the operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// The scan's place in the log.
    pub(crate) scan: usize,
    pub(crate) part: u64,
}

/// Counts of parts, from the metrics of the tasks that did them.
#[derive(Debug, Default)]
pub struct Tally {
    rows: BTreeMap<Part, u64>,
    /// Malformed lines, by the place of the file in the scan's list.
    rejects: BTreeMap<(usize, usize), u64>,
    /// Rows that each writer put into files.
    written: BTreeMap<u64, u64>,
    /// A count that two tasks disagree about.
    contested: Option<String>,
}

impl Part {
    /// Counts the rows of this part, for `partition` of the operator with these metrics.
    pub(crate) fn rows(self, metrics: &ExecutionPlanMetricsSet, partition: usize) -> Count {
        let name = format!("{NAMESPACE} rows {} {}", self.scan, self.part);
        MetricBuilder::new(metrics).counter(name, partition)
    }

    /// Counts the malformed lines of a file, by its place in the list.
    pub(crate) fn rejects(
        self,
        file: usize,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) -> Count {
        let name = format!("{NAMESPACE} rejects {} {file}", self.scan);
        MetricBuilder::new(metrics).counter(name, partition)
    }
}

/// Counts the rows that a writer put into files, for `partition` of the operator with these metrics.
pub fn written(writer: u64, metrics: &ExecutionPlanMetricsSet, partition: usize) -> Count {
    let name = format!("{NAMESPACE} written 0 {writer}");
    MetricBuilder::new(metrics).counter(name, partition)
}

impl Tally {
    /// Takes a metric of a task, if it is one of ours. Of a task that was done twice both may come.
    pub fn take(&mut self, name: &str, value: u64) {
        let words: Vec<&str> = name.split(' ').collect();
        let [NAMESPACE, what, scan, place] = words.as_slice() else {
            return;
        };
        let (Ok(scan), Ok(part)) = (scan.parse::<usize>(), place.parse::<u64>()) else {
            return;
        };
        let file = usize::try_from(part).unwrap_or(usize::MAX);
        let earlier = match *what {
            "rows" => self.rows.insert(Part { scan, part }, value),
            "written" => self.written.insert(part, value),
            "rejects" => self.rejects.insert((scan, file), value),
            _ => None,
        };
        if earlier.is_some_and(|earlier| earlier != value) {
            self.contested = Some(name.to_owned());
        }
    }

    /// Fails unless each of so many writers has told how many rows it wrote, and they are `rows`.
    pub fn check_written(&self, writers: u64, rows: u64) -> Result<()> {
        let told: u64 = self.written.values().sum();
        if self.written.len() as u64 == writers && told == rows {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "{writers} tasks were to write, {} tell of {told} rows, and {rows} rows came back",
            self.written.len()
        ))
        .with_hint("nothing was published; run again"))
    }

    /// Enters the counts into the scans of `log`, which are done in `parts` parts each.
    ///
    /// # Errors
    /// Where a part is missing, or was counted in two ways.
    pub fn settle(&self, log: &ScanLog, parts: &[(usize, usize)]) -> Result<()> {
        if let Some(name) = &self.contested {
            return Err(Error::internal(format!(
                "two tasks that did the same counted `{name}` differently"
            )));
        }
        let scans = log.scans();
        for (scan, parts) in parts {
            let Some(logged) = scans.get(*scan) else {
                return Err(Error::internal(format!("there is no scan {scan}")));
            };
            let mut rows = 0;
            for part in 0..*parts as u64 {
                let part = Part { scan: *scan, part };
                rows += self.rows.get(&part).ok_or_else(|| {
                    Error::unavailable(format!(
                        "the cluster has lost what it counted of the source `{}`",
                        logged.source
                    ))
                    .with_hint("nothing was published; run again")
                })?;
            }
            self.enter(*scan, logged, rows);
        }
        Ok(())
    }

    fn enter(&self, number: usize, scan: &Scan, rows: u64) {
        let rejects = self.rejects.range((number, 0)..(number + 1, 0));
        scan.counts.rows_read.store(rows, Ordering::Relaxed);
        let bytes = scan.files.iter().map(|file| file.size).sum();
        scan.counts.bytes_read.store(bytes, Ordering::Relaxed);
        let rejected = rejects.map(|(_, lines)| lines).sum();
        scan.counts.rows_rejected.store(rejected, Ordering::Relaxed);
    }

    /// The places of the files of a scan that have malformed lines.
    pub(crate) fn files_with_rejects(&self, scan: usize) -> BTreeSet<usize> {
        let rejects = self.rejects.range((scan, 0)..(scan + 1, 0));
        rejects
            .filter(|(_, lines)| **lines > 0)
            .map(|((_, file), _)| *file)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_done_twice_counts_once_and_a_lost_one_is_missed() {
        let mut tally = Tally::default();
        let names = ["dayport rows 0 0", "dayport rows 0 1", "dayport rows 0 0"];
        for (name, value) in names.into_iter().zip([5, 7, 5]) {
            tally.take(name, value);
        }
        tally.take("dayport rejects 0 3", 2);
        tally.take("output_rows", 9);
        assert_eq!(tally.files_with_rejects(0), BTreeSet::from([3]));
        assert_eq!(tally.rows.values().sum::<u64>(), 12);

        let log = ScanLog::new();
        log.add(Scan::nothing("events"));
        tally.settle(&log, &[(0, 2)]).unwrap();
        assert_eq!(log.progress().rows_read, 12);
        let lost = tally.settle(&log, &[(0, 3)]).unwrap_err();
        assert!(lost.to_string().contains("`events`"), "{lost}");

        tally.take("dayport rows 0 1", 8);
        assert!(tally.settle(&log, &[(0, 2)]).is_err());
    }
}
