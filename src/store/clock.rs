//! The clocks of stores, by which the ages of their objects are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use url::Url;

use crate::env;
use crate::store::response_watch::ResponseWatch;

/// The clock that sets the times of the objects of a store.
#[derive(Debug, Clone)]
pub enum StoreClock {
    /// That of this machine.
    Machine,
    /// That of a server, as its last response told it.
    Server(ServerClock),
}

/// The clock of a server.
#[derive(Debug, Clone)]
pub struct ServerClock(Arc<ResponseWatch>);

impl ServerClock {
    pub(super) fn new(watch: Arc<ResponseWatch>) -> Self {
        Self(watch)
    }
}

impl StoreClock {
    /// Returns the present time. It is the real one, also if the process has a fixed clock: objects have
    /// real times.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            StoreClock::Machine => env::wall_clock(),
            StoreClock::Server(ServerClock(watch)) => watch.store_time(),
        }
    }
}

/// The clocks of the stores of a session, by the URLs that the stores are registered under.
#[derive(Debug, Clone, Default)]
pub struct StoreClocks(BTreeMap<String, StoreClock>);

impl StoreClocks {
    /// Adds the clock of the store that is registered under `root`.
    pub fn add(&mut self, root: &Url, clock: StoreClock) {
        self.0.insert(root.to_string(), clock);
    }

    /// Returns the present time by the clock of the store that is registered under `root`.
    pub fn now(&self, root: &Url) -> DateTime<Utc> {
        self.0
            .get(root.as_str())
            .unwrap_or(&StoreClock::Machine)
            .now()
    }
}
