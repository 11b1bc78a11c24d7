//! Samples: some rows of a source, read to check that they fit its declaration.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{Expr, lit};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;

use crate::cycle::Cycle;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::scan::parquet::misplaced::count_misplaced;
use crate::scan::parquet::page_checksums::PageChecksums;
use crate::scan::planned::PlannedSource;
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::scan::table::SourceTable;

/// The result of reading a sample.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The files that a query over the cycle, or over all of the source, would read.
    pub planned: PlannedSource,
    /// True if the sample is limited to the cycle, because the source's folders contain a time.
    pub of_cycle: bool,
    /// The number of rows that were read.
    pub rows: u64,
    /// The scan of the source, with the lines that do not fit the declaration.
    pub scan: SourceScan,
    /// How many of the files have no checksums in their pages; nothing is counted but for Parquet.
    pub page_checksums: PageChecksums,
}

/// Reads at most `max_rows` rows with all their columns: rows of the cycle, if the source's folders
/// contain the time of its rows, or else the first rows that are read.
///
/// # Errors
/// The source cannot be listed or read, a file does not have its format, or no line has a declared key
/// that lines have in another case.
pub(crate) async fn sample(
    session: &SessionContext,
    name: &str,
    cycle: Cycle,
    max_rows: usize,
) -> Result<Sample> {
    let provider = session
        .table_provider(name)
        .await
        .map_err(from_datafusion)?;
    let time_column = time_column(&provider);
    let of_cycle = time_column.is_some();
    let mut rows = session.table(name).await.map_err(from_datafusion)?;
    if let Some(name) = time_column {
        let instant = |at: chrono::DateTime<chrono::Utc>| {
            lit(ScalarValue::TimestampNanosecond(
                at.timestamp_nanos_opt(),
                Some("+00:00".into()),
            ))
        };
        let column = Expr::Column(Column::from_name(name));
        let (start, end) = (instant(cycle.start()), instant(cycle.end()));
        let window = column.clone().gt_eq(start).and(column.lt(end));
        rows = rows.filter(window).map_err(from_datafusion)?;
    }
    let limited = rows.limit(0, Some(max_rows)).map_err(from_datafusion)?;
    let scans = ScanLog::for_sample(cycle);
    let config = session
        .copied_config()
        .with_create_default_catalog_and_schema(false)
        .with_extension(Arc::clone(&scans));
    let state = SessionStateBuilder::new_from_existing(session.state())
        .with_config(config)
        .build();
    let plan: Arc<dyn ExecutionPlan> = state
        .create_physical_plan(limited.logical_plan())
        .await
        .map_err(from_datafusion)?;
    let planned = scans.planned(state.runtime_env()).await?;
    let batches = collect(Arc::clone(&plan), state.task_ctx())
        .await
        .map_err(from_datafusion)?;
    scans.check_keys()?;
    count_misplaced(&scans, state.runtime_env()).await?;
    let page_checksums = PageChecksums::of(&scans, state.runtime_env()).await?;
    let not_scanned = || Error::internal(format!("no scan of the source `{name}`"));
    let scan = scans.report(&plan).into_iter().next();
    Ok(Sample {
        scan: scan.ok_or_else(not_scanned)?,
        planned: planned
            .into_iter()
            .find(|source| source.name == name)
            .ok_or_else(not_scanned)?,
        of_cycle,
        page_checksums,
        rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
    })
}

fn time_column(provider: &Arc<dyn TableProvider>) -> Option<String> {
    let table = provider.downcast_ref::<SourceTable>()?;
    table.time_column().map(str::to_owned)
}
