//! One table and one cycle, from recovery to the manifest.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use tokio_util::sync::CancellationToken;

use crate::cycle::Cycle;
use crate::definition::Definition;
use crate::delivery::{
    self, Action, Commit, Decision, History, LogEntry, PendingUpload, Publication, Publish,
};
use crate::engine::{Bound, Engine, Staged};
use crate::env::Clock;
use crate::error::{Error, Result};
use crate::layout::{ManifestName, Shard};
use crate::manifest::{DefinitionRecord, Manifest, SourceRecord, VERSION};
use crate::run::Request;
use crate::run::report::{Outcome, TableReport};
use crate::source::ScanLog;
use crate::stage::{Numbering, Stage};
use crate::staged::StagedFile;
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
pub async fn deliver(
    context: &Context,
    request: &Request,
    definition: &Definition,
    cycle: Cycle,
) -> TableReport {
    let started = context.clock.now();
    let delivery = Delivery {
        context,
        request,
        definition,
        cycle,
        started,
    };
    let outcome = match delivery.run().await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::failed(&error),
    };
    let took = context.clock.now() - started;
    TableReport {
        table: definition.table.to_string(),
        sync_mode: Some(definition.sync_mode),
        cycle: Some(cycle),
        seconds: took.as_seconds_f64(),
        outcome,
    }
}

struct Delivery<'a> {
    context: &'a Context,
    request: &'a Request,
    definition: &'a Definition,
    cycle: Cycle,
    started: DateTime<Utc>,
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
    async fn run(&self) -> Result<Outcome> {
        let mut overtaken_by = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt().await? {
                Attempt::Done(outcome) => return Ok(outcome),
                Attempt::Overtaken { by } => {
                    overtaken_by = format!("run {} with the cycle {}", by.run_id, by.cycle());
                }
            }
        }
        Err(
            Error::unavailable(format!("other runs hold the table, last {overtaken_by}"))
                .with_hint("run again when they have ended"),
        )
    }

    async fn attempt(&self) -> Result<Attempt> {
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
            self.request.target_file_size,
        ));
        let entry = self.stage(&bound, &stage).await.and_then(|staged| {
            self.entry(&history, &publication, replaced.as_ref(), &bound, staged)
        });
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Err(abort(&stage, error).await),
        };
        self.commit_and_publish(&stage, &entry).await
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
        let key = name.path();
        let text = self.context.destination.get(&key).await?;
        let text = text
            .ok_or_else(|| Error::data(format!("the manifest `{key}` was listed but is gone")))?;
        Manifest::parse(&key, &text)
    }

    /// The names that new shards may and may not have.
    fn numbering(&self, history: &History, replaced: Option<&Manifest>) -> Numbering {
        let damaged = history.memory.damaged.contains(&self.cycle);
        let names = replaced.filter(|_| !damaged).into_iter();
        Numbering {
            replaced: names
                .flat_map(|manifest| &manifest.files)
                .filter_map(|file| Shard::parse(&Path::from(file.path.as_str())))
                .collect(),
            retired: history.memory.retired(),
        }
    }

    async fn stage(&self, bound: &Bound, stage: &Arc<Stage>) -> Result<Staged> {
        let scans = ScanLog::new();
        self.context.watch.staging(
            self.definition,
            self.cycle,
            Arc::clone(stage),
            Arc::clone(&scans),
        );
        let staging = self.context.engine.stage(bound, Arc::clone(stage), scans);
        tokio::select! {
            staged = staging => staged,
            () = self.context.stop.cancelled() => {
                Err(Error::unavailable("interrupted before the commit: nothing was published"))
            }
        }
    }

    /// The log entry that publishes what was staged.
    fn entry(
        &self,
        history: &History,
        publication: &Publication,
        replaced: Option<&Manifest>,
        bound: &Bound,
        staged: Staged,
    ) -> Result<LogEntry> {
        let names: BTreeSet<&Shard> = staged.files.iter().map(|file| &file.shard).collect();
        if names.len() != staged.files.len() {
            return Err(Error::internal("two staged files have one name"));
        }
        let old_files = replaced.map_or(&[][..], |manifest| &manifest.files);
        let uploads = staged.files.iter().map(|file| {
            let path = file.shard.path();
            let old = old_files.iter().find(|old| old.path == path.as_ref());
            PendingUpload {
                token: file.token.clone(),
                replaces_etag: old.map(|old| old.etag.clone().unwrap_or_default()),
            }
        });
        let uploads = uploads.collect();
        let new_paths: BTreeSet<String> = names.iter().map(|n| n.path().to_string()).collect();
        let given_up: Vec<String> = old_files
            .iter()
            .map(|file| file.path.clone())
            .filter(|path| !new_paths.contains(path))
            .collect();

        let mut memory = history.memory.clone();
        memory.retire(given_up.iter().map(String::as_str));
        memory.damaged.remove(&self.cycle);
        let now = self.context.clock.now();
        let manifest = self.record(publication, bound, staged, given_up, now);
        let action = Action::Publish {
            manifest: Box::new(manifest),
            uploads,
        };
        Ok(LogEntry::new(
            history.next_sequence,
            &self.context.run_id,
            now,
            action,
            memory,
        ))
    }

    fn record(
        &self,
        publication: &Publication,
        bound: &Bound,
        staged: Staged,
        replaced: Vec<String>,
        committed_at: DateTime<Utc>,
    ) -> Manifest {
        let definition = self.definition;
        let file = std::path::Path::new(definition.sql.name());
        let parameters = definition.parameters.keys().filter_map(|name| {
            let value = self.request.parameters.get(name)?;
            Some((name.clone(), value.clone()))
        });
        let sources = staged.sources.into_iter().map(|scan| SourceRecord {
            name: scan.name,
            files: scan.files.len() as u64,
            bytes: scan.bytes,
            rows_read: scan.rows_read,
            rows_rejected: scan.rows_rejected,
            digest: scan.digest,
        });
        Manifest {
            version: VERSION,
            table: definition.table.clone(),
            description: definition.description.clone(),
            sync_mode: definition.sync_mode,
            cycle: self.cycle.into(),
            revision: publication.name.revision,
            run_id: self.context.run_id.clone(),
            started_at: self.started,
            committed_at,
            writer: concat!("dayport ", env!("CARGO_PKG_VERSION")).to_owned(),
            format: bound.spec.encoding.format(),
            compression: bound.spec.encoding.compression(),
            partition_by: bound.spec.partition_columns.clone(),
            window_column: bound.spec.window_column.clone(),
            schema: bound.spec.schema.clone(),
            definition: DefinitionRecord {
                file: file
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                sha256: definition.sha256.clone(),
                parameters: parameters.collect(),
            },
            sources: sources.collect(),
            rows: staged.files.iter().map(|file| file.rows).sum(),
            bytes: staged.files.iter().map(|file| file.bytes).sum(),
            files: staged.files.iter().map(StagedFile::record).collect(),
            replaced,
        }
    }

    async fn commit_and_publish(&self, stage: &Stage, entry: &LogEntry) -> Result<Attempt> {
        let destination = &self.context.destination;
        match delivery::commit(destination, &self.definition.table, entry).await? {
            Commit::Won => {}
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
                Ok(Attempt::Done(published(*manifest)))
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

fn published(manifest: Manifest) -> Outcome {
    Outcome::Published {
        revision: manifest.revision,
        rows: manifest.rows,
        files: manifest.files.len() as u64,
        bytes: manifest.bytes,
        manifest: manifest.name().path().to_string(),
        sources: manifest.sources,
        replaced: manifest.replaced,
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
