//! The lists of the source files that a cycle was read from, kept beside the commit log.
//!
//! A manifest has the digest of each list. The list itself is stored once, compressed, under this digest,
//! before the commit. So a later run knows which files it did not have.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::ops::RangeInclusive;

use bytes::Bytes;
use chrono::{DateTime, Datelike, Utc, Weekday};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use object_store::path::Path;
use parking_lot::Mutex;
use tracing::debug;

use crate::cycle::Cycle;
use crate::delivery::read_manifest;
use crate::error::{Error, Result};
use crate::layout::{self, ManifestName};
use crate::listing::snapshot::{SnapshotFile, digest, list_text, parse_list};
use crate::scan::scan_log::SourceScan;
use crate::store::{Created, Destination};

/// The maximum length of a list's text: 10 million files with keys of 100 bytes.
const MAX_TEXT: u64 = 2 << 30;

/// The digests of the lists that this run has stored: tables share sources.
#[derive(Debug, Default)]
pub struct StoredLists(Mutex<BTreeSet<String>>);

impl StoredLists {
    /// Stores the file list of each source.
    ///
    /// # Errors
    /// Fails if the store does not take a list.
    pub(super) async fn store(
        &self,
        destination: &Destination,
        sources: &[SourceScan],
    ) -> Result<()> {
        for source in sources {
            if self.0.lock().contains(&source.digest) {
                continue;
            }
            store(destination, &source.digest, &source.files).await?;
            self.0.lock().insert(source.digest.clone());
        }
        Ok(())
    }
}

async fn store(destination: &Destination, digest: &str, files: &[SnapshotFile]) -> Result<()> {
    let key = layout::file_list(digest);
    let cannot = |error| Error::internal("cannot compress a file list").with_source(error);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(list_text(files).as_bytes())
        .map_err(cannot)?;
    let text = gzip.finish().map_err(cannot)?;
    match destination.create(&key, Bytes::from(text)).await {
        // The key is the digest of the content: whoever stored it stored the same.
        Created::Yes | Created::Contested => Ok(()),
        Created::Unknown(error) => Err(error),
    }
}

/// The ages of the lists that a sweep looks at: older ones were looked at by an earlier sweep, and younger ones
/// may be of a run that has not committed yet.
const SWEPT_AGES: RangeInclusive<i64> = 7..=15;

/// Removes lists that no manifest names: a run that died before its commit leaves them. Looks on one day of a
/// week, since it reads the manifests that were written since then.
///
/// # Errors
/// Fails if the store does, or refuses: an owner need not allow that lists are removed.
pub(super) async fn sweep(
    destination: &Destination,
    last_closed: Cycle,
    now: DateTime<Utc>,
) -> Result<()> {
    if last_closed.start().weekday() != Weekday::Sun {
        return Ok(());
    }
    let mut unnamed: BTreeMap<Path, DateTime<Utc>> = BTreeMap::new();
    for object in destination.list(&layout::lists_folder()).await? {
        if SWEPT_AGES.contains(&(now - object.last_modified).num_days()) {
            unnamed.insert(object.location, object.last_modified);
        }
    }
    let Some(oldest) = unnamed.values().min().copied() else {
        return Ok(());
    };
    let manifests = destination.list(&layout::manifests_folder()).await?;
    let since = manifests
        .into_iter()
        .filter(|object| object.last_modified >= oldest);
    for object in since {
        let Some(name) = ManifestName::parse(&object.location) else {
            continue;
        };
        for source in read_manifest(destination, &name).await?.sources {
            unnamed.remove(&layout::file_list(&source.digest));
        }
        if unnamed.is_empty() {
            return Ok(());
        }
    }
    let removed: Vec<Path> = unnamed.into_keys().collect();
    debug!(
        lists = removed.len(),
        "lists of source files that no manifest names are removed"
    );
    destination.delete(&removed).await
}

/// Reads the list with this digest. Returns `None` if there is none, as for cycles that an earlier version
/// published.
///
/// # Errors
/// [`Error::data`] if the object is not the list of this digest.
pub(super) async fn read(
    destination: &Destination,
    expected: &str,
) -> Result<Option<Vec<SnapshotFile>>> {
    let key = layout::file_list(expected);
    let Some(bytes) = destination.get(&key).await? else {
        return Ok(None);
    };
    let mut text = String::new();
    let damaged = || Error::data(format!("`{key}` is not the file list of this digest"));
    GzDecoder::new(bytes.as_ref())
        .take(MAX_TEXT)
        .read_to_string(&mut text)
        .map_err(|error| damaged().with_source(error))?;
    let files = parse_list(&text).ok_or_else(damaged)?;
    match digest(&files) == expected {
        true => Ok(Some(files)),
        false => Err(damaged()),
    }
}
