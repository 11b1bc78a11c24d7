//! Delivers one cycle of one table, from recovery to the manifest.

use std::sync::Arc;

use tracing::{debug, info};

use crate::cycle::{Cycle, SyncMode};
use crate::definition::Definition;
use crate::delivery::{self, Commit, Decision, History, LogEntry, Publish};
use crate::error::{Error, Result};
use crate::layout::{self, ManifestName, Shard};
use crate::manifest::{self, Manifest};
use crate::run::commit_builder::CommitBuilder;
use crate::run::context::{Delivery, RunContext};
use crate::run::guards;
use crate::run::late::{LateFiles, Standing};
use crate::run::late_files;
use crate::run::names;
use crate::run::ready_entry::ReadyEntry;
use crate::run::report::{TableOutcome, TableReport};
use crate::run::request::RunRequest;
use crate::run::stage_cycle::{DeliveryNotes, StagedEntry};
use crate::scan::MissingSource;
use crate::scan::shared::barrier::Participant;
use crate::schema_version;
use crate::stage::{NumberingHistory, StagingConfig, StagingSession, WriterIndex};

/// The maximum number of attempts before the table is left to concurrent runs.
const MAX_ATTEMPTS: u32 = 3;

/// Delivers one cycle of one table. Never fails: the report holds any error.
///
/// `late` are the source files for which a published cycle is published again. `participant` is its
/// membership of the scan barrier of the tables that are delivered concurrently.
pub(super) async fn deliver(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    cycle: Cycle,
    late: Option<&LateFiles>,
    participant: Participant,
) -> TableReport {
    let started = context.clock.now();
    let delivery = Delivery {
        context,
        request,
        definition,
        cycle,
        started,
        late,
    };
    let (table, run_id) = (&definition.table, &context.run_id);
    debug!(%table, %cycle, run_id, "begun");
    let mut notes = DeliveryNotes::default();
    let outcome = match delivery.run(participant, &mut notes).await {
        Ok(outcome) => outcome,
        Err(error) => TableOutcome::failed(&error),
    };
    match &outcome {
        TableOutcome::Published {
            revision,
            rows,
            files,
            bytes,
            ..
        } => {
            info!(%table, %cycle, run_id, revision, rows, files, bytes, "published");
        }
        TableOutcome::AlreadyPublished { run_id: by, .. } => {
            debug!(%table, %cycle, run_id, by, "already published");
        }
        TableOutcome::Awaited { sources, .. } => {
            let sources = MissingSource::list(sources);
            info!(%table, %cycle, run_id, sources, "awaited");
        }
        TableOutcome::Late { files, standing } => {
            let LateFiles { added, changed, .. } = files;
            info!(%table, %cycle, run_id, added, changed, ?standing, "late files");
        }
        TableOutcome::Superseded { by } => debug!(%table, %cycle, run_id, %by, "superseded"),
        // The listener logs it, as it does failures of which this function does not know.
        TableOutcome::Failed(_) => {}
    }
    let took = context.clock.now() - started;
    TableReport {
        table: definition.table.to_string(),
        sync_mode: Some(definition.sync_mode),
        cycle: Some(cycle),
        seconds: took.as_seconds_f64(),
        is_late: late.is_some(),
        outcome,
        rejected_lines: notes.rejected_lines.into_report(),
        audits: notes.audits,
        failing_rows: notes.failing_rows,
    }
}

/// The outcome of one attempt at a delivery.
enum Attempt {
    Done(Box<TableOutcome>),
    /// Another run committed first: retry from recovery.
    Overtaken {
        by: Box<LogEntry>,
    },
}

impl Attempt {
    fn done(outcome: TableOutcome) -> Self {
        Attempt::Done(Box::new(outcome))
    }
}

impl Delivery<'_> {
    /// Delivers the cycle. Keeps in `notes` what the report has also if that fails.
    async fn run(
        &self,
        participant: Participant,
        notes: &mut DeliveryNotes,
    ) -> Result<TableOutcome> {
        let mut overtaken_by = String::new();
        let mut participant = Some(participant);
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(participant.take(), notes).await? {
                Attempt::Done(outcome) => return Ok(*outcome),
                Attempt::Overtaken { by } => {
                    let (table, cycle) = (&self.definition.table, self.cycle);
                    let run_id = &self.context.run_id;
                    info!(%table, %cycle, run_id, by = by.run_id, "another run was faster");
                    overtaken_by = format!("run {} with the cycle {}", by.run_id, by.cycle());
                }
            }
        }
        Err(
            Error::unavailable(format!("other runs hold the table, last {overtaken_by}"))
                .with_hint("run again when they have ended"),
        )
    }

    async fn attempt(
        &self,
        participant: Option<Participant>,
        notes: &mut DeliveryNotes,
    ) -> Result<Attempt> {
        names::require_keys(self)?;
        let history = self.recover().await?;
        let mode = self.definition.sync_mode;
        let newest = history.newest_of(self.cycle);
        if let (Some(late), Some(newest)) = (self.late, &newest)
            && newest.revision != late.revision
        {
            return Ok(Attempt::done(self.already_published(newest.clone()).await?));
        }
        let rerun = self.request.rerun || self.late.is_some();
        let publication = match delivery::decide(&history, mode, self.cycle, rerun)? {
            Decision::Publish(publication) => publication,
            Decision::AlreadyPublished(name) => {
                return Ok(Attempt::done(self.already_published(name).await?));
            }
            Decision::Superseded(name) => {
                return Ok(Attempt::done(TableOutcome::Superseded { by: name.cycle }));
            }
        };
        let context = self.context;
        context
            .condition
            .require(
                &context.destination,
                &history,
                &context.run_id,
                context.clock.now(),
            )
            .await?;
        let replaced = match &publication.replaces {
            Some(name) => Some(self.manifest(name).await?),
            None => None,
        };
        let bound = self
            .context
            .engine
            .bind(
                self.definition,
                self.cycle,
                &self.request.parameters,
                self.request.format,
            )
            .await?;

        // A provisional cycle gets another revision: its source may be ready now.
        if let (Some(late), Some(published)) = (self.late, &replaced)
            && published.provisional.is_empty()
            && self.has_same_rows(&bound, published, &history).await?
        {
            late_files::record_same_rows(late, self.context, &published.name()).await;
            return Ok(Attempt::done(TableOutcome::Late {
                files: late.clone(),
                standing: Standing::SameRows,
            }));
        }

        let newest = match history.newest() {
            Some(name) if publication.replaces.as_ref() != Some(&name) => {
                Some(self.manifest(&name).await?)
            }
            _ => None,
        };
        let published: Vec<&Manifest> = replaced.iter().chain(&newest).collect();
        let changes = match published.first() {
            Some(held) => guards::check_changes(self.request, self.definition, &bound.spec, held)?,
            None => Vec::new(),
        };
        let schema_version = schema_version::assign(
            history.state.schema.as_ref(),
            &published,
            &bound.spec.table_shape(mode),
            self.cycle,
            publication.name.revision,
        )?;
        let superseded = self.superseded(&history, replaced.as_ref()).await?;
        for manifest in replaced.iter().chain(&superseded) {
            delivery::require_own_files(manifest)?;
        }
        let stage = Arc::new(StagingSession::new(StagingConfig {
            destination: self.context.destination.clone(),
            table: self.definition.table.clone(),
            staging: self.staging(),
            numbering: self.numbering(&history, replaced.as_ref()),
            writer: WriterIndex::ONLY,
            attempt: None,
            concurrent_tables: participant.as_ref().map_or(1, Participant::tables),
            target_file_size: self.request.target_file_size,
        }));
        let builder = CommitBuilder {
            delivery: self,
            history: &history,
            publication: &publication,
            replaced: replaced.as_ref(),
            superseded: &superseded,
            spec: &bound.spec,
            schema_version: &schema_version,
        };
        let staging = self.stage(&bound, &stage, &builder, participant, notes);
        let staged = match staging.await {
            Ok(StagedEntry::Ready(staged)) => ReadyEntry { changes, ..*staged },
            Ok(StagedEntry::Awaited(sources)) => {
                stage.abort().await?;
                return Ok(Attempt::done(self.awaited(sources, &history)));
            }
            Err(error) => return Err(abort(&stage, error).await),
        };
        self.commit_and_publish(&stage, staged).await
    }

    /// Returns the name of the staging folder.
    pub(super) fn staging(&self) -> String {
        let (run_id, table) = (&self.context.run_id, &self.definition.table);
        layout::staging_name(run_id, table, self.cycle)
    }

    /// Returns the manifests of an incremental table that becomes a snapshot, which replaces all of
    /// them.
    async fn superseded(
        &self,
        history: &History,
        replaced: Option<&Manifest>,
    ) -> Result<Vec<Manifest>> {
        let was_incremental =
            replaced.is_some_and(|manifest| manifest.sync_mode == SyncMode::Incremental);
        if self.definition.sync_mode != SyncMode::Snapshot || !was_incremental {
            return Ok(Vec::new());
        }
        let manifests = history.manifests(&self.context.destination).await?;
        Ok(manifest::current(manifests))
    }

    fn awaited(&self, sources: Vec<MissingSource>, history: &History) -> TableOutcome {
        match self.late {
            Some(late) => TableOutcome::Late {
                files: late.clone(),
                standing: Standing::Awaited { sources },
            },
            None => TableOutcome::Awaited {
                sources,
                stays_due: self.stays_due(history),
            },
        }
    }

    /// Returns true if a later run without dates comes back to the cycle while it is not published.
    fn stays_due(&self, history: &History) -> bool {
        self.definition.sync_mode == SyncMode::Incremental
            && history.first().is_some_and(|first| first <= self.cycle)
    }

    async fn recover(&self) -> Result<History> {
        delivery::recover(
            &self.context.destination,
            &self.definition.table,
            &self.context.run_id,
            self.context.clock.now(),
        )
        .await
    }

    async fn already_published(&self, name: ManifestName) -> Result<TableOutcome> {
        let manifest = self.manifest(&name).await?;
        Ok(TableOutcome::AlreadyPublished {
            revision: name.revision,
            run_id: manifest.run_id,
        })
    }

    async fn manifest(&self, name: &ManifestName) -> Result<Manifest> {
        delivery::read_manifest(&self.context.destination, name).await
    }

    /// Returns the names that new shards may reuse and those that are retired.
    fn numbering(&self, history: &History, replaced: Option<&Manifest>) -> NumberingHistory {
        // Files under names that a voided entry had reused may still be deleted by a run that resumes
        // late.
        let intact = history.state.needs_republish.is_empty();
        NumberingHistory {
            replaced: replaced
                .filter(|_| intact)
                .into_iter()
                .flat_map(|manifest| &manifest.files)
                .filter_map(|file| Shard::parse(&layout::parse_recorded(&file.path).ok()?))
                .collect(),
            retired: history.state.retired(),
        }
    }

    async fn commit_and_publish(
        &self,
        stage: &StagingSession,
        staged: ReadyEntry,
    ) -> Result<Attempt> {
        let entry = &staged.entry;
        let destination = &self.context.destination;
        match delivery::commit(destination, &self.definition.table, entry).await? {
            Commit::Won => {
                let (table, cycle, run_id) = (&self.definition.table, self.cycle, &entry.run_id);
                info!(%table, %cycle, run_id, sequence = entry.sequence, "committed");
            }
            Commit::Lost { winner } => {
                stage.abort().await?;
                return Ok(Attempt::Overtaken { by: winner });
            }
            Commit::Unknown(error) => {
                return Err(error
                    .context("whether the cycle is committed is not known")
                    .with_hint("run again: the next run finds out and finishes it"));
            }
        }
        match delivery::publish(destination, entry).await? {
            Publish::Published(published) => {
                stage.discard();
                Ok(Attempt::done(staged.outcome(*published)))
            }
            Publish::Impossible { lost, .. } => {
                self.recover().await?;
                Err(Error::unavailable(format!(
                    "{} uploads were aborted behind the run's back, first `{}`; the cycle is due again",
                    lost.len(),
                    lost.first().map_or("", String::as_str)
                ))
                .with_hint("does a lifecycle rule of the bucket abort uploads too early?"))
            }
        }
    }
}

/// Aborts the uploads that were staged. Returns the original error, with a hint if the abort fails
/// too.
async fn abort(stage: &StagingSession, error: Error) -> Error {
    match stage.abort().await {
        Ok(()) => error,
        Err(abort_error) => error.with_hint(format!(
            "unfinished uploads are left behind ({}); a lifecycle rule removes them",
            abort_error.chain()
        )),
    }
}
