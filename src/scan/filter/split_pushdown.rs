//! The scans that can split their batches by majority.

use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;

use crate::scan::json::exec::JsonLinesExec;
use crate::scan::shared::parquet::SharedParquetExec;

/// Returns the scan with its batches split by the values of `by`: the rows with the most frequent
/// values of a batch are emitted separately from the rest. Returns `None` if `plan` is not a scan that
/// supports it.
pub(crate) fn split_scan_by(
    plan: &Arc<dyn ExecutionPlan>,
    by: Vec<Arc<dyn PhysicalExpr>>,
) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(scan) = plan.downcast_ref::<JsonLinesExec>() {
        return Some(scan.with_filter(scan.filter().split_by(by)));
    }
    let scan = plan.downcast_ref::<SharedParquetExec>()?;
    Some(scan.with_filter(scan.filter().split_by(by)))
}
