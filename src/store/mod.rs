//! Where bytes are read from and written to: local folders and S3.
//!
//! The seam is `object_store`. This module parses `--from` and `--to`, opens the store behind them
//! with the standard AWS credential chain, and adds the one thing the seam lacks: an upload whose
//! completion is withheld ([`Destination`], [`Upload`]).

mod bucket;
mod credentials;
mod destination;
mod location;
mod s3;
mod upload;
mod work;

pub use bucket::{Answer, Bucket};
pub use destination::{Completion, Created, Destination};
pub use location::{Location, Place};
pub use s3::{AssumedRole, Encryption, S3Options};
pub use upload::{Started, Upload};
pub use work::{Token, Work};

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::error::Result;

/// Opens the whole store (not only the prefix) behind a location, for reading.
pub async fn open_source(location: &Location, options: &S3Options) -> Result<Arc<dyn ObjectStore>> {
    match location.place() {
        Place::Local(_) => Ok(Arc::new(LocalFileSystem::new())),
        Place::S3 { bucket, .. } => Ok(Arc::new(s3::open(bucket, options).await?)),
    }
}
