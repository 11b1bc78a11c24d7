//! One table and one cycle, from recovery to the manifest.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::path::Path;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::delivery::{self, Commit, Decision, History, LogEntry, Publish};
use crate::encode;
use crate::engine::{Bound, Engine};
use crate::env::Clock;
use crate::error::{Error, Result};
use crate::layout::{self, ManifestName, Shard};
use crate::manifest::{Manifest, RejectsFile};
use crate::run::Request;
use crate::run::guards;
use crate::run::proposal::{Proposal, StagedRejects};
use crate::run::report::{Outcome, TableReport};
use crate::scan::scan_log::{ScanLog, SourceScan};
use crate::scan::shared::barrier::Seat;
use crate::stage::{Numbering, Stage};
use crate::store::Destination;

/// Times that another run may be faster before this one leaves the table to it.
const ATTEMPTS: u32 = 3;

/// What a run works with.
pub struct Context {
    pub engine: Engine,
    pub destination: Destination,
    pub clock: Clock,
    pub run_id: String,
    pub watch: Box<dyn Watch>,
    /// Stops staging; a commit that has begun is carried through.
    pub stop: CancellationToken,
}

/// Somebody who watches a run.
pub trait Watch: Send + Sync {
    /// A table has begun to be staged.
    fn staging(
        &self,
        definition: &Definition,
        cycle: Cycle,
        stage: Arc<Stage>,
        scans: Arc<ScanLog>,
    );
    /// Nothing more will happen to this table and cycle.
    fn ended(&self, report: &TableReport);
}

/// Nobody.
pub struct Unwatched;

impl Watch for Unwatched {
    fn staging(&self, _: &Definition, _: Cycle, _: Arc<Stage>, _: Arc<ScanLog>) {}
    fn ended(&self, _: &TableReport) {}
}

/// Delivers one cycle of one table. Never fails: what went wrong is in the report.
///
/// The seat is at the gathering of the tables that are delivered beside it.
pub async fn deliver(
    context: &Context,
    request: &Request,
    definition: &Definition,
    cycle: Cycle,
    seat: Seat,
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
    let outcome = match delivery.run(seat).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::failed(&error),
    };
    match &outcome {
        Outcome::Published {
            revision,
            rows,
            files,
            bytes,
            ..
        } => {
            info!(%table, %cycle, run_id, revision, rows, files, bytes, "published");
        }
        Outcome::AlreadyPublished { run_id: by, .. } => {
            debug!(%table, %cycle, run_id, by, "already published");
        }
        Outcome::Superseded { by } => debug!(%table, %cycle, run_id, %by, "superseded"),
        // The report says it too, but not to whoever reads logs alone.
        Outcome::Failed(failure) => {
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

/// The delivery of one cycle of one table.
pub(super) struct Delivery<'a> {
    pub(super) context: &'a Context,
    pub(super) request: &'a Request,
    pub(super) definition: &'a Definition,
    pub(super) cycle: Cycle,
    pub(super) started: DateTime<Utc>,
}

/// How one attempt ended.
enum Attempt {
    Done(Outcome),
    /// Another run was faster: look again.
    Overtaken {
        by: Box<LogEntry>,
    },
}

impl Delivery<'_> {
    async fn run(&self, seat: Seat) -> Result<Outcome> {
        let mut overtaken_by = String::new();
        let mut seat = Some(seat);
        for _ in 0..ATTEMPTS {
            match self.attempt(seat.take()).await? {
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

    async fn attempt(&self, seat: Option<Seat>) -> Result<Attempt> {
        let history = self.recover().await?;
        let mode = self.definition.sync_mode;
        let publication = match delivery::decide(&history, mode, self.cycle, self.request.rerun) {
            Decision::Publish(publication) => publication,
            Decision::AlreadyPublished(name) => {
                return Ok(Attempt::Done(self.already_published(name).await?));
            }
            Decision::Superseded(name) => {
                return Ok(Attempt::Done(Outcome::Superseded { by: name.cycle }));
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

        let stage = Arc::new(Stage::new(
            self.context.destination.clone(),
            self.definition.table.clone(),
            format!(
                "{}-{}-{}",
                self.context.run_id, self.definition.table, self.cycle
            ),
            self.numbering(&history, replaced.as_ref()),
            seat.as_ref().map_or(1, Seat::tables),
            self.request.target_file_size,
        ));
        let proposal = Proposal {
            delivery: self,
            history: &history,
            publication: &publication,
            replaced: replaced.as_ref(),
            spec: &bound.spec,
        };
        let (entry, foreign) = match self.stage(&bound, &stage, &proposal, seat).await {
            Ok(staged) => staged,
            Err(error) => return Err(abort(&stage, error).await),
        };
        self.commit_and_publish(&stage, &entry, foreign).await
    }

    /// The objects in the partitions written to that no manifest of the table names.
    async fn foreign(&self, stage: &Stage, history: &History) -> Result<Vec<String>> {
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

    async fn already_published(&self, name: ManifestName) -> Result<Outcome> {
        let manifest = self.manifest(&name).await?;
        Ok(Outcome::AlreadyPublished {
            revision: name.revision,
            run_id: manifest.run_id,
        })
    }

    async fn manifest(&self, name: &ManifestName) -> Result<Manifest> {
        delivery::read_manifest(&self.context.destination, name).await
    }

    /// The names that new shards may and may not have.
    fn numbering(&self, history: &History, replaced: Option<&Manifest>) -> Numbering {
        // Names that a voided entry had taken over may still be deleted by a run that wakes up late.
        let intact = history.memory.damaged.is_empty();
        let names = replaced.filter(|_| intact).into_iter();
        Numbering {
            replaced: names
                .flat_map(|manifest| &manifest.files)
                .filter_map(|file| Shard::parse(&layout::recorded(&file.path).ok()?))
                .collect(),
            retired: history.memory.retired(),
        }
    }

    /// Stages the rows and the rejects, and checks them: what it gives may be committed. The names
    /// are of foreign objects that it found.
    async fn stage(
        &self,
        bound: &Bound,
        stage: &Arc<Stage>,
        proposal: &Proposal<'_>,
        seat: Option<Seat>,
    ) -> Result<(LogEntry, Vec<String>)> {
        let scans = if self.request.max_rejects.is_strict() {
            ScanLog::new()
        } else {
            ScanLog::setting_aside()
        };
        self.context.watch.staging(
            self.definition,
            self.cycle,
            Arc::clone(stage),
            Arc::clone(&scans),
        );
        let staging = async {
            let engine = &self.context.engine;
            let staged = engine.stage(bound, Arc::clone(stage), scans, seat).await?;
            let (table, cycle) = (&self.definition.table, self.cycle);
            let (run_id, files) = (&self.context.run_id, staged.files.len());
            info!(%table, %cycle, run_id, files, "staged");
            guards::check(self.request, &staged, proposal.replaced)?;
            let rejects = self.stage_rejects(stage, &staged.sources).await?;
            let foreign = self.foreign(stage, proposal.history).await?;
            Ok((proposal.entry(staged, rejects)?, foreign))
        };
        tokio::select! {
            staged = staging => staged,
            () = self.context.stop.cancelled() => {
                Err(Error::unavailable("interrupted before the commit: nothing was published"))
            }
        }
    }

    /// One file for each source that has malformed lines.
    async fn stage_rejects(
        &self,
        stage: &Stage,
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
            let text = encode::json_lines(&source.rejects)?;
            let record = RejectsFile {
                source: source.name.clone(),
                path: path.to_string(),
                rows: source.rejects.len() as u64,
                bytes: text.len() as u64,
                etag: None,
                sha256: format!("{:x}", Sha256::digest(&text)),
            };
            let token = stage.object(&path, Bytes::from(text)).await?;
            staged.push(StagedRejects { record, token });
        }
        Ok(staged)
    }

    async fn commit_and_publish(
        &self,
        stage: &Stage,
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

fn published(manifest: Manifest, foreign: Vec<String>) -> Outcome {
    Outcome::Published {
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

/// Gives up what was staged. The error that led here is the one that counts.
async fn abort(stage: &Stage, error: Error) -> Error {
    match stage.abort().await {
        Ok(()) => error,
        Err(second) => error.with_hint(format!(
            "unfinished uploads are left behind ({}); a lifecycle rule removes them",
            second.chain()
        )),
    }
}
