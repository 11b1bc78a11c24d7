//! Scans that tasks on other machines do.
//!
//! ```text
//! JsonLinesExec ─distribute→ JsonTaskExec ← lists: for each partition, its files as rows
//! DataSourceExec (Parquet) ─distribute→ CountedExec ← the same scan, ordinals
//! ```
//! A scheduler cuts a plan by cutting the scans that it knows. It does not know ours, so the files
//! of a JSON scan come as the rows of one that it knows. What the scans counted comes back in the
//! plan's metrics, by names that tell which part of which scan it is ([`Tally`]): a task that was done
//! twice counts once.

pub(crate) mod counted;
pub(crate) mod json;
pub(crate) mod lists;
pub(crate) mod rejects;
pub(crate) mod tally;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

pub use self::counted::CountedExec;
pub use self::json::{JsonTask, JsonTaskExec};
pub use self::tally::{Tally, written};

use crate::scan::json::exec::JsonLinesExec;
use crate::scan::scan_log::{Scan, ScanLog, parquet_scan};

/// The plan whose scans tasks on other machines can do. `log` has seen all of them.
pub fn distribute(plan: Arc<dyn ExecutionPlan>, log: &ScanLog) -> Result<Arc<dyn ExecutionPlan>> {
    let scans = log.scans();
    let number = |scan: &Arc<Scan>| scans.iter().position(|logged| Arc::ptr_eq(logged, scan));
    let distributed = plan.transform_up(|node| {
        if let Some(exec) = node.downcast_ref::<JsonLinesExec>() {
            let Some(number) = number(exec.scan()) else {
                return Ok(Transformed::no(node));
            };
            return Ok(Transformed::yes(Arc::new(exec.for_elsewhere(number)?) as _));
        }
        if node.is::<DataSourceExec>()
            && let Some(number) = parquet_scan(&node).and_then(|scan| number(&scan))
        {
            return Ok(Transformed::yes(
                Arc::new(CountedExec::over(node, number)?) as _
            ));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(distributed.data)
}
