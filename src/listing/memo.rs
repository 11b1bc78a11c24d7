//! Remembers listings for the length of one look at many cycles: tables share sources, and cycles share the
//! folders above their own.
//!
//! A run that reads a source never uses it: what it freezes is listed then.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::ObjectMeta;
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::error::Result;

/// One level of a folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Level {
    pub(super) folders: Vec<Path>,
    pub(super) objects: Vec<ObjectMeta>,
}

/// All objects below a folder; `None` if they are too many to be listed one after another.
pub(super) type Below = Option<Vec<ObjectMeta>>;

/// A folder of a store.
type Place = (ObjectStoreUrl, Path);

/// The listings that were made, each once, whoever asks for it.
#[derive(Debug, Default)]
pub(crate) struct ListingMemo {
    levels: Answers<Level>,
    below: Answers<Below>,
}

impl ListingMemo {
    /// Forgets all listings with objects, which belong to few cycles, and keeps those of folders alone.
    pub(crate) fn forget_objects(&self) {
        self.below.0.lock().clear();
        let has_objects = |level: &Arc<OnceCell<Arc<Level>>>| {
            level.get().is_some_and(|level| !level.objects.is_empty())
        };
        self.levels.0.lock().retain(|_, level| !has_objects(level));
    }

    pub(super) async fn level<F>(&self, place: Place, list: F) -> Result<Arc<Level>>
    where
        F: Future<Output = Result<Level>>,
    {
        self.levels.answer(place, list).await
    }

    pub(super) async fn below<F>(&self, place: Place, list: F) -> Result<Arc<Below>>
    where
        F: Future<Output = Result<Below>>,
    {
        self.below.answer(place, list).await
    }
}

/// Answers by folder. Whoever asks for one that is on its way waits for it.
#[derive(Debug)]
struct Answers<T>(Mutex<HashMap<Place, Arc<OnceCell<Arc<T>>>>>);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Answers<T> {
    async fn answer<F>(&self, place: Place, ask: F) -> Result<Arc<T>>
    where
        Place: Hash + Eq,
        F: Future<Output = Result<T>>,
    {
        let cell = Arc::clone(self.0.lock().entry(place).or_default());
        let answer = cell.get_or_try_init(|| async { ask.await.map(Arc::new) });
        answer.await.cloned()
    }
}
