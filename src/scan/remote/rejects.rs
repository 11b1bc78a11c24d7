//! The malformed lines that tasks on other machines set aside. They report how many there are in
//! which file; the files that have some are read once more, by whoever puts the lines on record.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;

use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::listing::location::key_url;
use crate::listing::snapshot::SourceFile;
use crate::scan::json::exec::{JsonLinesExec, read_files};
use crate::scan::remote::tally::Tally;
use crate::scan::scan_log::{Scan, ScanCounts, ScanLog};

/// Puts the lines that `tally` counted into the scans of `log`. `plan` is the one that was
/// distributed.
pub(crate) async fn collect(
    plan: &Arc<dyn ExecutionPlan>,
    log: &ScanLog,
    tally: &Tally,
    context: &Arc<TaskContext>,
) -> Result<()> {
    let mut execs = Vec::new();
    plan.apply(|node| {
        if node.is::<JsonLinesExec>() {
            execs.push(Arc::clone(node));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    for (number, scan) in log.scans().iter().enumerate() {
        let with_rejects = tally.files_with_rejects(number);
        let exec = execs
            .iter()
            .filter_map(|exec| exec.downcast_ref::<JsonLinesExec>())
            .find(|exec| Arc::ptr_eq(exec.scan(), scan));
        let Some(exec) = exec.filter(|_| !with_rejects.is_empty()) else {
            continue;
        };
        let keys = with_rejects.iter().filter_map(|place| {
            let file = scan.files.get(*place)?;
            Some(file.key.as_str())
        });
        let keys: Vec<&str> = keys.collect();
        let files = exec.groups().iter().flatten().filter(|file| {
            let key = key_url(&exec.settings().store, &file.meta.location);
            keys.contains(&key.as_str())
        });
        reread(exec, scan, files.cloned().collect(), context).await?;
    }
    Ok(())
}

async fn reread(
    exec: &JsonLinesExec,
    scan: &Scan,
    files: Vec<SourceFile>,
    context: &Arc<TaskContext>,
) -> Result<()> {
    let again = Arc::new(Scan {
        source: scan.source.clone(),
        files: Vec::new(),
        newest: None,
        counts: ScanCounts::default(),
        rejects: Some(Mutex::default()),
        unpinned: None,
    });
    let of_scan = Arc::clone(&again);
    let intake = read_files(exec.settings(), exec.columns(), of_scan, files, context)
        .map_err(from_datafusion)?;
    let mut batches = intake.stream(Arc::clone(exec.columns().output()));
    while batches.try_next().await.map_err(from_datafusion)?.is_some() {}
    let found = again.counts.rows_rejected.load(Ordering::Relaxed);
    let counted = scan.counts.rows_rejected.load(Ordering::Relaxed);
    if found != counted {
        return Err(Error::data(format!(
            "the source `{}` had {counted} malformed lines, and has {found} now",
            scan.source
        ))
        .with_hint("run again when the source is at rest"));
    }
    if let (Some(from), Some(to)) = (&again.rejects, &scan.rejects) {
        let mut from = from.lock().unwrap_or_else(PoisonError::into_inner);
        let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
        to.append(&mut from);
    }
    Ok(())
}
