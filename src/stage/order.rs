//! What another machine needs in order to stage files for this run, as plain data.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::env;
use crate::error::Result;
use crate::layout::{Partition, TableName};
use crate::stage::Stage;
use crate::stage::numbers::{Lane, Numbering};
use crate::store::{Destination, Location, StoreOptions};

/// Where to, under which names. No credentials: each machine has its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageOrder {
    to: String,
    s3: StoreOptions,
    table: TableName,
    staging: String,
    /// The greatest number ever given up or replaced, for each partition that has one.
    taken: Vec<(Partition, u64)>,
    target_file_size: Option<u64>,
}

/// The destinations that an executor has opened: an extension of the sessions of its tasks.
#[derive(Debug, Default)]
pub struct Destinations {
    open: Mutex<HashMap<String, Destination>>,
}

impl Destinations {
    async fn open(&self, order: &StageOrder) -> Result<Destination> {
        let key = format!("{} {:?}", order.to, order.s3);
        let mut open = self.open.lock().await;
        if let Some(destination) = open.get(&key) {
            return Ok(destination.clone());
        }
        let destination = Destination::open(&Location::parse(&order.to)?, &order.s3).await?;
        open.insert(key, destination.clone());
        Ok(destination)
    }
}

impl Stage {
    /// The order to stage files for this stage elsewhere, in the destination behind `to`.
    pub fn order(&self, to: &Location, s3: &StoreOptions) -> StageOrder {
        let afresh = self.numbers.numbering().afresh();
        StageOrder {
            to: to.url().to_string(),
            s3: s3.clone(),
            table: self.table.clone(),
            staging: self.staging.clone(),
            taken: afresh.retired.into_iter().collect(),
            target_file_size: self.target_file_size,
        }
    }

    /// The part of a stage that one writer on another machine has. Its files are its own until
    /// their rows reach whoever gave the order: until then it gives them up if anything fails.
    pub async fn elsewhere(
        order: &StageOrder,
        lane: Lane,
        destinations: &Destinations,
    ) -> Result<Arc<Self>> {
        let numbering = Numbering {
            replaced: BTreeSet::new(),
            retired: order.taken.iter().cloned().collect::<BTreeMap<_, _>>(),
        };
        let destination = destinations.open(order).await?;
        let mut stage = Stage::new(
            destination,
            order.table.clone(),
            order.staging.clone(),
            numbering,
            1,
            order.target_file_size,
        )
        .in_lane(lane);
        stage.attempt = Some(env::random_suffix());
        Ok(Arc::new(stage))
    }
}

/// Gives up what a writer elsewhere has begun, unless it has come to its end.
pub struct GiveUp {
    stage: Option<Arc<Stage>>,
}

impl GiveUp {
    pub fn unless_kept(stage: Arc<Stage>) -> Self {
        Self { stage: Some(stage) }
    }

    /// All files are staged.
    pub fn keep(mut self) {
        self.stage = None;
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        let Some(stage) = self.stage.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = stage.abort().await {
                    tracing::warn!(
                        error = error.chain(),
                        "unfinished uploads are left behind; a lifecycle rule removes them"
                    );
                }
            });
        }
    }
}
