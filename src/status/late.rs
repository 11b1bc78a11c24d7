//! Reads which published revisions lack source files that came too late.

use std::collections::BTreeMap;

use crate::cycle::Cycle;
use crate::error::Result;
use crate::layout;
use crate::manifest::{LateRecord, Manifest};
use crate::store::Destination;

/// Reads the newest record of each of the manifests' revisions. Returns none if they may not be read, as by
/// a receiver.
///
/// # Errors
/// The store is unavailable.
pub(super) async fn read(
    destination: &Destination,
    manifests: &[Manifest],
) -> Result<BTreeMap<Cycle, LateRecord>> {
    let mut late: BTreeMap<Cycle, LateRecord> = BTreeMap::new();
    let Some(table) = manifests.first().map(|manifest| &manifest.table) else {
        return Ok(late);
    };
    let objects = match destination.list(&layout::late_folder(table)).await {
        Ok(objects) => objects,
        Err(error) if error.is_forbidden() => return Ok(late),
        Err(error) => return Err(error),
    };
    let is_shown = |name: &str| {
        let of_revision = |manifest: &Manifest| {
            name.starts_with(&format!("{}.r{}.", manifest.cycle.id, manifest.revision))
        };
        manifests.iter().any(of_revision)
    };
    for object in objects {
        if !object.location.filename().is_some_and(is_shown) {
            continue;
        }
        let bytes = match destination.get(&object.location).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) if error.is_forbidden() => return Ok(late),
            Err(error) => return Err(error),
        };
        let Some(record) = LateRecord::parse(&bytes) else {
            continue;
        };
        let is_newer = late
            .get(&record.cycle)
            .is_none_or(|known| known.found_at < record.found_at);
        if is_newer {
            late.insert(record.cycle, record);
        }
    }
    Ok(late)
}
