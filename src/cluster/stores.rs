//! The object stores of an executor, which are opened when a plan names them, as the driver opens them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use url::{Position, Url};

use crate::error::Error;
use crate::store::{self, Location, StoreOptions};

/// The object stores of an executor, one client for each bucket.
#[derive(Debug)]
pub(super) struct SourceStores {
    s3: StoreOptions,
    /// The runtime that the clients run on.
    runtime: Handle,
    open: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl SourceStores {
    /// Creates a registry without open stores; sources are read with `s3`. Must be called inside a
    /// runtime.
    pub(super) fn new(s3: StoreOptions) -> Self {
        Self {
            s3,
            runtime: Handle::current(),
            open: Mutex::default(),
        }
    }

    /// Opens the store of `url`. It waits for the credential chain, so it blocks a thread of its own:
    /// the current one may be one of the runtime's.
    fn open(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, Error> {
        let location = Location::parse(url.as_str())?;
        let (runtime, s3) = (self.runtime.clone(), self.s3.clone());
        let thread = std::thread::spawn(move || {
            runtime.block_on(async { store::open_source(&location, &s3).await })
        });
        let opened = thread
            .join()
            .map_err(|_| Error::internal("opening a store ended unexpectedly"))?;
        Ok(opened?.store)
    }
}

fn root(url: &Url) -> String {
    url[..Position::BeforePath].to_owned()
}

impl ObjectStoreRegistry for SourceStores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        self.open.lock().insert(root(url), store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let store = self.open.lock().remove(&root(url));
        store.ok_or_else(|| DataFusionError::Internal(format!("no store is open for {url}")))
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let mut open = self.open.lock();
        if let Some(store) = open.get(&root(url)) {
            return Ok(Arc::clone(store));
        }
        let store = self.open(url)?;
        open.insert(root(url), Arc::clone(&store));
        Ok(store)
    }
}
