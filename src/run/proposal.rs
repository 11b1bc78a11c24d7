//! The log entry that publishes what was staged.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::cycle::SyncMode;
use crate::delivery::{Action, History, LogEntry, PendingUpload, Publication};
use crate::engine::Staged;
use crate::error::{Error, Result};
use crate::manifest::{DataFile, DefinitionRecord, Manifest, RejectsFile, SourceRecord, VERSION};
use crate::run::deliver::Delivery;
use crate::scan::scan_log::SourceScan;
use crate::stage::StageSpec;
use crate::staged::{StagedFile, UploadToken};

/// What is known of a publication before its rows are staged.
pub struct Proposal<'a> {
    pub(super) delivery: &'a Delivery<'a>,
    pub(super) history: &'a History,
    pub(super) publication: &'a Publication,
    /// The manifest to be replaced.
    pub(super) replaced: Option<&'a Manifest>,
    pub(super) spec: &'a StageSpec,
}

/// A staged file of rejects.
pub struct StagedRejects {
    pub record: RejectsFile,
    pub token: UploadToken,
}

impl Proposal<'_> {
    /// The entry of the commit log.
    pub fn entry(&self, staged: Staged, rejects: Vec<StagedRejects>) -> Result<LogEntry> {
        let paths: BTreeSet<String> = staged
            .files
            .iter()
            .map(|file| file.shard.path().to_string())
            .collect();
        if paths.len() != staged.files.len() {
            return Err(Error::internal("two staged files have one name"));
        }
        let uploads = self.uploads(&staged.files, &rejects);
        let given_up = self.given_up(&paths);

        let mut memory = self.history.memory.clone();
        memory.retire(given_up.iter().map(String::as_str));
        match self.delivery.definition.sync_mode {
            SyncMode::Incremental => {
                memory.damaged.remove(&self.delivery.cycle);
            }
            // All of the table is new.
            SyncMode::Snapshot => memory.damaged.clear(),
        }
        let context = self.delivery.context;
        let now = context.clock.now();
        let rejects = rejects.into_iter().map(|staged| staged.record).collect();
        let manifest = self.manifest(staged, rejects, given_up, now);
        let action = Action::Publish {
            manifest: Box::new(manifest),
            uploads,
        };
        let sequence = self.history.next_sequence;
        let run_id = &context.run_id;
        Ok(LogEntry::new(sequence, run_id, now, action, memory))
    }

    fn uploads(&self, files: &[StagedFile], rejects: &[StagedRejects]) -> Vec<PendingUpload> {
        let old_files = self.replaced.map_or(&[][..], |manifest| &manifest.files);
        let old_files: HashMap<&str, &DataFile> = old_files
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
        let rejects = rejects.iter().map(|rejects| PendingUpload {
            path: rejects.record.path.clone(),
            bytes: rejects.record.bytes,
            token: rejects.token.clone(),
            replaces_etag: None,
        });
        shards.chain(rejects).collect()
    }

    /// The files of the replaced manifest that the new one does not name.
    fn given_up(&self, paths: &BTreeSet<String>) -> Vec<String> {
        let Some(replaced) = self.replaced else {
            return Vec::new();
        };
        let files = replaced.files.iter().map(|file| &file.path);
        let rejects = replaced.rejects.iter().map(|file| &file.path);
        files
            .chain(rejects)
            .filter(|path| !paths.contains(*path))
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
        } = *self.delivery;
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
            writer: concat!("dayport ", env!("CARGO_PKG_VERSION")).to_owned(),
            format: self.spec.encoding.format(),
            compression: self.spec.encoding.compression(),
            partition_by: self.spec.partition_columns.clone(),
            window_column: self.spec.window_column.clone(),
            schema: self.spec.schema.clone(),
            definition: DefinitionRecord {
                file: file.unwrap_or_default().to_string_lossy().into_owned(),
                sha256: definition.sha256.clone(),
                parameters: parameters.collect(),
            },
            sources: staged.sources.iter().map(source).collect(),
            rows: staged.files.iter().map(|file| file.rows).sum(),
            bytes: staged.files.iter().map(|file| file.bytes).sum(),
            files: staged.files.iter().map(StagedFile::record).collect(),
            rejects,
            replaced,
        }
    }
}

fn source(scan: &SourceScan) -> SourceRecord {
    SourceRecord {
        name: scan.name.clone(),
        files: scan.files.len() as u64,
        bytes: scan.bytes,
        rows_read: scan.rows_read,
        rows_rejected: scan.rows_rejected,
        digest: scan.digest.clone(),
    }
}
