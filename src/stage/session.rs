//! A staging session: what one writer uploads for one table and cycle, with completion withheld.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::{Error, Result};
use crate::layout::{self, FileFormat, Partition, Shard, TableName};
use crate::stage::shard_numbers::{NumberingHistory, ShardNumberAllocator, WriterIndex};
use crate::staged::{StagedFile, UploadToken};
use crate::store::{
    CONCURRENCY, Destination, KeyFault, KeyFaultCause, StartedUpload, Upload, key_fault,
};

/// The minimum size of a part of an upload, in bytes. S3 requires 5 MiB.
const MIN_PART_BYTES: u64 = 8 << 20;

/// The maximum number of parts that a file of its target size is uploaded in. S3 accepts 10,000; a
/// file may exceed its target by one batch.
const MAX_PARTS: u64 = 8_000;

/// The settings of a [`StagingSession`].
#[derive(Debug, Clone)]
pub struct StagingConfig {
    /// The destination that the files are uploaded to.
    pub destination: Destination,
    /// The table that the files belong to.
    pub table: TableName,
    /// The name of the staging folder, unique to this table, cycle and run.
    pub staging: String,
    /// The shard numbers that the table has used before.
    pub numbering: NumberingHistory,
    /// The position of this session among the writers of the same files.
    pub writer: WriterIndex,
    /// A name that separates this session's staged files from those of other writers to the same
    /// staging folder; `None` for the run itself, which owns the folder.
    pub attempt: Option<String>,
    /// The number of tables that are staged concurrently, this one included: they share the memory.
    pub concurrent_tables: usize,
    /// The size in bytes soon after which a shard ends; `None` selects the format's default.
    pub target_file_size: Option<u64>,
}

/// Uploads the files of one table and cycle so that nobody can see them yet, and aborts the uploads
/// that are not committed.
#[derive(Debug)]
pub struct StagingSession {
    config: StagingConfig,
    numbers: ShardNumberAllocator,
    started: Arc<Mutex<Vec<StartedUpload>>>,
    /// Tracks every task that may call the store. An abort closes it, so that nothing starts any more,
    /// and waits until it is empty.
    tracker: TaskTracker,
    files: AtomicU64,
    progress: Progress,
}

/// Counts that may be read while the plan runs.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Returns the number of rows encoded so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes passed to uploads so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl StagingSession {
    /// Creates a session that has uploaded nothing yet.
    pub fn new(config: StagingConfig) -> Self {
        Self {
            numbers: ShardNumberAllocator::new(config.numbering.clone(), config.writer),
            config,
            started: Arc::default(),
            tracker: TaskTracker::new(),
            files: AtomicU64::new(0),
            progress: Progress::default(),
        }
    }

    /// Returns the settings of the session.
    pub fn config(&self) -> &StagingConfig {
        &self.config
    }

    /// Returns the name of the staging folder, unique to this table, cycle and run.
    pub fn name(&self) -> &str {
        &self.config.staging
    }

    /// Returns the counts of rows and bytes written so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Returns the objects, in the partitions written to, that the manifest to be replaced does not
    /// name.
    pub fn others(&self) -> BTreeSet<Path> {
        self.numbers.others()
    }

    /// Registers files that another session staged: they are aborted with this session. Lists their
    /// partitions, as if this session had written to them.
    ///
    /// # Errors
    /// Fails if a file is not of this session's table and staging folder: an abort would delete it.
    pub async fn register_files(&self, files: &[StagedFile]) -> Result<()> {
        for file in files {
            self.require_own(file)?;
        }
        let started = files.iter().map(|file| StartedUpload {
            path: file.shard.path(),
            token: file.token.clone(),
        });
        self.started.lock().extend(started);
        for file in files {
            self.progress.add_rows(file.rows);
            self.progress.add_bytes(file.bytes);
        }
        let partitions: BTreeSet<Partition> = files
            .iter()
            .map(|file| file.shard.partition.clone())
            .collect();
        let StagingConfig {
            destination, table, ..
        } = &self.config;
        futures::stream::iter(partitions)
            .map(|partition| async move {
                let listed = self.numbers.list_partition(destination, table, &partition);
                listed.await.map(|_| ())
            })
            .buffer_unordered(CONCURRENCY.partition_listings)
            .try_collect()
            .await
    }

    fn require_own(&self, file: &StagedFile) -> Result<()> {
        layout::parse_own(&self.config.table, file.shard.path().as_ref())?;
        if let UploadToken::Rename { staged, .. } = &file.token {
            layout::parse_own_staged(&self.config.staging, staged)?;
        }
        Ok(())
    }

    /// Returns the size in bytes soon after which a file of `format` ends.
    pub fn target_file_size(&self, format: FileFormat) -> u64 {
        let default = format.info().default_target_file_size;
        self.config.target_file_size.unwrap_or(default)
    }

    pub(super) fn part_size(&self, format: FileFormat) -> u64 {
        MIN_PART_BYTES.max(self.target_file_size(format) / MAX_PARTS)
    }

    /// Checks that the store can have the files of a partition, before any rows are encoded.
    ///
    /// # Errors
    /// [`Error::data`] if a name is too long, without the value that makes it so.
    pub(super) fn require_names(&self, partition: &Partition, format: FileFormat) -> Result<()> {
        let shard = Shard {
            table: self.config.table.clone(),
            partition: partition.clone(),
            number: 0,
            format,
        };
        let path = shard.path();
        match self.config.destination.key_fault(&path) {
            None => Ok(()),
            Some(fault) => Err(partition_fault(partition, &path, &fault)),
        }
    }

    /// Starts the upload of the next shard of a partition.
    pub(super) async fn start_shard(
        &self,
        partition: &Partition,
        format: FileFormat,
    ) -> Result<(Shard, Upload)> {
        let StagingConfig {
            destination, table, ..
        } = &self.config;
        let number = self
            .numbers
            .next(destination, table, partition, format)
            .await?;
        let shard = Shard {
            table: table.clone(),
            partition: partition.clone(),
            number,
            format,
        };
        let path = shard.path();
        if let Some(fault) = self.config.destination.key_fault(&path) {
            return Err(partition_fault(partition, &path, &fault));
        }
        let upload = self.start_upload(&path).await?;
        Ok((shard, upload))
    }

    /// Uploads a whole object, with its completion withheld like that of a shard.
    pub async fn stage_object(&self, path: &Path, bytes: Bytes) -> Result<UploadToken> {
        if let Some(fault) = self.config.destination.key_fault(path) {
            return Err(key_fault(path, &fault));
        }
        let mut upload = self.start_upload(path).await?;
        upload.part(bytes).await?;
        upload.seal().await
    }

    async fn start_upload(&self, path: &Path) -> Result<Upload> {
        let index = self.files.fetch_add(1, Ordering::Relaxed);
        let staging = &self.config.staging;
        let staged = match &self.config.attempt {
            None => layout::staging_file(staging, index),
            Some(attempt) => layout::attempt_file(staging, attempt, index),
        };
        let (destination, path) = (self.config.destination.clone(), path.clone());
        let (all_started, token) = (Arc::clone(&self.started), self.track()?);
        // Spawned: an upload must be registered even if the caller is dropped while it starts.
        let starting = tokio::spawn(async move {
            let (upload, started) = destination.upload(&path, &staged, token).await?;
            all_started.lock().push(started);
            Ok(upload)
        });
        starting.await.map_err(|error| {
            Error::internal("the beginning of an upload ended unexpectedly").with_source(error)
        })?
    }

    /// Returns a token to be held by every task that may call the store on behalf of this session.
    ///
    /// # Errors
    /// [`Error::unavailable`] if the session is aborted.
    pub(super) fn track(&self) -> Result<TaskTrackerToken> {
        // The token comes first: an abort that closes the tracker after the check waits for it.
        let token = self.tracker.token();
        if self.tracker.is_closed() {
            return Err(Error::unavailable(
                "the files of this table are being aborted",
            ));
        }
        Ok(token)
    }

    /// Aborts every upload that has started. The plan must have been dropped: tasks that it left
    /// behind are waited for.
    pub async fn abort(&self) -> Result<()> {
        self.tracker.close();
        self.tracker.wait().await;
        let all_started = std::mem::take(&mut *self.started.lock());
        let destination = &self.config.destination;
        let mut first_error = Ok(());
        for started in all_started {
            let aborted = destination.abort(&started.path, &started.token).await;
            first_error = first_error.and(aborted);
        }
        self.discard();
        first_error
    }

    /// Removes the staging folder, which is empty once everything is published. A session that is one
    /// of several writers leaves it to the run.
    pub fn discard(&self) {
        let StagingConfig {
            destination,
            staging,
            attempt,
            ..
        } = &self.config;
        if attempt.is_none() {
            destination.discard_staging(staging);
        }
    }
}

/// The advice about values that make a key too long.
const VALUE_HINT: &str = "shorten the value in the query, as with left(v, 80), or leave such rows out with WHERE; \
     most characters other than ASCII letters and digits take 3 bytes in a key for each of their own";

/// Creates the error of a file of a partition that a store cannot have. If a value is at fault, it names
/// the columns and not the values, which may be personal.
fn partition_fault(partition: &Partition, path: &Path, fault: &KeyFault) -> Error {
    let columns: Vec<String> = partition
        .values()
        .iter()
        .map(|(column, _)| format!("`{column}`"))
        .collect();
    let message = match fault.cause {
        // The first parts of the key are `data` and the table.
        KeyFaultCause::Part(index) => match index.checked_sub(2).and_then(|at| columns.get(at)) {
            Some(column) => format!("a value of the partition column {column} gives {fault}"),
            None => return key_fault(path, fault),
        },
        KeyFaultCause::Key if !columns.is_empty() => format!(
            "the values of the partition columns {} give {fault}",
            columns.join(", ")
        ),
        KeyFaultCause::Key | KeyFaultCause::InTheWay | KeyFaultCause::LeadsOut => {
            return key_fault(path, fault);
        }
    };
    Error::data(message).with_hint(VALUE_HINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::store::{Location, StoreOptions};

    async fn session(folder: &std::path::Path) -> StagingSession {
        let location = Location::parse(&folder.display().to_string()).unwrap();
        let destination = Destination::open(&location, &StoreOptions::default())
            .await
            .unwrap();
        StagingSession::new(StagingConfig {
            destination,
            table: "views".parse().unwrap(),
            staging: "run".into(),
            numbering: NumberingHistory::default(),
            writer: WriterIndex::ONLY,
            attempt: None,
            concurrent_tables: 1,
            target_file_size: None,
        })
    }

    /// A task that is being cancelled may still run for a moment: no abort would see an upload that it
    /// starts then.
    #[tokio::test]
    async fn nothing_starts_once_the_session_is_aborted() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(folder.path()).await;
        let path = Path::from("data/views/a");
        let object = || session.stage_object(&path, Bytes::from_static(b"x"));
        object().await.unwrap();
        session.abort().await.unwrap();
        assert_eq!(object().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn an_abort_waits_for_every_tracked_task() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(folder.path()).await;
        let (first, second) = (session.track().unwrap(), session.track().unwrap());
        let mut abort = Box::pin(session.abort());
        assert!(futures::poll!(abort.as_mut()).is_pending());
        drop(first);
        assert!(futures::poll!(abort.as_mut()).is_pending());
        drop(second);
        abort.await.unwrap();
    }
}
