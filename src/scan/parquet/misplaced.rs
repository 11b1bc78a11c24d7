//! Counts misplaced rows of Parquet files.
//!
//! A query asks for the rows of a folder that are in no cycle. The reader answers it from the
//! statistics of the row groups, if the files have them; only row groups that may have such rows are
//! read.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use crate::engine_error::from_datafusion;
use crate::error::Result;
use crate::listing::hive_time::Nanos;
use crate::listing::location::key_url;
use crate::listing::snapshot::SourceFile;
use crate::listing::time_bounds::unit_nanos;
use crate::scan::fixed_table::FixedTable;
use crate::scan::misplaced::{CheckedFiles, FolderTimes, Misplaced, MisplacedLog, TimeCheck};
use crate::scan::scan_log::ScanLog;
use crate::scan::spec::SourceFormat;
use crate::store::CONCURRENCY;

/// Counts the misplaced rows of the Parquet files of all scans. Those of JSON files are counted while
/// they are read.
///
/// # Errors
/// A file cannot be read.
pub(crate) async fn count_misplaced(log: &ScanLog, runtime: &Arc<RuntimeEnv>) -> Result<()> {
    for scan in log.scans() {
        if let (Some(check), Some(files)) = (&scan.time_check, &scan.checked_files) {
            let found = &scan.counts.misplaced;
            files.count(check, Arc::clone(runtime), found).await?;
        }
    }
    Ok(())
}

impl CheckedFiles {
    /// Counts the rows that are in no cycle, and adds them to `log`.
    ///
    /// # Errors
    /// A file cannot be read.
    async fn count(
        &self,
        check: &TimeCheck,
        runtime: Arc<RuntimeEnv>,
        log: &MisplacedLog,
    ) -> Result<()> {
        let session = SessionContext::new_with_config_rt(SessionConfig::new(), runtime);
        let mut folders: HashMap<FolderTimes, Vec<SourceFile>> = HashMap::new();
        for file in self.files.iter().filter(|file| file.meta.size > 0) {
            if let Some(times) = check.times(&file.meta.location, &file.partition) {
                folders.entry(times).or_default().push(file.clone());
            }
        }
        let counts = folders.into_iter().map(|(times, files)| {
            self.count_in_folder(&session, check, times, files, log)
                .boxed()
        });
        let counts: Vec<_> = counts.collect();
        stream::iter(counts)
            .buffer_unordered(CONCURRENCY.searched_files)
            .try_collect()
            .await
    }

    /// Counts the rows of the files of one folder. Only if there are any, it looks at each file.
    async fn count_in_folder(
        &self,
        session: &SessionContext,
        check: &TimeCheck,
        times: FolderTimes,
        files: Vec<SourceFile>,
        log: &MisplacedLog,
    ) -> Result<()> {
        if self.search(session, check, &times, &files).await?.rows == 0 {
            return Ok(());
        }
        for file in files {
            let key = key_url(&self.store, &file.meta.location);
            let found = self.search(session, check, &times, &[file]).await?;
            log.add(&key, found);
        }
        Ok(())
    }

    /// Returns the rows of files of one folder that are in no cycle.
    async fn search(
        &self,
        session: &SessionContext,
        check: &TimeCheck,
        times: &FolderTimes,
        files: &[SourceFile],
    ) -> Result<Misplaced> {
        let Ok(index) = self.schema.index_of(check.column()) else {
            return Ok(Misplaced::default());
        };
        let Some(outside) = outside(check.column(), self.schema.field(index).data_type(), times)
        else {
            return Ok(Misplaced::default());
        };
        let column = self.schema.project(&[index]);
        let table: Arc<dyn TableProvider> = Arc::new(FixedTable::new(
            self.store.clone(),
            files
                .iter()
                .map(|file| (file.meta.clone(), Vec::new()))
                .collect(),
            SourceFormat::Parquet,
            Arc::new(column.map_err(|error| from_datafusion(error.into()))?),
            Vec::new(),
        ));
        let mut rows = session
            .read_table(table)
            .and_then(|rows| rows.filter(outside))
            .map_err(from_datafusion)?
            .execute_stream()
            .await
            .map_err(from_datafusion)?;
        let mut misplaced = Misplaced::default();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(from_datafusion)?;
            misplaced.add(times.count(&[batch], check.column()));
        }
        Ok(misplaced)
    }
}

/// Returns the condition that a time is in no cycle.
fn outside(column: &str, data_type: &DataType, times: &FolderTimes) -> Option<Expr> {
    let DataType::Timestamp(unit, zone) = data_type else {
        return None;
    };
    let literal = |time: Nanos| {
        let value = i64::try_from(time / unit_nanos(unit)).ok()?;
        let number = ScalarValue::Int64(Some(value));
        // The limits are midnights, which every unit has.
        let timestamp = number.cast_to(&DataType::Timestamp(*unit, zone.clone()));
        timestamp.ok().map(lit)
    };
    let early = literal(times.in_cycles.start).map(|start| ident(column).lt(start));
    let late = literal(times.in_cycles.end).map(|end| ident(column).gt_eq(end));
    match (early, late) {
        (Some(early), Some(late)) => Some(early.or(late)),
        (early, late) => early.or(late),
    }
}
