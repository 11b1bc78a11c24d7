//! Stages one cycle of one table, up to an entry that may be committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::info;

use crate::audit::AuditResult;
use crate::cycle::SyncMode;
use crate::delivery::History;
use crate::engine::{BoundDefinition, Staging, StagingJob};
use crate::error::Result;
use crate::run::commit_builder::CommitBuilder;
use crate::run::context::Delivery;
use crate::run::guards;
use crate::run::interruption::interrupted;
use crate::run::ready_entry::ReadyEntry;
use crate::run::rejected_lines::copy_rejected_lines;
use crate::run::rejects::stage_rejects;
use crate::run::report::{FailingRows, RejectedLines};
use crate::scan::scan_log::ScanLog;
use crate::scan::shared::barrier::Participant;
use crate::scan::{KeepRejects, MissingSource};
use crate::stage::{RowTap, StagingSession};
use crate::store::shown;

/// The parts of a delivery that its report has, whatever the outcome.
#[derive(Debug, Default)]
pub(super) struct DeliveryNotes {
    /// The malformed lines that the operator gets.
    pub(super) rejected_lines: RejectedLines,
    /// The results of the audits.
    pub(super) audits: Vec<AuditResult>,
    /// The rows that break audits, which the operator gets.
    pub(super) failing_rows: Option<FailingRows>,
}

/// The outcome of staging.
pub(super) enum StagedEntry {
    /// The entry may be committed.
    Ready(Box<ReadyEntry>),
    /// The cycle waits for files of these sources.
    Awaited(Vec<MissingSource>),
}

impl Delivery<'_> {
    /// Stages the rows and the rejects, and checks the guards. Returns the entry, which may be
    /// committed.
    pub(super) async fn stage(
        &self,
        bound: &BoundDefinition,
        stage: &Arc<StagingSession>,
        builder: &CommitBuilder<'_>,
        participant: Option<Participant>,
        notes: &mut DeliveryNotes,
    ) -> Result<StagedEntry> {
        let rule = self.await_rule(builder.history);
        let scans = ScanLog::for_cycle(rule, self.keep_rejects());
        self.context.listener.staging_started(
            self.definition,
            self.cycle,
            Arc::clone(stage),
            Arc::clone(&scans),
        );
        let staging = async {
            let engine = &self.context.engine;
            let tables = stage.config().concurrent_tables;
            let audits = self.start_audits(bound, tables).await?;
            let tap = audits
                .as_ref()
                .map(|audits| Arc::clone(&audits.run) as Arc<dyn RowTap>);
            let job = StagingJob {
                bound,
                session: Arc::clone(stage),
                scans,
                participant,
                tap,
            };
            let mut staged = match engine.stage(job).await? {
                Staging::Staged(staged) => staged,
                Staging::Awaited(sources) => return Ok(StagedEntry::Awaited(sources)),
            };
            if !staged.doubtful.is_empty() && staged.files.iter().all(|file| file.rows == 0) {
                return Ok(StagedEntry::Awaited(std::mem::take(&mut staged.doubtful)));
            }
            let (table, cycle) = (&self.definition.table, self.cycle);
            let (run_id, files) = (&self.context.run_id, staged.files.len());
            info!(%table, %cycle, run_id, files, "staged");
            // Before the guards: the lines are needed above all if they fail the table.
            copy_rejected_lines(self, &staged.sources, &mut notes.rejected_lines).await;
            guards::check(self.request, &staged, builder.replaced)?;
            let balance = staged.balance.clone();
            info!(%table, %cycle, run_id, %balance, "accounted");
            if let Some(audits) = audits {
                let rows = staged.files.iter().map(|file| file.rows).sum();
                self.finish_audits(audits, rows, builder.history, notes)
                    .await?;
            }
            let absent = guards::check_absent(&staged, &builder.history.state)?;
            let rejects = stage_rejects(self, stage, &staged.sources).await?;
            let foreign = self.foreign(stage, builder.history).await?;
            // The last call before the commit: a list that no entry names is harmless, and stays.
            if self.definition.sync_mode == SyncMode::Incremental {
                let lists = &self.context.lists;
                lists
                    .store(&self.context.destination, &staged.sources)
                    .await?;
            }
            let missing = std::mem::take(&mut staged.missing);
            Ok(StagedEntry::Ready(Box::new(ReadyEntry {
                entry: builder.entry(staged, rejects, &notes.audits)?,
                balance,
                foreign,
                missing,
                absent,
                changes: Vec::new(),
            })))
        };
        let staged = self.context.stop.run_until_cancelled(staging).await;
        staged.ok_or_else(interrupted)?
    }

    /// Returns what scans keep of malformed lines. An operator with a place for them gets all, so that
    /// not even a strict run ends at the first.
    fn keep_rejects(&self) -> KeepRejects {
        if self.context.rejected_lines.is_some() {
            KeepRejects::Texts
        } else if self.request.max_rejects.is_strict() {
            KeepRejects::Nothing
        } else {
            KeepRejects::Positions
        }
    }

    /// Returns the objects in the partitions written to that no manifest of the table names, and those
    /// beside its manifests and log entries whose numbers are passed over.
    async fn foreign(&self, stage: &StagingSession, history: &History) -> Result<Vec<String>> {
        let others = stage.others();
        if others.is_empty() {
            return Ok(history.foreign.clone());
        }
        let manifests = history.manifests(&self.context.destination).await?;
        let owned: BTreeSet<&str> = manifests
            .iter()
            .flat_map(|manifest| &manifest.files)
            .map(|file| file.path.as_str())
            .collect();
        let foreign = others.iter().filter(|path| !owned.contains(path.as_ref()));
        Ok(foreign
            .map(|path| shown(path.as_ref()).into_owned())
            .chain(history.foreign.iter().cloned())
            .collect())
    }
}
