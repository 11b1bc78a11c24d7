//! A few rows of a source, read to see whether they fit its declaration.

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
use crate::scan::planned::PlannedSource;
use crate::scan::rejects::Reject;
use crate::scan::scan_log::ScanLog;
use crate::scan::table::SourceTable;

/// What a sample showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What a query over the cycle, or over all of the source, would read.
    pub planned: PlannedSource,
    /// Whether the source's folders tell the cycle.
    pub of_cycle: bool,
    pub rows: u64,
    /// Lines that do not fit the declaration.
    pub rejects: Vec<Reject>,
}

/// Reads at most `most` rows with all their columns: of the cycle, where the source's folders tell
/// the time of its rows, or of whatever comes first.
///
/// # Errors
/// The source cannot be listed or read, or a file is none of its format.
pub async fn sample(
    session: &SessionContext,
    name: &str,
    cycle: Cycle,
    most: usize,
) -> Result<Sample> {
    let provider = session
        .table_provider(name)
        .await
        .map_err(from_datafusion)?;
    let time = time_column(&provider);
    let of_cycle = time.is_some();
    let mut rows = session.table(name).await.map_err(from_datafusion)?;
    if let Some(column) = time {
        let instant = |at: chrono::DateTime<chrono::Utc>| {
            lit(ScalarValue::TimestampNanosecond(
                at.timestamp_nanos_opt(),
                Some("+00:00".into()),
            ))
        };
        let column = Expr::Column(Column::from_name(column));
        let (start, end) = (instant(cycle.start()), instant(cycle.end()));
        let window = column.clone().gt_eq(start).and(column.lt(end));
        rows = rows.filter(window).map_err(from_datafusion)?;
    }
    let rows = rows.limit(0, Some(most)).map_err(from_datafusion)?;
    let scans = ScanLog::setting_aside();
    let state = session.state();
    let config = state.config().clone();
    let config = config
        .with_create_default_catalog_and_schema(false)
        .with_extension(Arc::clone(&scans));
    let state = SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .build();
    let plan: Arc<dyn ExecutionPlan> = state
        .create_physical_plan(rows.logical_plan())
        .await
        .map_err(from_datafusion)?;
    let planned = scans.planned(state.runtime_env()).await?;
    let batches = collect(Arc::clone(&plan), state.task_ctx())
        .await
        .map_err(from_datafusion)?;
    let rejects = scans
        .report(&plan)
        .into_iter()
        .flat_map(|scan| scan.rejects);
    Ok(Sample {
        planned: planned
            .into_iter()
            .find(|source| source.name == name)
            .ok_or_else(|| Error::internal(format!("no scan of the source `{name}`")))?,
        of_cycle,
        rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        rejects: rejects.collect(),
    })
}

fn time_column(provider: &Arc<dyn TableProvider>) -> Option<String> {
    let table = provider.downcast_ref::<SourceTable>()?;
    table.time_column().map(str::to_owned)
}
