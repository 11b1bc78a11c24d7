//! The audits of a delivery: started before its rows are staged, and decided before they are published.

use std::sync::Arc;

use bytes::Bytes;
use tracing::info;

use crate::audit::{AuditRun, AuditScope, AuditedCycle, BoundAudits, FailingRow, failing_summary};
use crate::delivery::History;
use crate::engine::BoundDefinition;
use crate::error::{Error, Result};
use crate::format::json;
use crate::layout;
use crate::run::context::Delivery;
use crate::run::report::{FailingRows, FailingRowsFile};
use crate::run::stage_cycle::DeliveryNotes;

/// The audits of a delivery that have started.
pub(super) struct StartedAudits {
    pub(super) run: Arc<AuditRun>,
    /// The number of earlier cycles whose rows they compare with.
    earlier_cycles: Option<u32>,
}

impl Delivery<'_> {
    /// Starts the audits of the table, if it has any, as one of `tables` tables that are written concurrently.
    pub(super) async fn start_audits(
        &self,
        bound: &BoundDefinition,
        tables: usize,
    ) -> Result<Option<StartedAudits>> {
        let engine = &self.context.engine;
        let scope = AuditScope {
            engine,
            definition: self.definition,
            bound,
            cycle: self.cycle,
        };
        let Some(audits) = BoundAudits::bind(&scope).await? else {
            return Ok(None);
        };
        let earlier_cycles = audits.earlier_cycles();
        let keeps_rows = self.context.rejected_lines.is_some();
        Ok(Some(StartedAudits {
            run: Arc::new(audits.start(engine, tables, keeps_rows).await?),
            earlier_cycles,
        }))
    }

    /// Ends the audits of `rows` rows, and keeps their results in `notes`.
    ///
    /// # Errors
    /// [`Error::data`] if an audit does not hold so that nothing may be published.
    pub(super) async fn finish_audits(
        &self,
        audits: StartedAudits,
        rows: u64,
        history: &History,
        notes: &mut DeliveryNotes,
    ) -> Result<()> {
        let destination = &self.context.destination;
        let earlier = match audits.earlier_cycles {
            None => Vec::new(),
            Some(count) => {
                history
                    .manifests_before(destination, self.cycle, count)
                    .await?
            }
        };
        let facts = AuditedCycle {
            rows,
            earlier_rows: earlier.iter().map(|manifest| manifest.rows).collect(),
        };
        let (mut results, failing) = audits.run.finish(&facts).await?;
        for result in &mut results {
            result.record.accepted =
                result.is_broken() && self.request.accepts(self.definition, &result.record.name);
        }
        let broken = results.iter().filter(|result| result.is_broken()).count();
        let (table, cycle, run_id) = (&self.definition.table, self.cycle, &self.context.run_id);
        info!(%table, %cycle, run_id, audits = results.len(), broken, "audited");
        let summary = failing_summary(&results);
        notes.audits = results;
        notes.failing_rows = self.copy_failing_rows(&failing).await;
        match summary {
            None => Ok(()),
            Some(summary) => Err(Error::data(format!(
                "the cycle breaks {summary}; nothing of it is published"
            ))
            .with_hint(
                "correct the source or the definition and run again; --accept-audit NAME publishes the cycle all \
                 the same, and `-- severity: warn` in front of the audit makes it a warning",
            )),
        }
    }

    /// Writes the rows that break audits to the operator's place, if there is one.
    async fn copy_failing_rows(&self, rows: &[FailingRow]) -> Option<FailingRows> {
        let place = self.context.rejected_lines.as_ref()?;
        if rows.is_empty() {
            return None;
        }
        let (table, run_id) = (&self.definition.table, &self.context.run_id);
        let key = layout::failing_rows_file(self.cycle, table, run_id);
        let written = async {
            let text = json::encode_lines(rows)?;
            let file = FailingRowsFile {
                path: place.address_of(&key),
                rows: rows.len() as u64,
                bytes: text.len() as u64,
            };
            place.put(&key, Bytes::from(text)).await.map(|_| file)
        };
        Some(match written.await {
            Ok(file) => FailingRows {
                file: Some(file),
                error: None,
            },
            Err(error) => FailingRows {
                file: None,
                error: Some(error.chain()),
            },
        })
    }
}
