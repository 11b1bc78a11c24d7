//! The record of one scan: its file-list snapshot, and counts that grow while the plan runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt};
use parking_lot::Mutex;

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::jsonl::BadLine;
use crate::listing::snapshot::SnapshotFile;
use crate::scan::rejects::{MAX_REJECT_RECORDS, Reject};
use crate::store::CONCURRENCY;

/// Counts of one scan, which its tasks add to.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    /// Rows that a JSON scan decoded. A Parquet scan keeps its count in the plan's metrics.
    pub(crate) rows_read: AtomicU64,
    /// Compressed bytes that a JSON scan fetched.
    pub(crate) bytes_read: AtomicU64,
    /// Malformed lines that were rejected.
    pub(crate) rows_rejected: AtomicU64,
}

/// One scan of one source.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The source's name.
    pub(crate) source: String,
    /// The snapshot of the file list, with empty files.
    pub(crate) files: Vec<SnapshotFile>,
    /// The time at which the newest of the files was written.
    pub(super) newest: Option<DateTime<Utc>>,
    pub(crate) counts: ScanCounts,
    /// The malformed lines that were rejected; `None` if the first one fails the scan.
    pub(crate) rejects: Option<Mutex<Vec<Reject>>>,
    /// The files that must be verified after the run.
    pub(super) unverified: Option<UnverifiedFiles>,
}

/// Files whose reader does not compare their ETags with those of the snapshot.
#[derive(Debug)]
pub(super) struct UnverifiedFiles {
    pub(super) store: ObjectStoreUrl,
    pub(super) files: Vec<ObjectMeta>,
}

impl UnverifiedFiles {
    /// Verifies that no file has changed since it was listed.
    ///
    /// # Errors
    /// [`Error::data`] if a file was changed or deleted; [`Error::store`] if that cannot be found
    /// out.
    pub(super) async fn verify(&self, runtime: &RuntimeEnv) -> Result<()> {
        let store = runtime.object_store(&self.store).map_err(from_datafusion)?;
        let changed: Vec<Option<String>> = futures::stream::iter(self.files.clone())
            .map(|file| {
                let store = Arc::clone(&store);
                async move {
                    let key = file.location.to_string();
                    match store.head(&file.location).await {
                        Ok(now) if now.size == file.size && now.e_tag == file.e_tag => Ok(None),
                        Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(Some(key)),
                        Err(error) => Err(Error::store("check", key, error)),
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
                    .with_hint("run again when the source no longer changes"),
            ),
        }
    }
}

impl Scan {
    /// Creates a scan without a snapshot: it counts the rows of files that another scan has on record.
    #[cfg(feature = "cluster")]
    pub(crate) fn without_files(source: &str, keep_rejects: bool) -> Arc<Self> {
        Arc::new(Self {
            source: source.to_owned(),
            files: Vec::new(),
            newest: None,
            counts: ScanCounts::default(),
            rejects: keep_rejects.then(Mutex::default),
            unverified: None,
        })
    }

    /// Records a malformed line as rejected.
    ///
    /// # Errors
    /// [`Error::data`] if the scan rejects no lines, or has rejected the maximum number.
    pub(super) fn reject_line(&self, key: &str, bad: BadLine) -> Result<()> {
        let Some(rejects) = &self.rejects else {
            return Err(malformed_line(key, &bad));
        };
        let mut rejects = rejects.lock();
        if rejects.len() >= MAX_REJECT_RECORDS {
            return Err(malformed_line(key, &bad)
                .context(format!("more than {MAX_REJECT_RECORDS} malformed lines")));
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

/// A tag on the files of a Parquet scan, by which the metrics of DataFusion's operator are
/// attributed to the scan.
pub(super) struct ScanTag(pub(super) Arc<Scan>);

/// Returns the scan of which `plan` is DataFusion's operator for Parquet, if it is one.
pub(crate) fn parquet_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<Scan>> {
    let exec = plan.downcast_ref::<DataSourceExec>()?;
    let config = exec.data_source().downcast_ref::<FileScanConfig>()?;
    let mut files = config.file_groups.iter().flat_map(|group| group.files());
    let tag = files.find_map(|file| file.extension::<ScanTag>())?;
    Some(Arc::clone(&tag.0))
}

/// Creates the error of a scan that does not accept a malformed line.
fn malformed_line(key: &str, bad: &BadLine) -> Error {
    Error::data(format!("`{key}` line {}: {}", bad.line, bad.reason))
}
