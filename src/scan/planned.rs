//! A plan's files and bytes by source, found without running it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::listing::snapshot::SnapshotFile;
use crate::manifest::PassedOverRecord;
use crate::scan::parquet::lone_footer::{read_footer, row_count};
use crate::scan::record::Scan;
use crate::scan::scan_log::{ScanLog, by_source, passed_over};
use crate::store::CONCURRENCY;

/// The part of one source that a query would read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedSource {
    /// The source's name.
    pub name: String,
    /// The number of files.
    pub files: u64,
    /// The compressed bytes of the files.
    pub bytes: u64,
    /// The number of rows in the files, if their format has a footer that contains it: only Parquet
    /// has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The time at which the newest of the files was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<DateTime<Utc>>,
    /// The folders and files that the listing passed over; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<PassedOverRecord>,
}

impl ScanLog {
    /// Reports the files of each source that the scans would read, sorted by name, before any of
    /// them runs. A file that two scans read counts once.
    ///
    /// # Errors
    /// The footer of a Parquet file cannot be read.
    pub async fn planned(&self, runtime: &RuntimeEnv) -> Result<Vec<PlannedSource>> {
        let all_scans = self.scans();
        let mut sources = Vec::new();
        for (name, scans) in by_source(&all_scans) {
            let files: BTreeSet<&SnapshotFile> =
                scans.iter().flat_map(|scan| &scan.files).collect();
            sources.push(PlannedSource {
                name: name.to_owned(),
                files: files.len() as u64,
                bytes: files.iter().map(|file| file.size).sum(),
                rows: total_row_count(&scans, runtime).await?,
                passed_over: passed_over(&scans),
                newest: scans.iter().filter_map(|scan| scan.newest).max(),
            });
        }
        Ok(sources)
    }
}

/// Returns the number of rows of all files, from their footers; `None` if a file has none.
async fn total_row_count(scans: &[&Arc<Scan>], runtime: &RuntimeEnv) -> Result<Option<u64>> {
    let mut files = BTreeMap::new();
    for scan in scans {
        if scan.files.is_empty() {
            continue;
        }
        // Only Parquet files are verified after the run.
        let Some(unverified) = &scan.unverified else {
            return Ok(None);
        };
        let store = runtime
            .object_store(&unverified.store)
            .map_err(from_datafusion)?;
        for file in unverified.files.iter().filter(|file| file.size > 0) {
            let of_store = (unverified.store.clone(), Arc::clone(&store));
            files.insert(file.location.clone(), (of_store, file.clone()));
        }
    }
    let counts: Vec<u64> = futures::stream::iter(files.into_values())
        .map(|((url, store), file)| async move {
            let footer = read_footer(&url, store.as_ref(), &file).await;
            footer
                .map(|footer| row_count(&footer))
                .map_err(from_datafusion)
        })
        .buffer_unordered(CONCURRENCY.parquet_footers)
        .try_collect()
        .await?;
    Ok(Some(counts.iter().sum()))
}
