//! Counters of tasks on other machines, which come back in the metrics of the plan.
//!
//! Each counter's name contains the scan part or the writer that it counts for, so that a task that
//! was retried counts once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

use crate::error::{Error, Result};
use crate::scan::misplaced::Misplaced;
use crate::scan::record::Scan;
use crate::scan::scan_log::ScanLog;

/// The first word of the name of every such metric.
const NAMESPACE: &str = "dayport";

/// One part of a scan: the files or rows that one partition of the operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ScanPart {
    /// The index of the scan in the log.
    pub scan: usize,
    /// The index of the partition in the whole plan.
    pub part: u64,
}

/// The counts of scans and writers, from the metrics of the tasks that ran them.
#[derive(Debug, Default)]
pub(crate) struct RemoteCounts {
    rows_read: BTreeMap<ScanPart, u64>,
    /// Decompressed bytes of lines.
    text_bytes: BTreeMap<ScanPart, u64>,
    /// Malformed lines, by the index of the scan and the index of the file in its list.
    rejects: BTreeMap<(usize, usize), u64>,
    /// Misplaced rows and the maximum of their distance, by the index of the scan and of the file.
    misplaced: BTreeMap<(usize, usize), Misplaced>,
    /// Rows that each writer put into files.
    rows_written: BTreeMap<u64, u64>,
    /// The name of a counter for which two tasks report different values.
    conflicting: Option<String>,
}

impl ScanPart {
    /// Returns the counter of the rows of this part, for `partition` of the operator with these
    /// metrics.
    pub(super) fn rows_counter(self, metrics: &ExecutionPlanMetricsSet, partition: usize) -> Count {
        let name = format!("{NAMESPACE} rows {} {}", self.scan, self.part);
        MetricBuilder::new(metrics).counter(name, partition)
    }

    /// Returns the counter of the decompressed bytes of this part.
    pub(super) fn text_counter(self, metrics: &ExecutionPlanMetricsSet, partition: usize) -> Count {
        let name = format!("{NAMESPACE} text {} {}", self.scan, self.part);
        MetricBuilder::new(metrics).counter(name, partition)
    }

    /// Returns the counter of the malformed lines of a file, by its index in the scan's list.
    pub(super) fn rejects_counter(
        self,
        file: usize,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) -> Count {
        let name = format!("{NAMESPACE} rejects {} {file}", self.scan);
        MetricBuilder::new(metrics).counter(name, partition)
    }

    /// Reports the misplaced rows of a file, by its index in the scan's list.
    pub(super) fn report_misplaced(
        self,
        file: usize,
        misplaced: Misplaced,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) {
        let Misplaced { rows, slack } = misplaced;
        for (kind, value) in [("misplaced", rows), ("distance", slack)] {
            let name = format!("{NAMESPACE} {kind} {} {file}", self.scan);
            let count = MetricBuilder::new(metrics).counter(name, partition);
            count.add(usize::try_from(value).unwrap_or(usize::MAX));
        }
    }
}

/// Returns the counter of the rows that a writer puts into files, for `partition` of the operator with
/// these metrics.
pub(super) fn rows_written_counter(
    writer: u64,
    metrics: &ExecutionPlanMetricsSet,
    partition: usize,
) -> Count {
    let name = format!("{NAMESPACE} written 0 {writer}");
    MetricBuilder::new(metrics).counter(name, partition)
}

impl RemoteCounts {
    /// Adds a metric of a task, if it is one of ours. A task that was retried may report twice.
    pub(crate) fn add(&mut self, name: &str, value: u64) {
        let words: Vec<&str> = name.split(' ').collect();
        let [NAMESPACE, kind, scan, index] = words.as_slice() else {
            return;
        };
        let (Ok(scan), Ok(index)) = (scan.parse::<usize>(), index.parse::<u64>()) else {
            return;
        };
        let file = usize::try_from(index).unwrap_or(usize::MAX);
        let earlier = match *kind {
            "text" => self
                .text_bytes
                .insert(ScanPart { scan, part: index }, value),
            "rows" => self.rows_read.insert(ScanPart { scan, part: index }, value),
            "written" => self.rows_written.insert(index, value),
            "rejects" => self.rejects.insert((scan, file), value),
            "misplaced" => {
                self.misplaced.entry((scan, file)).or_default().rows = value;
                None
            }
            "distance" => {
                self.misplaced.entry((scan, file)).or_default().slack = value;
                None
            }
            _ => None,
        };
        if earlier.is_some_and(|earlier| earlier != value) {
            self.conflicting = Some(name.to_owned());
        }
    }

    /// Checks that each of `writers` writers has reported how many rows it wrote, and that their sum
    /// is `rows`.
    pub(crate) fn check_written(&self, writers: u64, rows: u64) -> Result<()> {
        let reported: u64 = self.rows_written.values().sum();
        if self.rows_written.len() as u64 == writers && reported == rows {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "{writers} tasks had rows to write; {} of them report {reported} rows, and {rows} rows came back",
            self.rows_written.len()
        ))
        .with_hint("nothing was published; run again"))
    }

    /// Applies the counts to the scans of `log`. `parts` has the index of each scan and the number of
    /// its parts.
    ///
    /// # Errors
    /// If a part is missing, or two tasks counted it differently: nothing that was read may be lost.
    pub(crate) fn apply(&self, log: &ScanLog, parts: &[(usize, usize)]) -> Result<()> {
        if let Some(name) = &self.conflicting {
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
                let part = ScanPart { scan: *scan, part };
                rows += self.rows_read.get(&part).ok_or_else(|| {
                    Error::unavailable(format!(
                        "the cluster has lost what it counted of the source `{}`",
                        logged.source
                    ))
                    .with_hint("nothing was published; run again")
                })?;
            }
            self.apply_to(*scan, logged, rows);
        }
        Ok(())
    }

    fn apply_to(&self, index: usize, scan: &Scan, rows: u64) {
        let rejects = self.rejects.range((index, 0)..(index + 1, 0));
        scan.counts.rows_read.store(rows, Ordering::Relaxed);
        let bytes = scan.files.iter().map(|file| file.size).sum();
        scan.counts.bytes_read.store(bytes, Ordering::Relaxed);
        let rejected = rejects.map(|(_, lines)| lines).sum();
        scan.counts.rows_rejected.store(rejected, Ordering::Relaxed);
        let parts = ScanPart {
            scan: index,
            part: 0,
        }..ScanPart {
            scan: index + 1,
            part: 0,
        };
        let text_bytes = self.text_bytes.range(parts).map(|(_, bytes)| bytes).sum();
        scan.counts.text_bytes.store(text_bytes, Ordering::Relaxed);
        for ((_, file), misplaced) in self.misplaced.range((index, 0)..(index + 1, 0)) {
            if let Some(file) = scan.files.get(*file) {
                scan.counts.misplaced.add(&file.key, *misplaced);
            }
        }
    }

    /// Returns the indexes of the files of a scan that have malformed lines, or no good line.
    pub(crate) fn files_with_rejects(&self, scan: usize) -> BTreeSet<usize> {
        let rejects = self.rejects.range((scan, 0)..(scan + 1, 0));
        rejects.map(|((_, file), _)| *file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retried_task_counts_once_and_a_lost_one_is_missed() {
        let mut counts = RemoteCounts::default();
        let names = ["dayport rows 0 0", "dayport rows 0 1", "dayport rows 0 0"];
        for (name, value) in names.into_iter().zip([5, 7, 5]) {
            counts.add(name, value);
        }
        counts.add("dayport rejects 0 3", 2);
        counts.add("dayport text 0 1", 30);
        counts.add("dayport text 1 0", 50);
        counts.add("output_rows", 9);
        assert_eq!(counts.files_with_rejects(0), BTreeSet::from([3]));
        assert_eq!(counts.rows_read.values().sum::<u64>(), 12);

        let log = ScanLog::new();
        log.add(Scan::without_files("events", None, None));
        counts.apply(&log, &[(0, 2)]).unwrap();
        assert_eq!(log.progress().rows_read, 12);
        let text_bytes = &log.scans()[0].counts.text_bytes;
        assert_eq!(text_bytes.load(Ordering::Relaxed), 30);
        let lost = counts.apply(&log, &[(0, 3)]).unwrap_err();
        assert!(lost.to_string().contains("`events`"), "{lost}");

        counts.add("dayport rows 0 1", 8);
        assert!(counts.apply(&log, &[(0, 2)]).is_err());
    }
}
