//! The scans of a plan that ran.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::scan::json::exec::JsonLinesExec;
use crate::scan::record::{Scan, parquet_scan};
use crate::scan::shared::parquet::SharedParquetExec;

/// Returns the scan of a source that an operator does, by itself or with the reader below it; `None` for
/// any other operator.
pub(crate) fn scan_of(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<Scan>> {
    if let Some(exec) = node.downcast_ref::<JsonLinesExec>() {
        return Some(Arc::clone(exec.scan()));
    }
    if let Some(exec) = node.downcast_ref::<SharedParquetExec>() {
        return Some(Arc::clone(exec.scan()));
    }
    parquet_scan(node)
}
