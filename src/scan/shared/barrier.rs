//! The tables of a cycle come together, so that those that read the same source read it once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::scan::shared::request::{Offer, Offers};
use crate::scan::shared::shared_scan::Pass;

/// Where tables wait for each other.
#[derive(Debug)]
pub struct Gathering {
    tables: usize,
    state: Mutex<State>,
    formed: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    /// Tables that have neither come nor left.
    awaited: usize,
    /// The offers of those that have come.
    offers: Vec<Vec<Arc<Offer>>>,
    passes: Passes,
}

/// How much reading was saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passes {
    /// Times that a table reads a source.
    pub scans: u64,
    /// Times that a source is read for them.
    pub passes: u64,
}

/// A table's seat: it has to come or leave, or the others wait for it. Dropping it is leaving.
#[derive(Debug)]
pub struct Seat {
    /// `None` once it has come.
    gathering: Option<Arc<Gathering>>,
}

impl Gathering {
    /// A gathering of so many tables, and their seats.
    pub fn new(tables: usize) -> (Arc<Self>, Vec<Seat>) {
        let gathering = Arc::new(Self {
            tables,
            state: Mutex::new(State {
                awaited: tables,
                offers: Vec::new(),
                passes: Passes::default(),
            }),
            formed: watch::Sender::new(false),
        });
        let seats = (0..tables).map(|_| Seat {
            gathering: Some(Arc::clone(&gathering)),
        });
        let seats = seats.collect();
        (gathering, seats)
    }

    /// What was formed; nothing before all tables have come or left.
    pub fn passes(&self) -> Passes {
        self.lock().passes
    }

    /// One table less to wait for. The last one forms the passes.
    fn resolve(&self, offers: Option<Vec<Arc<Offer>>>) {
        let mut state = self.lock();
        state.offers.extend(offers);
        state.awaited = state.awaited.saturating_sub(1);
        if state.awaited == 0 {
            let offers = std::mem::take(&mut state.offers);
            state.passes = form(&offers);
            self.formed.send_replace(true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// How many tables the gathering is of.
    pub fn tables(&self) -> usize {
        self.gathering
            .as_ref()
            .map_or(1, |gathering| gathering.tables)
    }

    /// Comes with the scans of a plan, and waits until all others have come or left. After it the
    /// plan may run.
    pub async fn come(mut self, offers: &Offers) {
        let Some(gathering) = self.gathering.take() else {
            return;
        };
        let mut formed = gathering.formed.subscribe();
        gathering.resolve(Some(offers.take()));
        // The sender lives as long as the gathering, which is held here.
        let _ = formed.wait_for(|formed| *formed).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(gathering) = &self.gathering {
            gathering.resolve(None);
        }
    }
}

/// Gives each plan a place in at most one pass, that of the source with most to read first.
fn form(plans: &[Vec<Arc<Offer>>]) -> Passes {
    let scans = plans.iter().map(Vec::len).sum::<usize>() as u64;
    let mut saved = 0;
    let mut without_place: Vec<&Vec<Arc<Offer>>> = plans.iter().collect();
    loop {
        let mut groups: BTreeMap<String, Vec<&Arc<Offer>>> = BTreeMap::new();
        for plan in &without_place {
            let mut first_of_source = BTreeMap::new();
            for offer in *plan {
                first_of_source.entry(Pass::key(offer)).or_insert(offer);
            }
            for (key, offer) in first_of_source {
                groups.entry(key).or_default().push(offer);
            }
        }
        let shared = groups.into_values().filter_map(Pass::members);
        let most = shared.max_by_key(|members| {
            let bytes: u64 = members.iter().map(|offer| bytes(offer)).sum();
            bytes
        });
        let Some(members) = most else {
            return Passes {
                scans,
                passes: scans - saved,
            };
        };
        let placed = Pass::form(&members);
        saved += placed.saturating_sub(1);
        without_place.retain(|plan| {
            let has_place = |offer| members.iter().any(|member| Arc::ptr_eq(member, offer));
            !plan.iter().any(has_place)
        });
    }
}

fn bytes(offer: &Offer) -> u64 {
    offer.files.iter().map(|file| file.meta.size).sum()
}
