//! Staging: the mechanism of a store that keeps a file invisible until it is published.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;

use crate::store::UploadLookup;

/// The mechanism that keeps a file invisible until it is published.
#[derive(Clone)]
pub(super) enum Staging {
    /// The completion of a multipart upload is withheld.
    Multipart(Arc<dyn MultipartStore>),
    /// A file in a staging folder below `root` is renamed.
    Rename { root: PathBuf },
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Staging::Multipart(_) => f.write_str("Multipart"),
            Staging::Rename { root } => write!(f, "Rename({})", root.display()),
        }
    }
}

/// An opened destination.
pub(super) struct OpenedStore {
    /// The prefix of the destination in `store`.
    pub prefix: Path,
    pub store: Arc<dyn ObjectStore>,
    pub staging: Staging,
    /// Looks up uploads, where the store has any.
    pub uploads: Option<Arc<dyn UploadLookup>>,
}
