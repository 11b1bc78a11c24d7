//! Stages the record of malformed lines beside the data.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::format::json;
use crate::layout;
use crate::manifest::RejectsFile;
use crate::run::commit_builder::StagedRejects;
use crate::run::context::Delivery;
use crate::scan::rejects::Reject;
use crate::scan::scan_log::SourceScan;
use crate::stage::StagingSession;

/// The maximum number of rejects in a file: they are in memory while it is staged.
const MAX_REJECTS_PER_FILE: usize = 100_000;

/// Stages the rejects of each source that has malformed lines, in as many files as they need.
pub(super) async fn stage_rejects(
    delivery: &Delivery<'_>,
    stage: &StagingSession,
    sources: &[SourceScan],
) -> Result<Vec<StagedRejects>> {
    let mut staged = Vec::new();
    for source in sources.iter().filter(|source| !source.rejects.is_empty()) {
        let mut rejects = source.rejects.read()?;
        for number in 1.. {
            let next = rejects.by_ref().take(MAX_REJECTS_PER_FILE);
            let in_file: Vec<Reject> = next.collect::<Result<_>>()?;
            if in_file.is_empty() {
                break;
            }
            staged.push(stage_file(delivery, stage, &source.name, number, &in_file).await?);
        }
    }
    Ok(staged)
}

/// Stages one file of rejects of a source.
async fn stage_file(
    delivery: &Delivery<'_>,
    stage: &StagingSession,
    source: &str,
    number: u64,
    rejects: &[Reject],
) -> Result<StagedRejects> {
    let (table, run_id) = (&delivery.definition.table, &delivery.context.run_id);
    let path = layout::rejects_file(source, delivery.cycle, table, run_id, number);
    let text = json::encode_lines(rejects)?;
    let record = RejectsFile {
        source: source.to_owned(),
        path: path.to_string(),
        rows: rejects.len() as u64,
        bytes: text.len() as u64,
        etag: None,
        sha256: format!("{:x}", Sha256::digest(&text)),
    };
    let token = stage.stage_object(&path, Bytes::from(text)).await?;
    Ok(StagedRejects { record, token })
}
