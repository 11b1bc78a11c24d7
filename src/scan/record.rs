//! The record of one scan: its file-list snapshot, and counts that grow while the plan runs.

use std::collections::BTreeSet;
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

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::jsonl::{BadLine, TextShape};
use crate::listing::passed_over::PassedOver;
use crate::listing::snapshot::SnapshotFile;
use crate::scan::absent::AbsentRules;
use crate::scan::key_log::KeyLog;
use crate::scan::misplaced::{CheckedFiles, MisplacedLog, TimeCheck};
use crate::scan::missing::CycleFiles;
use crate::scan::reject_log::RejectLog;
use crate::scan::rejects::{Reject, RejectedLine};
use crate::store::{CONCURRENCY, shown};

/// Counts of one scan, which its tasks add to.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    /// Rows that a JSON scan sent to its plan. A Parquet scan keeps its count in the plan's metrics.
    pub(crate) rows_read: AtomicU64,
    /// Rows as the decoder counted them, and malformed lines. Rows of Parquet that are skipped by
    /// statistics are not read.
    pub(crate) rows_decoded: AtomicU64,
    /// Compressed bytes that a JSON scan fetched.
    pub(crate) bytes_read: AtomicU64,
    /// Malformed lines that were rejected.
    pub(crate) rows_rejected: AtomicU64,
    /// Their length without line ends, in bytes.
    pub(crate) bytes_rejected: AtomicU64,
    /// The decompressed bytes that a JSON scan decoded.
    pub(crate) text_bytes: AtomicU64,
    /// Rows outside of the time of their folder.
    pub(crate) misplaced: MisplacedLog,
    /// The keys that a JSON scan found in its lines.
    pub(crate) keys: KeyLog,
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
    /// The rules for columns without any value.
    pub(super) absent_rules: AbsentRules,
    /// The malformed lines that were rejected; `None` if the first one fails the scan.
    pub(crate) rejects: Option<Arc<RejectLog>>,
    /// The files that must be verified after the run.
    pub(super) unverified: Option<UnverifiedFiles>,
    /// The filters that the files were listed by, as text.
    pub(super) filters: String,
    /// The columns that these filters use.
    pub(super) filter_columns: BTreeSet<String>,
    pub(super) cycle_files: CycleFiles,
    /// The rule by which rows are in no cycle, if the folders are pruned by the cycle.
    pub(crate) time_check: Option<TimeCheck>,
    /// The files that are searched for such rows after the run: those of Parquet.
    pub(crate) checked_files: Option<CheckedFiles>,
    /// The folders and files that the listing passed over.
    pub(super) passed_over: PassedOver,
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
                    let key = shown(file.location.as_ref()).into_owned();
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

impl ScanCounts {
    /// Adds what the decoder counted.
    pub(crate) fn add_decoded(&self, rows: usize) {
        self.rows_decoded.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl Scan {
    /// Returns true if the scan has fetched all of its files. A query with a LIMIT may end before. A Parquet
    /// scan, which has neither malformed lines nor keys, counts as ended.
    pub(super) fn is_read_to_the_end(&self) -> bool {
        let bytes: u64 = self.files.iter().map(|file| file.size).sum();
        self.unverified.is_some() || self.counts.bytes_read.load(Ordering::Relaxed) >= bytes
    }

    /// Creates a scan without a snapshot: it counts the rows of files that another scan has on record.
    /// It adds malformed lines to `rejects`, or fails at the first one, and counts misplaced rows by
    /// `time_check`.
    #[cfg(feature = "cluster")]
    pub(crate) fn without_files(
        source: &str,
        rejects: Option<Arc<RejectLog>>,
        time_check: Option<TimeCheck>,
    ) -> Arc<Self> {
        Arc::new(Self {
            source: source.to_owned(),
            files: Vec::new(),
            newest: None,
            counts: ScanCounts::default(),
            absent_rules: AbsentRules::default(),
            rejects,
            unverified: None,
            filters: String::new(),
            filter_columns: BTreeSet::new(),
            cycle_files: CycleFiles::default(),
            time_check,
            checked_files: None,
            passed_over: PassedOver::default(),
        })
    }

    /// Records a malformed line as rejected. `text` is that of the line, or the beginning of an oversized
    /// one.
    ///
    /// # Errors
    /// [`Error::data`] if the scan rejects no lines; [`Error::unavailable`] if rejects cannot be spilled.
    pub(super) fn reject_line(&self, key: &str, bad: BadLine, text: &[u8]) -> Result<()> {
        let Some(rejects) = &self.rejects else {
            return Err(malformed_line(key, &bad));
        };
        let length = bad.length;
        rejects.push(RejectedLine {
            text: rejects.text_of(&bad, text),
            length,
            reject: Reject {
                file: key.to_owned(),
                line: bad.line,
                offset: bad.offset,
                field: bad.field,
                reason: bad.reason,
                record: bad.is_record.then_some(bad.line),
            },
        })?;
        let counts = &self.counts;
        counts.rows_rejected.fetch_add(1, Ordering::Relaxed);
        counts.bytes_rejected.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Notes what a file looks like whose first lines are about to be rejected.
    ///
    /// # Errors
    /// [`Error::data`] with the first of them if the scan rejects no lines.
    pub(super) fn note_shape(&self, key: &str, shape: TextShape, first: &BadLine) -> Result<()> {
        let Some(rejects) = &self.rejects else {
            return Err(malformed_line(key, first)
                .with_hint(format!("the file looks like {shape}: {}", shape.hint())));
        };
        rejects.note_shape(key, shape);
        Ok(())
    }

    /// Notes that the rest of a file cannot be read, which is about to be rejected as this line.
    pub(super) fn note_broken(&self, key: &str, rest: &BadLine) {
        if let Some(rejects) = &self.rejects {
            let reason = format!("behind byte {}: {}", rest.offset, rest.reason);
            rejects.note_broken(key, reason);
        }
    }

    /// Notes that a file has no good line. `reason` is the most common reason, and `frame` the form
    /// of a file whose lines are not malformed.
    ///
    /// # Errors
    /// [`Error::data`] if the scan rejects no lines.
    pub(super) fn note_without_row(
        &self,
        key: &str,
        reason: String,
        frame: Option<TextShape>,
    ) -> Result<()> {
        match (&self.rejects, frame) {
            (Some(rejects), frame) => {
                if let Some(shape) = frame {
                    rejects.note_shape(key, shape);
                }
                rejects.note_without_row(key, reason);
                Ok(())
            }
            (None, Some(shape)) => Err(Error::data(format!(
                "`{key}` has no good line: it looks like {shape}"
            ))
            .with_hint(shape.hint())),
            (None, None) => Err(Error::data(format!("`{key}` has no good line: {reason}"))),
        }
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
    match bad.is_record {
        true => Error::data(format!(
            "`{key}` record {} at byte {}: {}",
            bad.line, bad.offset, bad.reason
        )),
        false => Error::data(format!("`{key}` line {}: {}", bad.line, bad.reason)),
    }
}
