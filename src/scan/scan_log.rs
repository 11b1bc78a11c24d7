//! The scans of one run, on record: file-list snapshots, counts and malformed lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use crate::cycle::{Cycle, SyncMode};
use crate::error::Result;
use crate::listing::passed_over::PassedOver;
use crate::listing::snapshot::{SnapshotFile, digest};
use crate::manifest::{MisplacedRecord, PassedOverRecord};
use crate::scan::absent::AbsentRule;
use crate::scan::misplaced::summarize;
use crate::scan::missing::AwaitRule;
use crate::scan::record::{Scan, ScanCounts, parquet_scan};
use crate::scan::reject_log::SourceRejects;
use crate::scan::rejects::KeepRejects;

/// A log of the scans that are planned in one session, in the order of planning.
///
/// Each plan that is run needs a log of its own, which is put into its session with
/// `SessionConfig::with_extension`: planning adds scans to it, and [`Self::report`] reads it after
/// the run.
#[derive(Debug, Default)]
pub struct ScanLog {
    scans: Mutex<Vec<Arc<Scan>>>,
    keep: KeepRejects,
    await_rule: Option<AwaitRule>,
    /// The cycle whose scans count misplaced rows.
    time_checked: Option<Cycle>,
}

/// The files and rows of one source that one run read. A source that was scanned twice has each of
/// its files once, and the rows of both scans.
#[derive(Debug, Clone)]
pub struct SourceScan {
    /// The source's name.
    pub name: String,
    /// The snapshot of the file list, sorted by key, with empty files.
    pub files: Vec<SnapshotFile>,
    /// The compressed bytes of these files.
    pub bytes: u64,
    /// The number of rows that the scan returned to the query. A Parquet scan does not count rows
    /// that it skips because of the statistics of a row group or a page.
    pub rows_read: u64,
    /// The number of malformed lines that were rejected.
    pub rows_rejected: u64,
    /// Their length without line ends, in bytes.
    pub bytes_rejected: u64,
    /// The decompressed bytes of all lines; 0 for a Parquet source.
    pub text_bytes: u64,
    /// The SHA-256 over `key\tsize\tetag\n` of each file, sorted by key, in hexadecimal.
    pub digest: String,
    /// The malformed lines, each once, in the order of files and lines.
    pub rejects: SourceRejects,
    /// The columns of JSON lines that the scan decoded, by whether any line had a value.
    pub(crate) columns: DecodedColumns,
    /// The folders and files that the listing passed over.
    pub passed_over: Option<PassedOverRecord>,
    /// The rows outside of the time of their folder, which no cycle reads.
    pub misplaced: Option<MisplacedRecord>,
}

/// The columns that the scans of one source decoded. A cluster's executors do not report them, and
/// Parquet scans have none.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecodedColumns {
    /// The paths of the columns of which a line had a value.
    pub(crate) with_values: BTreeSet<String>,
    /// The paths of the other ones, and the rule for each.
    pub(crate) without_values: BTreeMap<String, AbsentRule>,
    /// Those of the other ones by which the query filters rows: it may have left out all rows.
    pub(crate) filtered: BTreeSet<String>,
}

impl DecodedColumns {
    fn of(scans: &[&Arc<Scan>]) -> Self {
        let mut columns = Self::default();
        for scan in scans {
            let (found, absent) = scan.counts.keys.found_and_absent();
            columns.with_values.extend(found);
            let ruled = absent.into_iter().map(|path| {
                let rule = scan.absent_rules.rule(&path);
                (path, rule)
            });
            columns.without_values.extend(ruled);
        }
        let without_values = &columns.without_values;
        let filtered = scans.iter().flat_map(|scan| &scan.filter_columns);
        columns.filtered = filtered
            .filter(|column| without_values.contains_key(*column))
            .cloned()
            .collect();
        let with_values = &columns.with_values;
        columns
            .without_values
            .retain(|path, _| !with_values.contains(path));
        columns
    }
}

/// The progress of the running scans, for a progress bar. Parquet scans are counted when they end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanProgress {
    /// The compressed bytes of all files.
    pub bytes: u64,
    /// The compressed bytes that have been fetched.
    pub bytes_read: u64,
    /// The number of rows that have been decoded.
    pub rows_read: u64,
}

impl ScanLog {
    /// Creates an empty log, whose scans fail at the first malformed line.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Creates an empty log, whose scans reject malformed lines and keep them on record.
    pub fn keeping_rejects() -> Arc<Self> {
        Arc::new(Self {
            keep: KeepRejects::Positions,
            ..Self::default()
        })
    }

    /// Creates an empty log, whose scans note which files of a cycle are missing.
    pub fn for_cycle(rule: AwaitRule, keep: KeepRejects) -> Arc<Self> {
        Arc::new(Self {
            keep,
            await_rule: Some(rule),
            time_checked: (rule.sync_mode == SyncMode::Incremental).then_some(rule.cycle),
            ..Self::default()
        })
    }

    /// Creates an empty log, whose scans keep malformed lines on record and count rows that are not in
    /// the folders of `cycle`.
    pub(crate) fn for_sample(cycle: Cycle) -> Arc<Self> {
        Arc::new(Self {
            keep: KeepRejects::Positions,
            time_checked: Some(cycle),
            ..Self::default()
        })
    }

    /// Creates an empty log of the same settings.
    #[cfg(feature = "cluster")]
    pub(crate) fn empty(&self) -> Arc<Self> {
        Arc::new(Self {
            scans: Mutex::default(),
            ..*self
        })
    }

    pub(super) fn await_rule(&self) -> Option<AwaitRule> {
        self.await_rule
    }

    pub(super) fn time_checked(&self) -> Option<Cycle> {
        self.time_checked
    }

    pub(super) fn keep(&self) -> KeepRejects {
        self.keep
    }

    /// Reports the files and rows of each source that were read, sorted by name.
    ///
    /// `executed` is the plan that ran, to its end, and only once: the row counts of Parquet scans
    /// are in its metrics.
    pub fn report(&self, executed: &Arc<dyn ExecutionPlan>) -> Vec<SourceScan> {
        let all_scans = self.scans();
        let mut parquet_rows = Vec::new();
        collect_parquet_rows(executed, &mut parquet_rows);
        by_source(&all_scans)
            .into_iter()
            .map(|(name, scans)| source_scan(name, &scans, &parquet_rows))
            .collect()
    }

    /// Verifies that no file has changed between the planning and the end of its scan.
    ///
    /// A JSON scan compares the ETags of its files while it reads them; those of other files are
    /// compared here.
    ///
    /// # Errors
    /// [`Error::data`](crate::error::Error::data) if a file was changed or deleted.
    pub async fn check_unchanged(&self, runtime: &RuntimeEnv) -> Result<()> {
        for scan in self.scans() {
            if let Some(unverified) = &scan.unverified {
                unverified.verify(runtime).await?;
            }
        }
        Ok(())
    }

    /// Verifies that no declared key is absent from a whole scan while its lines have one that differs
    /// in case only. A cluster's executors do not report their keys.
    ///
    /// # Errors
    /// [`Error::data`](crate::error::Error::data) with the spelling, file and line.
    pub fn check_keys(&self) -> Result<()> {
        self.scans()
            .iter()
            .try_for_each(|scan| scan.counts.keys.check(&scan.source))
    }

    /// Returns the names of the sources that were not read to their end, because the query had enough rows.
    pub(crate) fn read_in_part(&self) -> BTreeSet<String> {
        let scans = self.scans();
        let in_part = scans.iter().filter(|scan| !scan.is_read_to_the_end());
        in_part.map(|scan| scan.source.clone()).collect()
    }

    /// Returns the progress of the scans.
    pub fn progress(&self) -> ScanProgress {
        let mut progress = ScanProgress::default();
        for scan in self.scans() {
            progress.bytes += scan.files.iter().map(|file| file.size).sum::<u64>();
            progress.bytes_read += scan.counts.bytes_read.load(Ordering::Relaxed);
            progress.rows_read += scan.counts.rows_read.load(Ordering::Relaxed);
        }
        progress
    }

    /// Adds a scan that has been planned.
    pub(crate) fn add(&self, scan: Arc<Scan>) {
        self.scans.lock().push(scan);
    }

    /// Returns the scans in the order of planning.
    pub(crate) fn scans(&self) -> Vec<Arc<Scan>> {
        self.scans.lock().clone()
    }
}

/// Groups scans by the name of their source.
pub(super) fn by_source(scans: &[Arc<Scan>]) -> BTreeMap<&str, Vec<&Arc<Scan>>> {
    let mut by_source: BTreeMap<&str, Vec<&Arc<Scan>>> = BTreeMap::new();
    for scan in scans {
        by_source.entry(&scan.source).or_default().push(scan);
    }
    by_source
}

/// Returns what the listings of scans of one source passed over.
pub(super) fn passed_over(scans: &[&Arc<Scan>]) -> Option<PassedOverRecord> {
    let mut all = PassedOver::default();
    for scan in scans {
        all.extend(&scan.passed_over);
    }
    all.record()
}

fn source_scan(name: &str, scans: &[&Arc<Scan>], parquet_rows: &[(Arc<Scan>, u64)]) -> SourceScan {
    let unique_files: BTreeSet<&SnapshotFile> = scans.iter().flat_map(|scan| &scan.files).collect();
    let files: Vec<SnapshotFile> = unique_files.into_iter().cloned().collect();
    let sum = |count: fn(&ScanCounts) -> &AtomicU64| -> u64 {
        scans
            .iter()
            .map(|scan| count(&scan.counts).load(Ordering::Relaxed))
            .sum()
    };
    let is_own = |scan: &Arc<Scan>| scans.iter().any(|own| Arc::ptr_eq(own, scan));
    let own_parquet_rows: u64 = parquet_rows
        .iter()
        .filter(|(scan, _)| is_own(scan))
        .map(|(_, rows)| rows)
        .sum();
    let rejects = scans.iter().filter_map(|scan| scan.rejects.clone());
    SourceScan {
        name: name.to_owned(),
        rejects: SourceRejects::new(rejects.collect()),
        columns: DecodedColumns::of(scans),
        passed_over: passed_over(scans),
        misplaced: summarize(scans.iter().map(|scan| &scan.counts.misplaced)),
        bytes: files.iter().map(|file| file.size).sum(),
        rows_read: sum(|counts| &counts.rows_read) + own_parquet_rows,
        rows_rejected: sum(|counts| &counts.rows_rejected),
        bytes_rejected: sum(|counts| &counts.bytes_rejected),
        text_bytes: sum(|counts| &counts.text_bytes),
        digest: digest(&files),
        files,
    }
}

/// Collects the number of rows that each Parquet scan of a declared source returned in the plan
/// that ran.
fn collect_parquet_rows(plan: &Arc<dyn ExecutionPlan>, rows: &mut Vec<(Arc<Scan>, u64)>) {
    if let Some(scan) = parquet_scan(plan) {
        let output = plan.metrics().and_then(|metrics| metrics.output_rows());
        rows.push((scan, output.unwrap_or(0) as u64));
    }
    for child in plan.children() {
        collect_parquet_rows(child, rows);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_plan::empty::EmptyExec;

    use super::*;
    use crate::scan::absent::AbsentRules;
    use crate::scan::missing::CycleFiles;

    fn scan(source: &str, keys: &[&str], rows: u64) -> Arc<Scan> {
        let counts = ScanCounts::default();
        counts.rows_read.store(rows, Ordering::Relaxed);
        Arc::new(Scan {
            source: source.to_owned(),
            files: keys
                .iter()
                .map(|key| SnapshotFile {
                    key: (*key).to_owned(),
                    size: 10,
                    etag: None,
                })
                .collect(),
            newest: None,
            counts,
            absent_rules: AbsentRules::default(),
            rejects: None,
            unverified: None,
            filters: String::new(),
            filter_columns: BTreeSet::new(),
            cycle_files: CycleFiles::default(),
            time_check: None,
            checked_files: None,
            passed_over: PassedOver::default(),
        })
    }

    #[test]
    fn two_scans_of_one_source_share_files_and_add_rows() {
        let log = ScanLog::new();
        log.add(scan("events", &["b", "a"], 3));
        log.add(scan("domains", &[], 0));
        log.add(scan("events", &["b", "c"], 4));
        let plan: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        let report = log.report(&plan);
        let summary: Vec<_> = report
            .iter()
            .map(|scan| {
                (
                    scan.name.as_str(),
                    scan.files.len(),
                    scan.bytes,
                    scan.rows_read,
                )
            })
            .collect();
        assert_eq!(summary, [("domains", 0, 0, 0), ("events", 3, 30, 7)]);
        assert_eq!(report[1].digest, digest(&report[1].files));
        assert_eq!(log.progress().bytes, 40);
    }
}
