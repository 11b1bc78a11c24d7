//! The settings that a writer on another machine needs to stage files for a run, as plain data.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::env;
use crate::error::Result;
use crate::layout::{Partition, TableName};
use crate::stage::{NumberingHistory, StagingConfig, StagingSession, WriterIndex};
use crate::store::{Destination, Location, StoreOptions};

/// The destination and the names of the files that writers on other machines stage. It has no
/// credentials: each machine has its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RemoteStagingConfig {
    /// The URL of the destination.
    to: String,
    s3: StoreOptions,
    table: TableName,
    staging: String,
    /// The greatest number ever retired or replaced, for each partition that has one.
    retired: Vec<(Partition, u64)>,
    target_file_size: Option<u64>,
}

/// The destinations that an executor has opened: an extension of the sessions of its tasks.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    open: Mutex<HashMap<String, Destination>>,
}

impl Destinations {
    async fn open(&self, config: &RemoteStagingConfig) -> Result<Destination> {
        let key = format!("{} {:?}", config.to, config.s3);
        let mut open = self.open.lock().await;
        if let Some(destination) = open.get(&key) {
            return Ok(destination.clone());
        }
        let location = Location::parse(&config.to)?;
        let destination = Destination::open(&location, &config.s3).await?;
        open.insert(key, destination.clone());
        Ok(destination)
    }
}

impl RemoteStagingConfig {
    /// Returns the settings with which writers on other machines stage files for `session`, in the
    /// destination behind `to`.
    pub(crate) fn of(session: &StagingSession, to: &Location, s3: &StoreOptions) -> Self {
        let config = session.config();
        let numbering = config.numbering.without_reuse();
        Self {
            to: to.url().to_string(),
            s3: s3.clone(),
            table: config.table.clone(),
            staging: config.staging.clone(),
            retired: numbering.retired.into_iter().collect(),
            target_file_size: config.target_file_size,
        }
    }

    /// Opens the session of one writer. Its files are its own until their rows reach the driver: until
    /// then the writer aborts them if anything fails.
    pub(crate) async fn open_session(
        &self,
        writer: WriterIndex,
        destinations: &Destinations,
    ) -> Result<StagingSession> {
        Ok(StagingSession::new(StagingConfig {
            destination: destinations.open(self).await?,
            table: self.table.clone(),
            staging: self.staging.clone(),
            numbering: NumberingHistory {
                replaced: BTreeSet::new(),
                retired: self.retired.iter().cloned().collect::<BTreeMap<_, _>>(),
            },
            writer,
            attempt: Some(env::random_suffix()),
            concurrent_tables: 1,
            target_file_size: self.target_file_size,
        }))
    }
}
