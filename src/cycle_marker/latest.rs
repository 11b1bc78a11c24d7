//! Keeps the hint of the newest complete cycle, `latest.json`.
//!
//! It is the only object that is overwritten, so nothing relies on it: a receiver may begin with it, and
//! the markers are the truth. It is not moved back knowingly: who wrote it lists the markers once more, and
//! writes it again if another run was faster with a later one. If that run dies in between, the next one
//! mends it.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tracing::debug;

use crate::cycle_marker::names::MarkerNames;
use crate::cycle_marker::read::read_marker;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, CycleMarkerName};
use crate::manifest::{CycleMarker, LatestCycle};
use crate::store::{Created, Destination};

/// The number of newest markers among which a complete one is searched.
const MAX_SEARCHED: usize = 7;

/// The hint as it is stored.
enum StoredHint {
    /// It names this marker.
    Names(CycleMarkerName),
    /// It is absent or damaged.
    Unknown,
    /// The store does not say whether there is one.
    Hidden,
}

/// The maximum number of attempts to leave the newest marker in the hint.
const MAX_ATTEMPTS: usize = 3;

/// Writes the hint if it does not name the newest complete marker. `written` are markers that the run
/// knows already.
///
/// # Errors
/// Fails if the store does, or refuses: an owner need not allow that the hint is overwritten.
pub(super) async fn update(
    destination: &Destination,
    markers: MarkerNames,
    written: &[CycleMarker],
) -> Result<()> {
    let mut markers = markers;
    for _ in 0..MAX_ATTEMPTS {
        let Some(name) = write(destination, &markers, written).await? else {
            return Ok(());
        };
        // Another run may have written a later hint a moment before, after a later marker.
        markers = MarkerNames::list(destination).await?;
        if markers.newest().next_back() <= Some(name) {
            return Ok(());
        }
    }
    Ok(())
}

/// Writes the hint, and returns the name of the marker that it names; `None` if the hint names it
/// already, or a later one.
async fn write(
    destination: &Destination,
    markers: &MarkerNames,
    written: &[CycleMarker],
) -> Result<Option<CycleMarkerName>> {
    let key = layout::latest_file();
    let Some(newest) = markers.newest().next_back() else {
        return Ok(None);
    };
    let stored = read_hint(destination).await?;
    if matches!(&stored, StoredHint::Names(name) if *name >= newest) {
        return Ok(None);
    }
    for name in markers.newest().rev().take(MAX_SEARCHED) {
        if matches!(&stored, StoredHint::Names(stored) if *stored >= name) {
            return Ok(None);
        }
        let known = written.iter().find(|marker| marker.name() == name);
        let marker = match known {
            Some(marker) => marker.clone(),
            None => read_marker(destination, name).await?,
        };
        if !marker.is_complete() {
            continue;
        }
        let digest = Sha256::digest(marker.to_json()?);
        let Some(latest) = LatestCycle::of(&marker, format!("{digest:x}")) else {
            return Ok(None);
        };
        let text = Bytes::from(latest.to_json()?);
        match stored {
            StoredHint::Hidden => create(destination, text).await?,
            StoredHint::Names(_) | StoredHint::Unknown => destination.put(&key, text).await?,
        }
        debug!(cycle = %name.cycle, revision = name.revision, "the newest complete cycle");
        return Ok(Some(name));
    }
    Ok(None)
}

async fn read_hint(destination: &Destination) -> Result<StoredHint> {
    let key = layout::latest_file();
    match destination.get(&key).await {
        Ok(None) => Ok(StoredHint::Unknown),
        Ok(Some(text)) => match LatestCycle::parse(&key, &text) {
            Ok(latest) => Ok(StoredHint::Names(latest.name())),
            Err(error) if error.kind() == ErrorKind::Data => Ok(StoredHint::Unknown),
            Err(error) => Err(error),
        },
        Err(error) if error.is_forbidden() => Ok(StoredHint::Hidden),
        Err(error) => Err(error),
    }
}

/// Writes the hint where S3 refuses to say whether it exists: it responds so for a missing object
/// unless the whole prefix may be listed.
async fn create(destination: &Destination, text: Bytes) -> Result<()> {
    let key = layout::latest_file();
    match destination.create(&key, text).await {
        Created::Yes => Ok(()),
        Created::Contested => Err(Error::invalid(format!(
            "`{key}` exists and may not be read"
        ))),
        Created::Unknown(error) => Err(error),
    }
}
