//! Reads markers.

use crate::cycle::Cycle;
use crate::delivery::read_record;
use crate::error::{Error, Result};
use crate::layout::{CycleMarkerName, MAX_REVISION};
use crate::manifest::CycleMarker;
use crate::store::Destination;

/// Reads a marker. Returns `None` if it does not exist.
///
/// # Errors
/// Fails if the store does, or if it is not a marker of this name that this version can read.
pub(super) async fn find_marker(
    destination: &Destination,
    name: CycleMarkerName,
) -> Result<Option<CycleMarker>> {
    let parse = |text: &[u8]| CycleMarker::parse(name, text);
    read_record(destination, &name.path(), parse).await
}

/// Reads the newest marker of a cycle without a listing: its revisions follow each other. Returns `None` if the
/// first one does not exist.
///
/// # Errors
/// As [`find_marker`].
pub(crate) async fn find_newest_marker(
    destination: &Destination,
    cycle: Cycle,
) -> Result<Option<CycleMarker>> {
    let mut newest = None;
    for revision in 0..=MAX_REVISION {
        match find_marker(destination, CycleMarkerName { cycle, revision }).await? {
            Some(marker) => newest = Some(marker),
            None => break,
        }
    }
    Ok(newest)
}

/// Reads a marker that a listing named.
///
/// # Errors
/// As [`find_marker`], and if it does not exist any more.
pub(crate) async fn read_marker(
    destination: &Destination,
    name: CycleMarkerName,
) -> Result<CycleMarker> {
    let gone = || {
        Error::data(format!(
            "the marker `{}` was listed but is gone",
            name.path()
        ))
    };
    find_marker(destination, name).await?.ok_or_else(gone)
}
