//! Reruns that failed for some tables of a cycle: the marker that is withdrawn for them names them.

use std::collections::BTreeSet;

use crate::layout::{ManifestName, TableName};
use crate::manifest::{CycleMarker, FailedRerun};

/// Returns the failed reruns of a withdrawn marker that no later one has made good: the table has no greater
/// revision among `own`, the newest manifests of the cycle. Tables of `without` are left out.
pub(super) fn still_failed(
    marker: &CycleMarker,
    own: &[ManifestName],
    without: &BTreeSet<TableName>,
) -> BTreeSet<FailedRerun> {
    let failed = marker.failed_reruns.iter();
    let failed = failed.filter(|failed| {
        !without.contains(&failed.table) && revision_of(&failed.table, own) <= failed.revision
    });
    failed.cloned().collect()
}

/// Returns the record of a rerun that has just failed for these tables.
pub(super) fn failed<'a>(
    tables: impl Iterator<Item = &'a TableName>,
    own: &[ManifestName],
) -> BTreeSet<FailedRerun> {
    let failed = tables.map(|table| FailedRerun {
        table: table.clone(),
        revision: revision_of(table, own),
    });
    failed.collect()
}

fn revision_of(table: &TableName, own: &[ManifestName]) -> Option<u32> {
    let name = own.iter().find(|name| name.table == *table)?;
    Some(name.revision)
}
