//! Builds the log entry that publishes the staged files.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::audit::AuditResult;
use crate::cycle::SyncMode;
use crate::delivery::{History, LogAction, LogEntry, PendingUpload, Publication, require_own_keys};
use crate::engine::Staged;
use crate::error::{Error, Result};
use crate::manifest::{
    DataFile, DefinitionRecord, Manifest, RejectsFile, SourceRecord, UnreadySource, VERSION, WRITER,
};
use crate::run::context::Delivery;
use crate::scan::MissingSource;
use crate::scan::scan_log::SourceScan;
use crate::schema_version::AssignedVersion;
use crate::stage::StageSpec;
use crate::staged::{StagedFile, UploadToken};

/// Builds a log entry from what is known of a publication before its rows are staged.
pub(super) struct CommitBuilder<'a> {
    pub(super) delivery: &'a Delivery<'a>,
    pub(super) history: &'a History,
    pub(super) publication: &'a Publication,
    /// The manifest that the publication replaces.
    pub(super) replaced: Option<&'a Manifest>,
    /// The manifests that it replaces besides: all of an incremental table that becomes a snapshot.
    pub(super) superseded: &'a [Manifest],
    pub(super) spec: &'a StageSpec,
    pub(super) schema_version: &'a AssignedVersion,
}

/// A file of rejects that is uploaded and not yet visible.
pub(super) struct StagedRejects {
    pub record: RejectsFile,
    pub token: UploadToken,
}

impl CommitBuilder<'_> {
    /// Builds the entry of the commit log.
    ///
    /// # Errors
    /// Fails if two staged files have the same name, or if the entry names files of other tables.
    pub(super) fn entry(
        &self,
        staged: Staged,
        rejects: Vec<StagedRejects>,
        audits: &[AuditResult],
    ) -> Result<LogEntry> {
        let paths: BTreeSet<String> = staged
            .files
            .iter()
            .map(|file| file.shard.path().to_string())
            .collect();
        if paths.len() != staged.files.len() {
            return Err(Error::internal("two staged files have one name"));
        }
        let uploads = self.uploads(&staged.files, &rejects);
        let removed = self.removed(&paths);

        let mut state = self.history.state.clone();
        state.retire(removed.iter().map(String::as_str));
        match self.delivery.definition.sync_mode {
            SyncMode::Incremental => {
                state.needs_republish.remove(&self.delivery.cycle);
            }
            // The snapshot replaces the whole table.
            SyncMode::Snapshot => state.needs_republish.clear(),
        }
        for source in &staged.sources {
            state.note_values(&source.name, &source.columns.with_values);
        }
        state.schema = Some(self.schema_version.newest.clone());
        let context = self.delivery.context;
        let now = context.clock.now();
        let records = rejects.into_iter().map(|staged| staged.record).collect();
        let mut manifest = self.manifest(staged, records, removed, now);
        manifest.audits = audits.iter().map(|result| result.record.clone()).collect();
        let action = LogAction::Publish {
            manifest: Box::new(manifest),
            uploads,
        };
        let sequence = self.history.next_sequence;
        let run_id = &context.run_id;
        let entry = LogEntry::new(sequence, run_id, now, action, state);
        require_own_keys(&self.delivery.definition.table, &entry)?;
        Ok(entry)
    }

    fn uploads(&self, files: &[StagedFile], rejects: &[StagedRejects]) -> Vec<PendingUpload> {
        let old_files: HashMap<&str, &DataFile> = self
            .replaced
            .map_or(&[][..], |manifest| &manifest.files)
            .iter()
            .map(|file| (file.path.as_str(), file))
            .collect();
        let shards = files.iter().map(|file| {
            let path = file.shard.path().to_string();
            let old = old_files.get(path.as_str());
            PendingUpload {
                bytes: file.bytes,
                token: file.token.clone(),
                replaces_etag: old.map(|old| old.etag.clone().unwrap_or_default()),
                path,
            }
        });
        let reject_files = rejects.iter().map(|staged| PendingUpload {
            path: staged.record.path.clone(),
            bytes: staged.record.bytes,
            token: staged.token.clone(),
            replaces_etag: None,
        });
        shards.chain(reject_files).collect()
    }

    /// Returns the files of the replaced manifests that the new one does not name.
    fn removed(&self, paths: &BTreeSet<String>) -> Vec<String> {
        let replaced = self.replaced.into_iter().chain(self.superseded);
        let mut seen = BTreeSet::new();
        replaced
            .flat_map(|manifest| {
                let files = manifest.files.iter().map(|file| &file.path);
                files.chain(manifest.rejects.iter().map(|file| &file.path))
            })
            .filter(|path| !paths.contains(*path) && seen.insert(*path))
            .cloned()
            .collect()
    }

    fn manifest(
        &self,
        staged: Staged,
        rejects: Vec<RejectsFile>,
        replaced: Vec<String>,
        committed_at: DateTime<Utc>,
    ) -> Manifest {
        let Delivery {
            context,
            request,
            definition,
            cycle,
            started,
            late,
        } = *self.delivery;
        let rows = staged.files.iter().map(|file| file.rows).sum();
        // What a parameter selects may be the part of one tenant.
        let is_selection = !definition.parameters.is_empty();
        let file = Path::new(definition.sql.name()).file_name();
        let parameters = definition.parameters.keys().filter_map(|name| {
            let value = request.parameters.get(name)?;
            Some((name.clone(), value.clone()))
        });
        Manifest {
            version: VERSION,
            table: definition.table.clone(),
            description: definition.description.clone(),
            sync_mode: definition.sync_mode,
            cycle: cycle.into(),
            revision: self.publication.name.revision,
            run_id: context.run_id.clone(),
            started_at: started,
            committed_at,
            writer: WRITER.to_owned(),
            format: self.spec.encoding.format(),
            compression: self.spec.encoding.compression().to_owned(),
            partition_by: self.spec.partition_columns.clone(),
            null_partitions: self.spec.null_partitions.clone(),
            window_column: self.spec.window.as_ref().map(|window| window.name.clone()),
            schema: self.spec.schema.clone(),
            schema_version: Some(self.schema_version.version),
            definition: DefinitionRecord {
                file: file.unwrap_or_default().to_string_lossy().into_owned(),
                sha256: definition.sha256.clone(),
                audits_sha256: definition
                    .audits
                    .as_ref()
                    .map(|audits| audits.sha256.clone()),
                parameters: parameters.collect(),
            },
            audits: Vec::new(),
            sources: staged.sources.iter().map(source_record).collect(),
            balance: Some(staged.balance.published(is_selection)),
            provisional: staged.unready.iter().map(unready_record).collect(),
            cause: late.map(|late| {
                let before = self.replaced.map_or(0, |manifest| manifest.rows);
                late.cause(rows, before)
            }),
            final_after: match definition.sync_mode {
                SyncMode::Incremental => self
                    .replaced
                    .and_then(|manifest| manifest.final_after)
                    .or_else(|| request.final_after(cycle)),
                SyncMode::Snapshot => None,
            },
            rows,
            bytes: staged.files.iter().map(|file| file.bytes).sum(),
            files: staged.files.iter().map(StagedFile::record).collect(),
            rejects,
            replaced,
        }
    }
}

fn unready_record(source: &MissingSource) -> UnreadySource {
    UnreadySource {
        name: source.name.clone(),
        reason: source.unready.clone().unwrap_or_default(),
    }
}

fn source_record(scan: &SourceScan) -> SourceRecord {
    SourceRecord {
        name: scan.name.clone(),
        files: scan.files.len() as u64,
        bytes: scan.bytes,
        rows_read: scan.rows_read,
        rows_rejected: scan.rows_rejected,
        without_values: scan.columns.without_values.keys().cloned().collect(),
        digest: scan.digest.clone(),
        passed_over: scan.passed_over.clone(),
        misplaced: scan.misplaced.clone(),
    }
}
