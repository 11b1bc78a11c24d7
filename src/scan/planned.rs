//! What a plan would read of its sources, told without running it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::listing::snapshot::FrozenFile;
use crate::scan::scan_log::Scan;
use crate::store::CONCURRENCY;

/// The part of one source that a query would read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedSource {
    pub name: String,
    pub files: u64,
    /// As stored.
    pub bytes: u64,
    /// Rows in these files, where their footers tell: Parquet alone does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// When the newest of the files was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<DateTime<Utc>>,
}

/// By source, sorted by name; a file that two scans read counts once.
pub(crate) async fn sources(
    scans: &[Arc<Scan>],
    runtime: &RuntimeEnv,
) -> Result<Vec<PlannedSource>> {
    let mut by_source: BTreeMap<&str, Vec<&Arc<Scan>>> = BTreeMap::new();
    for scan in scans {
        by_source.entry(&scan.source).or_default().push(scan);
    }
    let mut sources = Vec::new();
    for (name, scans) in by_source {
        let files: BTreeSet<&FrozenFile> = scans.iter().flat_map(|scan| &scan.files).collect();
        sources.push(PlannedSource {
            name: name.to_owned(),
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.size).sum(),
            rows: rows(&scans, runtime).await?,
            newest: scans.iter().filter_map(|scan| scan.newest).max(),
        });
    }
    Ok(sources)
}

/// The rows of all files, from their footers; `None` if a file has none.
async fn rows(scans: &[&Arc<Scan>], runtime: &RuntimeEnv) -> Result<Option<u64>> {
    let mut files = BTreeMap::new();
    for scan in scans {
        if scan.files.is_empty() {
            continue;
        }
        let Some(unpinned) = &scan.unpinned else {
            return Ok(None);
        };
        let store = runtime
            .object_store(&unpinned.store)
            .map_err(from_datafusion)?;
        for file in unpinned.files.iter().filter(|file| file.size > 0) {
            files.insert(file.location.clone(), (Arc::clone(&store), file.clone()));
        }
    }
    let counts: Vec<u64> = futures::stream::iter(files.into_values())
        .map(|(store, file)| async move {
            let footer = DFParquetMetadata::new(store.as_ref(), &file)
                .fetch_metadata()
                .await
                .map_err(from_datafusion)?;
            Ok(u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0))
        })
        .buffer_unordered(CONCURRENCY.parquet_footers)
        .try_collect()
        .await?;
    Ok(Some(counts.iter().sum()))
}
