//! Compares the rows that a cycle would have now with those that are published.

use crate::delivery::History;
use crate::engine::{BoundDefinition, row_digest};
use crate::engine_error::from_datafusion;
use crate::error::{Error, Result};
use crate::exported;
use crate::manifest::{Manifest, MisplacedRecord};
use crate::run::context::Delivery;
use crate::run::interruption::interrupted;
use crate::scan::KeepRejects;
use crate::scan::scan_log::{ScanLog, SourceScan};

impl Delivery<'_> {
    /// Returns true if the query gives the rows that are published. Both are read.
    ///
    /// A query that gives other rows each time, and rows that cannot be compared, count as others. So do the
    /// same rows beside other numbers of malformed lines and misplaced rows.
    pub(super) async fn has_same_rows(
        &self,
        bound: &BoundDefinition,
        published: &Manifest,
        history: &History,
    ) -> Result<bool> {
        let context = self.context;
        if !bound.volatile_functions()?.is_empty() {
            return Ok(false);
        }
        let session = context.engine.session();
        let (rows, columns) = exported::rows(&session, &context.destination, published)?;
        let rule = self.await_rule(history);
        let keep = match self.request.max_rejects.is_strict() {
            true => KeepRejects::Nothing,
            false => KeepRejects::Positions,
        };
        let scans = ScanLog::for_cycle(rule, keep);
        let compare = async {
            let (now, sources) = context.engine.digest_rows(bound, scans, &columns).await?;
            let published_rows = rows.execute_stream().await.map_err(from_datafusion)?;
            let then = row_digest::of(published_rows, &columns).await?;
            Ok::<_, Error>(now == then && SetAside::now(&sources) == SetAside::then(published))
        };
        let compared = context.stop.run_until_cancelled(compare).await;
        Ok(compared.ok_or_else(interrupted)?.unwrap_or(false))
    }
}

/// What was read and is not among the rows. Late files may have nothing else, and are published then, so
/// that it is reported.
#[derive(PartialEq, Eq)]
struct SetAside {
    rejected: u64,
    misplaced: u64,
}

impl SetAside {
    fn now(sources: &[SourceScan]) -> Self {
        Self {
            rejected: sources.iter().map(|source| source.rows_rejected).sum(),
            misplaced: misplaced(sources.iter().map(|source| &source.misplaced)),
        }
    }

    fn then(published: &Manifest) -> Self {
        let sources = &published.sources;
        Self {
            rejected: sources.iter().map(|source| source.rows_rejected).sum(),
            misplaced: misplaced(sources.iter().map(|source| &source.misplaced)),
        }
    }
}

fn misplaced<'a>(sources: impl Iterator<Item = &'a Option<MisplacedRecord>>) -> u64 {
    sources.flatten().map(|record| record.rows).sum()
}
