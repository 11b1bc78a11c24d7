//! Delivers one cycle of one table, from recovery to the manifest.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use tracing::{debug, info};

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::delivery::{self, Commit, Decision, History, LogEntry, Publish};
use crate::engine::{BoundDefinition, StagingJob};
use crate::error::{Error, Result};
use crate::format::json;
use crate::layout::{self, ManifestName, Shard};
use crate::manifest::{Manifest, RejectsFile};
use crate::run::commit_builder::{CommitBuilder, StagedRejects};
use crate::run::context::{Delivery, RunContext};
use crate::run::guards;
use crate::run::report::{TableOutcome, TableReport};
use crate::run::request::RunRequest;
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::scan::shared::barrier::Participant;
use crate::stage::{NumberingHistory, StagingConfig, StagingSession, WriterIndex};

/// The maximum number of attempts before the table is left to concurrent runs.
const MAX_ATTEMPTS: u32 = 3;

/// Delivers one cycle of one table. Never fails: the report holds any error.
///
/// `participant` is its membership of the scan barrier of the tables that are delivered concurrently.
pub(super) async fn deliver(
    context: &RunContext,
    request: &RunRequest,
    definition: &Definition,
    cycle: Cycle,
    participant: Participant,
) -> TableReport {
    let started = context.clock.now();
    let delivery = Delivery {
        context,
        request,
        definition,
        cycle,
        started,
    };
    let (table, run_id) = (&definition.table, &context.run_id);
    debug!(%table, %cycle, run_id, "begun");
    let outcome = match delivery.run(participant).await {
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
        TableOutcome::Superseded { by } => debug!(%table, %cycle, run_id, %by, "superseded"),
        // The report contains it too, but some read only the logs.
        TableOutcome::Failed(failure) => {
            info!(%table, %cycle, run_id, error = failure.error, "failed");
        }
    }
    let took = context.clock.now() - started;
    TableReport {
        table: definition.table.to_string(),
        sync_mode: Some(definition.sync_mode),
        cycle: Some(cycle),
        seconds: took.as_seconds_f64(),
        outcome,
    }
}

/// The outcome of one attempt at a delivery.
enum Attempt {
    Done(TableOutcome),
    /// Another run committed first: retry from recovery.
    Overtaken {
        by: Box<LogEntry>,
    },
}

impl Delivery<'_> {
    async fn run(&self, participant: Participant) -> Result<TableOutcome> {
        let mut overtaken_by = String::new();
        let mut participant = Some(participant);
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(participant.take()).await? {
                Attempt::Done(outcome) => return Ok(outcome),
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

    async fn attempt(&self, participant: Option<Participant>) -> Result<Attempt> {
        let history = self.recover().await?;
        let mode = self.definition.sync_mode;
        let publication = match delivery::decide(&history, mode, self.cycle, self.request.rerun) {
            Decision::Publish(publication) => publication,
            Decision::AlreadyPublished(name) => {
                return Ok(Attempt::Done(self.already_published(name).await?));
            }
            Decision::Superseded(name) => {
                return Ok(Attempt::Done(TableOutcome::Superseded { by: name.cycle }));
            }
        };
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

        let stage = Arc::new(StagingSession::new(StagingConfig {
            destination: self.context.destination.clone(),
            table: self.definition.table.clone(),
            staging: format!(
                "{}-{}-{}",
                self.context.run_id, self.definition.table, self.cycle
            ),
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
            spec: &bound.spec,
        };
        let (entry, foreign) = match self.stage(&bound, &stage, &builder, participant).await {
            Ok(staged) => staged,
            Err(error) => return Err(abort(&stage, error).await),
        };
        self.commit_and_publish(&stage, &entry, foreign).await
    }

    /// Returns the objects in the partitions written to that no manifest of the table names.
    async fn foreign(&self, stage: &StagingSession, history: &History) -> Result<Vec<String>> {
        let others = stage.others();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let manifests = history.manifests(&self.context.destination).await?;
        let owned: BTreeSet<&str> = manifests
            .iter()
            .flat_map(|manifest| &manifest.files)
            .map(|file| file.path.as_str())
            .collect();
        let foreign = others.iter().filter(|path| !owned.contains(path.as_ref()));
        Ok(foreign.map(Path::to_string).collect())
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

    /// Stages the rows and the rejects, and checks the guards. Returns the entry, which may be
    /// committed, and the keys of the foreign objects that were found.
    async fn stage(
        &self,
        bound: &BoundDefinition,
        stage: &Arc<StagingSession>,
        builder: &CommitBuilder<'_>,
        participant: Option<Participant>,
    ) -> Result<(LogEntry, Vec<String>)> {
        let scans = if self.request.max_rejects.is_strict() {
            ScanLog::new()
        } else {
            ScanLog::keeping_rejects()
        };
        self.context.listener.staging_started(
            self.definition,
            self.cycle,
            Arc::clone(stage),
            Arc::clone(&scans),
        );
        let staging = async {
            let engine = &self.context.engine;
            let job = StagingJob {
                bound,
                session: Arc::clone(stage),
                scans,
                participant,
            };
            let staged = engine.stage(job).await?;
            let (table, cycle) = (&self.definition.table, self.cycle);
            let (run_id, files) = (&self.context.run_id, staged.files.len());
            info!(%table, %cycle, run_id, files, "staged");
            guards::check(self.request, &staged, builder.replaced)?;
            let rejects = self.stage_rejects(stage, &staged.sources).await?;
            let foreign = self.foreign(stage, builder.history).await?;
            Ok((builder.entry(staged, rejects)?, foreign))
        };
        let interrupted = "interrupted before the commit: nothing was published";
        let staged = self.context.stop.run_until_cancelled(staging).await;
        staged.ok_or_else(|| Error::unavailable(interrupted))?
    }

    /// Stages a file of rejects for each source that has malformed lines.
    async fn stage_rejects(
        &self,
        stage: &StagingSession,
        sources: &[SourceScan],
    ) -> Result<Vec<StagedRejects>> {
        let mut staged = Vec::new();
        for source in sources.iter().filter(|source| !source.rejects.is_empty()) {
            let path = layout::rejects_file(
                &source.name,
                self.cycle,
                &self.definition.table,
                &self.context.run_id,
            );
            let text = json::encode_lines(&source.rejects)?;
            let record = RejectsFile {
                source: source.name.clone(),
                path: path.to_string(),
                rows: source.rejects.len() as u64,
                bytes: text.len() as u64,
                etag: None,
                sha256: format!("{:x}", Sha256::digest(&text)),
            };
            let token = stage.stage_object(&path, Bytes::from(text)).await?;
            staged.push(StagedRejects { record, token });
        }
        Ok(staged)
    }

    async fn commit_and_publish(
        &self,
        stage: &StagingSession,
        entry: &LogEntry,
        foreign: Vec<String>,
    ) -> Result<Attempt> {
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
            Publish::Published(manifest) => {
                stage.discard();
                Ok(Attempt::Done(published(*manifest, foreign)))
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

fn published(manifest: Manifest, foreign: Vec<String>) -> TableOutcome {
    TableOutcome::Published {
        revision: manifest.revision,
        rows: manifest.rows,
        files: manifest.files.len() as u64,
        bytes: manifest.bytes,
        manifest: manifest.name().path().to_string(),
        sources: manifest.sources,
        rejects: manifest.rejects,
        replaced: manifest.replaced,
        foreign,
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
