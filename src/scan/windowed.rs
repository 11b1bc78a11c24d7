//! Lists the files of the sources that a plan reads by the cycle, without reading one.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::engine_error::from_datafusion;
use crate::listing::expand::NothingThere;
use crate::listing::snapshot::{SnapshotFile, snapshot};
use crate::scan::table::SourceTable;

/// One scan of a plan.
struct PlannedScan {
    table: SourceTable,
    filters: Vec<Expr>,
}

/// Lists the files of each source of which all scans are limited by time or by folders.
///
/// # Errors
/// Fails if the plan cannot be optimized, or if a listing fails.
pub(crate) async fn windowed_files(
    state: &SessionState,
    plan: &LogicalPlan,
) -> crate::error::Result<BTreeMap<String, Vec<SnapshotFile>>> {
    let optimized = state.optimize(plan).map_err(from_datafusion)?;
    let scans = scans_of(&optimized).map_err(from_datafusion)?;
    let whole: BTreeSet<&str> = scans
        .iter()
        .filter(|scan| !scan.table.is_windowed(&scan.filters))
        .map(|scan| scan.table.name())
        .collect();
    let mut files: BTreeMap<String, BTreeSet<SnapshotFile>> = BTreeMap::new();
    for PlannedScan { table, filters } in &scans {
        if whole.contains(table.name()) {
            continue;
        }
        let listed = list(state, table, filters).await.map_err(from_datafusion)?;
        files
            .entry(table.name().to_owned())
            .or_default()
            .extend(listed);
    }
    let sorted = files.into_iter();
    Ok(sorted
        .map(|(name, files)| (name, files.into_iter().collect()))
        .collect())
}

async fn list(
    state: &dyn Session,
    table: &SourceTable,
    filters: &[Expr],
) -> Result<Vec<SnapshotFile>> {
    let time = table.time_pruning(filters);
    let listed = table
        .list_in(state, filters, time, NothingThere::NoFiles)
        .await?;
    Ok(snapshot(&table.location().store, &listed.files))
}

fn scans_of(plan: &LogicalPlan) -> Result<Vec<PlannedScan>> {
    let mut scans = Vec::new();
    plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::TableScan(scan) = plan
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<SourceTable>()
        {
            scans.push(PlannedScan {
                table: table.clone(),
                // As DataFusion passes them to the scan.
                filters: unnormalize_cols(scan.filters.iter().cloned()),
            });
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}
