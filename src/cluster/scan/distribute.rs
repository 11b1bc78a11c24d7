//! Replaces the scans of a plan by their remote forms, and applies what they counted.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;

use crate::cluster::counts::RemoteCounts;
use crate::cluster::scan::json::RemoteJsonExec;
use crate::cluster::scan::rejects::collect_rejects;
use crate::cluster::scan::row_count::RowCountExec;
use crate::error;
use crate::scan::json::exec::JsonLinesExec;
use crate::scan::parquet::source::without_checks;
use crate::scan::record::{Scan, parquet_scan};
use crate::scan::scan_log::ScanLog;

/// Replaces the scans of a plan by scans that tasks on other machines can run. `log` has recorded all
/// of them.
pub(crate) fn distribute_scans(
    plan: Arc<dyn ExecutionPlan>,
    log: &ScanLog,
) -> Result<Arc<dyn ExecutionPlan>> {
    let distributed = plan.transform_up(|node| {
        let Some((scan, index)) = logged_scan(&node, log) else {
            return Ok(Transformed::no(node));
        };
        let remote: Arc<dyn ExecutionPlan> = match scan {
            LoggedScan::Json(exec) => Arc::new(RemoteJsonExec::over(exec, index)?),
            LoggedScan::Parquet => {
                // Only DataFusion's own operators are encoded; the tasks put the checks back.
                let plain = without_checks(&node).unwrap_or_else(|| Arc::clone(&node));
                Arc::new(RowCountExec::over(plain, index)?)
            }
        };
        Ok(Transformed::yes(remote))
    })?;
    Ok(distributed.data)
}

/// Applies what the tasks counted to the scans of `log`, and collects the malformed lines that they set
/// aside. `plan` is the plan before it was distributed; `context` reads the sources.
///
/// # Errors
/// If a count is missing: nothing that was read may be lost.
pub(crate) async fn apply_counts(
    plan: &Arc<dyn ExecutionPlan>,
    log: &ScanLog,
    counts: &RemoteCounts,
    context: &Arc<TaskContext>,
) -> error::Result<()> {
    counts.apply(log, &scan_parts(plan, log))?;
    collect_rejects(plan, log, counts, context).await
}

/// A scan of one of our sources.
enum LoggedScan<'a> {
    Json(&'a JsonLinesExec),
    Parquet,
}

/// Returns the scan that `node` is, and its index in the log.
fn logged_scan<'a>(
    node: &'a Arc<dyn ExecutionPlan>,
    log: &ScanLog,
) -> Option<(LoggedScan<'a>, usize)> {
    let index = |scan: &Arc<Scan>| {
        let scans = log.scans();
        scans.iter().position(|logged| Arc::ptr_eq(logged, scan))
    };
    if let Some(exec) = node.downcast_ref::<JsonLinesExec>() {
        return Some((LoggedScan::Json(exec), index(exec.scan())?));
    }
    Some((LoggedScan::Parquet, index(&parquet_scan(node)?)?))
}

/// Returns the index of each scan of the plan in the log, and the number of its parts.
fn scan_parts(plan: &Arc<dyn ExecutionPlan>, log: &ScanLog) -> Vec<(usize, usize)> {
    let own = logged_scan(plan, log).map(|(_, index)| {
        let parts = plan.properties().output_partitioning().partition_count();
        (index, parts)
    });
    let below = plan.children().into_iter();
    own.into_iter()
        .chain(below.flat_map(|child| scan_parts(child, log)))
        .collect()
}
