//! Compares the rows that a cycle would have now with those that are published.

use crate::delivery::History;
use crate::engine::{BoundDefinition, row_digest};
use crate::error::Result;
use crate::exported;
use crate::manifest::Manifest;
use crate::run::context::Delivery;
use crate::run::interruption::interrupted;
use crate::scan::KeepRejects;
use crate::scan::scan_log::ScanLog;

impl Delivery<'_> {
    /// Returns true if the query gives the rows that are published. Both are read.
    ///
    /// A query that gives other rows each time, and rows that cannot be compared, count as others.
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
        let rule =
            self.request
                .await_rule(self.definition, self.cycle, history, context.clock.now());
        let keep = match self.request.max_rejects.is_strict() {
            true => KeepRejects::Nothing,
            false => KeepRejects::Positions,
        };
        let scans = ScanLog::for_cycle(rule, keep);
        let compare = async {
            let now = context.engine.digest_rows(bound, scans, &columns).await;
            let then = row_digest::of(rows, &columns).await;
            matches!((now, then), (Ok(now), Ok(then)) if now == then)
        };
        let compared = context.stop.run_until_cancelled(compare).await;
        compared.ok_or_else(interrupted)
    }
}
