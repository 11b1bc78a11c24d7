//! Rows into files that nobody can see yet.
//!
//! ```text
//! COPY … ─format→ StageExec ─split→ (Partition, rows) ─shard→ encode → upload, completion withheld
//!                     └→ one row per staged file, back to whoever runs the plan
//! ```
//! [`StageFormats`] is the door: it replaces DataFusion's file formats, so that a plain `COPY` plans
//! into [`StageExec`]. What the plan says (columns, encoding) is in [`StageSpec`]; what the run says
//! (where to, under which names) is in [`Stage`], an extension of the session that executes it.

mod apart;
mod elsewhere;
mod exec;
mod few;
mod format;
mod gather;
mod numbers;
mod order;
mod overflow;
mod rows;
mod shard;
mod sorts;
mod split;
mod writer;

pub use apart::keep_partitions_apart;
pub use elsewhere::StageTask;
pub use exec::{StageExec, StageSpec, Writers};
pub use format::{EMPTY_FILE_OPTION, StageFormats, WINDOW_COLUMN_OPTION, spec_of};
pub use gather::GatherExec;
pub use numbers::{Lane, Numbering};
pub use order::{Destinations, StageOrder};
pub use rows::staged_files;
pub use shard::Compressing;
pub use sorts::sort_joined_strings;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::{Error, Result};
use crate::layout::{self, FileFormat, Partition, Shard, TableName};
use crate::stage::numbers::Numbers;
use crate::staged::{StagedFile, UploadToken};
use crate::store::{CONCURRENCY, Destination, StartedUpload, Upload};

/// The smallest part of an upload, in bytes; S3 asks for 5 MiB.
const LEAST_PART: u64 = 8 << 20;

/// S3 takes 10,000 parts; a file may end above its target by one batch.
const MOST_PARTS: u64 = 8_000;

/// One run's work on one table and cycle, as far as its files are concerned.
#[derive(Debug)]
pub struct Stage {
    destination: Destination,
    table: TableName,
    /// Names the staging folder: unique to this table, cycle and run.
    staging: String,
    /// Tables at work at once, this one counted: they share the memory.
    tables: usize,
    /// Shards end soon after this many bytes; `None` leaves it to the format.
    target_file_size: Option<u64>,
    /// Tells apart those who write to one staging; `None` for the run itself.
    attempt: Option<String>,
    numbers: Numbers,
    begun: Arc<Mutex<Vec<StartedUpload>>>,
    /// Tracks every task that may call the store. An abort closes it, so that nothing starts any more,
    /// and waits until it is empty.
    tracker: TaskTracker,
    files: AtomicU64,
    progress: Progress,
}

/// Counts that may be watched while the plan runs.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Rows encoded so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes handed to uploads so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Stage {
    pub fn new(
        destination: Destination,
        table: TableName,
        staging: String,
        numbering: Numbering,
        tables: usize,
        target_file_size: Option<u64>,
    ) -> Self {
        Self {
            destination,
            table,
            staging,
            tables,
            target_file_size,
            attempt: None,
            numbers: Numbers::new(numbering, Lane::ONLY),
            begun: Arc::default(),
            tracker: TaskTracker::new(),
            files: AtomicU64::new(0),
            progress: Progress::default(),
        }
    }

    /// As one of several writers of the same files.
    #[must_use]
    fn in_lane(mut self, lane: Lane) -> Self {
        self.numbers = Numbers::new(self.numbers.numbering().clone(), lane);
        self
    }

    /// Takes over files that were staged elsewhere, to be given up with this stage, and looks at
    /// what lies beside them.
    pub async fn adopt(&self, files: &[StagedFile]) -> Result<()> {
        let started = files.iter().map(|file| StartedUpload {
            path: file.shard.path(),
            token: file.token.clone(),
        });
        self.begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(started);
        for file in files {
            self.progress.rows.fetch_add(file.rows, Ordering::Relaxed);
            self.progress.bytes.fetch_add(file.bytes, Ordering::Relaxed);
        }
        let partitions: BTreeSet<Partition> = files
            .iter()
            .map(|file| file.shard.partition.clone())
            .collect();
        futures::stream::iter(partitions)
            .map(|partition| async move {
                let seen = self
                    .numbers
                    .look_into(&self.destination, &self.table, &partition);
                seen.await.map(|_| ())
            })
            .buffer_unordered(CONCURRENCY.partition_listings)
            .try_collect()
            .await
    }

    /// Unique to this table, cycle and run.
    pub fn name(&self) -> &str {
        &self.staging
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Objects in the partitions written to that the manifest to be replaced does not name.
    pub fn others(&self) -> BTreeSet<Path> {
        self.numbers.others()
    }

    fn target_file_size(&self, format: FileFormat) -> u64 {
        self.target_file_size.unwrap_or(match format {
            FileFormat::Json => 128 << 20,
            FileFormat::Parquet => 256 << 20,
        })
    }

    fn part_size(&self, format: FileFormat) -> u64 {
        LEAST_PART.max(self.target_file_size(format) / MOST_PARTS)
    }

    /// Begins the next shard of a partition.
    async fn begin(&self, partition: &Partition, format: FileFormat) -> Result<(Shard, Upload)> {
        let number = self
            .numbers
            .next(&self.destination, &self.table, partition, format)
            .await?;
        let shard = Shard {
            table: self.table.clone(),
            partition: partition.clone(),
            number,
            format,
        };
        let upload = self.upload(&shard.path()).await?;
        Ok((shard, upload))
    }

    /// Uploads a whole object, its completion withheld like that of a shard.
    pub async fn object(&self, path: &Path, bytes: Bytes) -> Result<UploadToken> {
        let mut upload = self.upload(path).await?;
        upload.part(bytes).await?;
        upload.seal().await
    }

    async fn upload(&self, path: &Path) -> Result<Upload> {
        let index = self.files.fetch_add(1, Ordering::Relaxed);
        let staged = match &self.attempt {
            None => layout::staging_file(&self.staging, index),
            Some(attempt) => layout::attempt_file(&self.staging, attempt, index),
        };
        let (destination, path) = (self.destination.clone(), path.clone());
        let (begun, tracked) = (Arc::clone(&self.begun), self.track()?);
        // In a task of its own: an upload whose beginning is interrupted must be known all the same.
        let beginning = tokio::spawn(async move {
            let (upload, started) = destination.upload(&path, &staged, tracked).await?;
            begun
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(started);
            Ok(upload)
        });
        beginning.await.map_err(|error| {
            Error::internal("the beginning of an upload broke off").with_source(error)
        })?
    }

    /// Returns a token that a task has to hold while it may call the store on behalf of this stage.
    ///
    /// # Errors
    /// Fails if the stage is aborted.
    fn track(&self) -> Result<TaskTrackerToken> {
        // The token comes first: an abort that closes the tracker after the check waits for it.
        let token = self.tracker.token();
        if self.tracker.is_closed() {
            return Err(Error::unavailable("the files of this table are given up"));
        }
        Ok(token)
    }

    /// Gives up every upload that has begun. The plan must have been dropped: what is left of it is
    /// waited for.
    pub async fn abort(&self) -> Result<()> {
        self.tracker.close();
        self.tracker.wait().await;
        let begun = std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner));
        let mut first_error = Ok(());
        for started in begun {
            let aborted = self.destination.abort(&started.path, &started.token).await;
            first_error = first_error.and(aborted);
        }
        self.discard();
        first_error
    }

    /// Removes the staging folder, which is empty once everything is published. Those who write to it
    /// beside others leave it to the run.
    pub fn discard(&self) {
        if self.attempt.is_none() {
            self.destination.discard_staging(&self.staging);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::store::{Location, StoreOptions};

    async fn stage(folder: &std::path::Path) -> Stage {
        let location = Location::parse(&folder.display().to_string()).unwrap();
        let destination = Destination::open(&location, &StoreOptions::default())
            .await
            .unwrap();
        let numbering = Numbering {
            replaced: BTreeSet::new(),
            retired: std::collections::BTreeMap::new(),
        };
        let table: TableName = "views".parse().unwrap();
        Stage::new(destination, table, "run".into(), numbering, 1, None)
    }

    /// A task that is being cancelled may still run for a moment: no abort would see an upload that it
    /// starts then.
    #[tokio::test]
    async fn nothing_starts_once_the_stage_is_aborted() {
        let folder = tempfile::tempdir().unwrap();
        let stage = stage(folder.path()).await;
        let path = Path::from("data/views/a");
        stage.object(&path, Bytes::from_static(b"x")).await.unwrap();
        stage.abort().await.unwrap();
        let late = stage.object(&path, Bytes::from_static(b"x")).await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn an_abort_waits_for_every_tracked_task() {
        let folder = tempfile::tempdir().unwrap();
        let stage = stage(folder.path()).await;
        let (first, second) = (stage.track().unwrap(), stage.track().unwrap());
        let mut abort = Box::pin(stage.abort());
        assert!(futures::poll!(abort.as_mut()).is_pending());
        drop(first);
        assert!(futures::poll!(abort.as_mut()).is_pending());
        drop(second);
        abort.await.unwrap();
    }
}
