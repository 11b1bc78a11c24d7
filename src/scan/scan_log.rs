//! What the scans of one run read: frozen lists, and counts that grow while the plan runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::jsonl::decode::BadLine;
use crate::listing::snapshot::{FrozenFile, digest};
use crate::scan::planned::{self, PlannedSource};
use crate::scan::rejects::{MOST_KEPT, Reject};
use crate::store::CONCURRENCY;

/// Counts of one scan, added to by its tasks.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    /// Rows that JSON scans decoded. Parquet scans keep theirs in the plan's metrics.
    pub(crate) rows_read: AtomicU64,
    /// Bytes fetched by JSON scans, compressed.
    pub(crate) bytes_read: AtomicU64,
    /// Lines set aside because they are malformed.
    pub(crate) rows_rejected: AtomicU64,
}

/// One scan of one source.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) source: String,
    pub(crate) files: Vec<FrozenFile>,
    /// When the newest of them was written.
    pub(crate) newest: Option<DateTime<Utc>>,
    pub(crate) counts: ScanCounts,
    /// The malformed lines that were set aside; `None` where the first one fails the scan.
    pub(crate) rejects: Option<Mutex<Vec<Reject>>>,
    /// What has to be looked at again after the run.
    pub(crate) unpinned: Option<Unpinned>,
}

/// Files whose reader does not hold them to their ETags.
#[derive(Debug)]
pub(crate) struct Unpinned {
    pub(crate) store: ObjectStoreUrl,
    pub(crate) files: Vec<ObjectMeta>,
}

impl Unpinned {
    /// Fails if a file is no longer what it was when it was listed.
    async fn check(&self, runtime: &RuntimeEnv) -> Result<()> {
        let store = runtime.object_store(&self.store).map_err(from_datafusion)?;
        let changed: Vec<Option<String>> = futures::stream::iter(self.files.clone())
            .map(|file| {
                let store = Arc::clone(&store);
                async move {
                    let key = file.location.to_string();
                    match store.head(&file.location).await {
                        Ok(now) if now.size == file.size && now.e_tag == file.e_tag => Ok(None),
                        Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(Some(key)),
                        Err(error) => Err(Error::store("look at", key, error)),
                    }
                }
            })
            .buffer_unordered(CONCURRENCY.source_heads)
            .try_collect()
            .await?;
        match changed.into_iter().flatten().min() {
            None => Ok(()),
            Some(key) => Err(
                Error::data(format!("source file `{key}` changed while it was read"))
                    .with_hint("run again when the source is at rest"),
            ),
        }
    }
}

impl Scan {
    /// Sets a malformed line aside.
    ///
    /// # Errors
    /// Where the scan takes none, or no more.
    pub(crate) fn bad_line(&self, key: &str, bad: BadLine) -> Result<()> {
        let Some(rejects) = &self.rejects else {
            return Err(bad.error(key));
        };
        let mut rejects = rejects.lock().unwrap_or_else(PoisonError::into_inner);
        if rejects.len() >= MOST_KEPT {
            return Err(bad
                .error(key)
                .context(format!("more than {MOST_KEPT} malformed lines")));
        }
        rejects.push(Reject {
            file: key.to_owned(),
            line: bad.line,
            offset: bad.offset,
            reason: bad.reason,
        });
        self.counts.rows_rejected.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Travels with the files of a Parquet scan, so that its metrics find their way back.
pub(crate) struct ScanMark(pub(crate) Arc<Scan>);

/// Every scan that was planned in one session, in the order of planning.
///
/// Put one into the session with `SessionConfig::with_extension` for each plan that is run:
/// `scan` adds to it, and [`Self::report`] reads it after the run.
#[derive(Debug, Default)]
pub struct ScanLog {
    scans: Mutex<Vec<Arc<Scan>>>,
    set_aside: bool,
}

/// What one run read of one source. A source that was scanned twice has its files once and the
/// rows of both scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceScan {
    /// The source's name.
    pub name: String,
    /// The frozen list, sorted by key, with empty files.
    pub files: Vec<FrozenFile>,
    /// Bytes of these files as stored.
    pub bytes: u64,
    /// Rows that the scan handed to the query. A Parquet scan does not count rows that it skips
    /// because of a row group's or a page's statistics.
    pub rows_read: u64,
    /// Malformed lines that were set aside.
    pub rows_rejected: u64,
    /// SHA-256 in hexadecimal over `key\tsize\tetag\n` of each file, sorted by key.
    pub digest: String,
    /// The malformed lines, each once, in the order of files and lines.
    pub rejects: Vec<Reject>,
}

/// How far the running scans are, for a progress bar. Parquet scans count only once they end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanProgress {
    /// Bytes of all frozen files as stored.
    pub bytes: u64,
    /// Bytes of them that are fetched.
    pub bytes_read: u64,
    /// Rows decoded.
    pub rows_read: u64,
}

impl ScanLog {
    /// An empty log.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// An empty log of scans that set malformed lines aside instead of failing.
    pub fn setting_aside() -> Arc<Self> {
        Arc::new(Self {
            set_aside: true,
            ..Self::default()
        })
    }

    pub(crate) fn sets_aside(&self) -> bool {
        self.set_aside
    }

    /// What was read of each source, sorted by name.
    ///
    /// `executed` is the plan that ran, to its end, and only once: the rows of Parquet scans are
    /// in its metrics.
    pub fn report(&self, executed: &Arc<dyn ExecutionPlan>) -> Vec<SourceScan> {
        let scans = self.scans();
        let mut parquet_rows = Vec::new();
        collect_parquet_rows(executed, &mut parquet_rows);
        let mut by_source: BTreeMap<&str, Vec<&Arc<Scan>>> = BTreeMap::new();
        for scan in &scans {
            by_source.entry(&scan.source).or_default().push(scan);
        }
        by_source
            .into_iter()
            .map(|(name, scans)| source_scan(name, &scans, &parquet_rows))
            .collect()
    }

    /// Fails if a file that was read is no longer what it was when its scan was planned.
    ///
    /// JSON files are held to their ETags while they are read; the others are looked at again.
    pub async fn check_frozen(&self, runtime: &RuntimeEnv) -> Result<()> {
        for scan in self.scans() {
            if let Some(unpinned) = &scan.unpinned {
                unpinned.check(runtime).await?;
            }
        }
        Ok(())
    }

    /// How far the scans are by now.
    pub fn progress(&self) -> ScanProgress {
        let mut progress = ScanProgress::default();
        for scan in self.scans() {
            progress.bytes += scan.files.iter().map(|file| file.size).sum::<u64>();
            progress.bytes_read += scan.counts.bytes_read.load(Ordering::Relaxed);
            progress.rows_read += scan.counts.rows_read.load(Ordering::Relaxed);
        }
        progress
    }

    /// What the scans would read of each source, sorted by name, before any of them runs.
    pub async fn planned(&self, runtime: &RuntimeEnv) -> Result<Vec<PlannedSource>> {
        planned::sources(&self.scans(), runtime).await
    }

    pub(crate) fn add(&self, scan: Arc<Scan>) {
        self.lock().push(scan);
    }

    pub(crate) fn scans(&self) -> Vec<Arc<Scan>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Scan>>> {
        // Each change is one push: a panic elsewhere cannot leave the list half done.
        self.scans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn source_scan(name: &str, scans: &[&Arc<Scan>], parquet_rows: &[(Arc<Scan>, u64)]) -> SourceScan {
    let files: BTreeSet<&FrozenFile> = scans.iter().flat_map(|scan| &scan.files).collect();
    let files: Vec<FrozenFile> = files.into_iter().cloned().collect();
    let sum = |count: fn(&ScanCounts) -> &AtomicU64| {
        let counts = scans.iter().map(|scan| &scan.counts);
        counts
            .map(|counts| count(counts).load(Ordering::Relaxed))
            .sum::<u64>()
    };
    let of_these = |scan: &Arc<Scan>| scans.iter().any(|own| Arc::ptr_eq(own, scan));
    let parquet_rows: u64 = parquet_rows
        .iter()
        .filter(|(scan, _)| of_these(scan))
        .map(|(_, rows)| rows)
        .sum();
    let rejects = scans.iter().filter_map(|scan| scan.rejects.as_ref());
    let rejects: BTreeSet<Reject> = rejects
        .flat_map(|rejects| {
            let rejects = rejects.lock().unwrap_or_else(PoisonError::into_inner);
            rejects.clone()
        })
        .collect();
    SourceScan {
        name: name.to_owned(),
        rejects: rejects.into_iter().collect(),
        bytes: files.iter().map(|file| file.size).sum(),
        rows_read: sum(|counts| &counts.rows_read) + parquet_rows,
        rows_rejected: sum(|counts| &counts.rows_rejected),
        digest: digest(&files),
        files,
    }
}

/// The rows that each of our Parquet scans put out in the plan that ran.
fn collect_parquet_rows(plan: &Arc<dyn ExecutionPlan>, rows: &mut Vec<(Arc<Scan>, u64)>) {
    if let Some(scan) = parquet_scan(plan) {
        let output = plan.metrics().and_then(|metrics| metrics.output_rows());
        rows.push((scan, output.unwrap_or(0) as u64));
    }
    for child in plan.children() {
        collect_parquet_rows(child, rows);
    }
}

pub(crate) fn parquet_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<Scan>> {
    let exec = plan.downcast_ref::<DataSourceExec>()?;
    let config = exec.data_source().downcast_ref::<FileScanConfig>()?;
    let mut files = config.file_groups.iter().flat_map(|group| group.files());
    let mark = files.find_map(|file| file.extension::<ScanMark>())?;
    Some(Arc::clone(&mark.0))
}

#[cfg(test)]
impl Scan {
    /// A scan of no files.
    pub(crate) fn nothing(source: &str) -> Arc<Self> {
        Arc::new(Self {
            source: source.to_owned(),
            files: Vec::new(),
            newest: None,
            counts: ScanCounts::default(),
            rejects: None,
            unpinned: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_plan::empty::EmptyExec;

    use super::*;

    fn scan(source: &str, keys: &[&str], rows: u64) -> Arc<Scan> {
        let counts = ScanCounts::default();
        counts.rows_read.store(rows, Ordering::Relaxed);
        Arc::new(Scan {
            source: source.to_owned(),
            files: keys
                .iter()
                .map(|key| FrozenFile {
                    key: (*key).to_owned(),
                    size: 10,
                    etag: None,
                })
                .collect(),
            newest: None,
            counts,
            rejects: None,
            unpinned: None,
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
