//! Collects the malformed lines that tasks on other machines set aside.
//!
//! The tasks report how many malformed lines each file has; the driver reads the files that have some,
//! or that have no good line, once more, and puts the lines and files on record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;

use crate::cluster::counts::RemoteCounts;
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::listing::location::key_url;
use crate::listing::snapshot::SourceFile;
use crate::scan::json::exec::JsonLinesExec;
use crate::scan::json::pipeline::scan_files;
use crate::scan::record::Scan;
use crate::scan::scan_log::ScanLog;

/// Adds the malformed lines that `counts` reports to the scans of `log`. `plan` is the plan before it
/// was distributed.
///
/// # Errors
/// [`Error::data`] if the files do not have as many malformed lines as the tasks counted.
pub(super) async fn collect_rejects(
    plan: &Arc<dyn ExecutionPlan>,
    log: &ScanLog,
    counts: &RemoteCounts,
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
    for (index, scan) in log.scans().iter().enumerate() {
        let with_rejects = counts.files_with_rejects(index);
        let exec = execs
            .iter()
            .filter_map(|exec| exec.downcast_ref::<JsonLinesExec>())
            .find(|exec| Arc::ptr_eq(exec.scan(), scan));
        let Some(exec) = exec.filter(|_| !with_rejects.is_empty()) else {
            continue;
        };
        let keys: Vec<&str> = with_rejects
            .iter()
            .filter_map(|index| Some(scan.files.get(*index)?.key.as_str()))
            .collect();
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
    let second_scan = Scan::without_files(&scan.source, scan.rejects.clone(), None);
    let read = scan_files(
        exec.settings(),
        exec.columns(),
        Arc::clone(&second_scan),
        files,
        context,
    )
    .map_err(from_datafusion)?;
    let mut batches = read.stream(Arc::clone(exec.columns().output()));
    while batches.try_next().await.map_err(from_datafusion)?.is_some() {}
    let found = second_scan.counts.rows_rejected.load(Ordering::Relaxed);
    let counted = scan.counts.rows_rejected.load(Ordering::Relaxed);
    let bytes = second_scan.counts.bytes_rejected.load(Ordering::Relaxed);
    scan.counts.bytes_rejected.store(bytes, Ordering::Relaxed);
    if found != counted {
        return Err(Error::data(format!(
            "the source `{}` had {counted} malformed lines, and has {found} now",
            scan.source
        ))
        .with_hint("run again when the source is at rest"));
    }
    Ok(())
}
