//! Limits how many blocks are compressed concurrently.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// A limit on the blocks that are compressed concurrently, shared by all tables of a session that
/// carries it as an extension.
#[derive(Debug, Clone)]
pub struct CompressionLimit(Arc<Semaphore>);

impl CompressionLimit {
    /// Creates a limit of one running and one queued block for each processor: a processor that had
    /// to wait for the next block would be idle for a tenth of the time.
    pub fn new(processors: usize) -> Self {
        Self(Arc::new(Semaphore::new(processors.max(1) * 2)))
    }

    /// Waits for the permit to compress one block.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit
            .map_err(|error| Error::internal("the compression limit is closed").with_source(error))
    }
}
