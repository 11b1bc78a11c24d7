//! Reads which cycles are complete, from their markers.

use serde::Serialize;

use crate::cycle::Cycle;
use crate::cycle_marker::{MarkerNames, PublishedNames, read_marker};
use crate::error::{ErrorKind, Result};
use crate::store::Destination;

/// The complete cycles of an export whose runs mark them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CompleteCycles {
    /// The newest cycle with a marker.
    pub newest: Cycle,
    /// The key of its marker.
    pub marker: String,
    /// The cycles of the calendar, from the oldest marker on, that have a manifest and no marker.
    pub incomplete: Vec<Cycle>,
    /// The cycles of the calendar whose marker is withdrawn.
    pub withdrawn: Vec<Cycle>,
    /// The markers of the calendar that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedMarker>,
}

/// A marker that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DamagedMarker {
    pub cycle: Cycle,
    /// The key of the marker.
    pub marker: String,
    pub reason: String,
}

/// Reads the markers of the days from `first` to `last`. Returns `None` if there is no marker, or if they
/// may not be read.
pub(super) async fn read(
    destination: &Destination,
    first: Cycle,
    last: Cycle,
) -> Result<Option<CompleteCycles>> {
    let markers = match MarkerNames::list(destination).await {
        Ok(markers) => markers,
        Err(error) if error.is_forbidden() => return Ok(None),
        Err(error) => return Err(error),
    };
    let (Some(oldest), Some(newest)) = (markers.newest().next(), markers.newest().next_back())
    else {
        return Ok(None);
    };
    let (mut withdrawn, mut damaged) = (Vec::new(), Vec::new());
    // A first revision says that the cycle is complete.
    let revised = markers.newest().filter(|name| name.revision > 0);
    for name in revised.filter(|name| (first..=last).contains(&name.cycle)) {
        match read_marker(destination, name).await {
            Ok(marker) if marker.is_complete() => {}
            Ok(_) => withdrawn.push(name.cycle),
            Err(error) if error.is_forbidden() => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => damaged.push(DamagedMarker {
                cycle: name.cycle,
                marker: name.path().to_string(),
                reason: error.chain(),
            }),
        }
    }
    let names = PublishedNames::list(destination).await?;
    let shown = Cycle::range(first.max(oldest.cycle), last);
    let incomplete = shown
        .into_iter()
        .filter(|cycle| markers.newest_of(*cycle).is_none() && !names.of_cycle(*cycle).is_empty());
    Ok(Some(CompleteCycles {
        newest: newest.cycle,
        marker: newest.path().to_string(),
        incomplete: incomplete.collect(),
        withdrawn,
        damaged,
    }))
}
