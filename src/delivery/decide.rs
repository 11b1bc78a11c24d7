//! Decides whether a cycle has to be published, and as which revision. The module does no I/O.

use crate::cycle::{Cycle, SyncMode};
use crate::delivery::History;
use crate::error::{Error, Result};
use crate::layout::{MAX_REVISION, ManifestName};

/// The decision about one cycle of one table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    Publish(Publication),
    /// The cycle is published; only a rerun replaces it.
    AlreadyPublished(ManifestName),
    /// A snapshot of a later cycle is published: this one would replace it by older data.
    Superseded(ManifestName),
}

/// A publication that has to be made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Publication {
    pub name: ManifestName,
    /// The manifest whose files this publication replaces.
    pub replaces: Option<ManifestName>,
}

/// Decides from the table's history what to do about `cycle`, without any call to the store.
///
/// # Errors
/// [`Error::data`] if the cycle has to be published again and has the greatest revision.
pub(crate) fn decide(
    history: &History,
    mode: SyncMode,
    cycle: Cycle,
    rerun: bool,
) -> Result<Decision> {
    let earlier = history.newest_of(cycle);
    let newest = history.newest();
    if mode == SyncMode::Snapshot
        && let Some(later) = newest.clone().filter(|newest| newest.cycle > cycle)
    {
        return Ok(Decision::Superseded(later));
    }
    let needs_republish = history.state.needs_republish.contains(&cycle);
    if let Some(earlier) = &earlier
        && !rerun
        && !needs_republish
    {
        return Ok(Decision::AlreadyPublished(earlier.clone()));
    }
    Ok(Decision::Publish(Publication {
        name: ManifestName {
            table: history.table.clone(),
            cycle,
            revision: earlier.as_ref().map_or(Ok(0), next_revision)?,
        },
        replaces: match mode {
            SyncMode::Incremental => earlier,
            SyncMode::Snapshot => newest,
        },
    }))
}

fn next_revision(earlier: &ManifestName) -> Result<u32> {
    let next = earlier.revision.checked_add(1);
    next.filter(|next| *next <= MAX_REVISION).ok_or_else(|| {
        Error::data(format!(
            "`{}` has the greatest revision, and none comes after it",
            earlier.path()
        ))
        .with_hint("nobody counts that far: is the object a manifest of dayport?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(history: &History, mode: SyncMode, cycle: &str, rerun: bool) -> String {
        match decide(history, mode, cycle.parse().unwrap(), rerun).unwrap() {
            Decision::Publish(Publication { name, replaces }) => match replaces {
                Some(replaced) => format!("publish {name} for {replaced}"),
                None => format!("publish {name}"),
            },
            Decision::AlreadyPublished(name) => format!("there {name}"),
            Decision::Superseded(name) => format!("superseded {name}"),
        }
    }

    #[test]
    fn incremental_cycles_are_published_once_and_replaced_on_request() {
        let history = History::for_tests(&[("2026-01-15", 0), ("2026-01-15", 1)], &[]);
        let shown = |cycle, rerun| shown(&history, SyncMode::Incremental, cycle, rerun);
        assert_eq!(shown("2026-01-14", false), "publish t 2026-01-14 r0");
        assert_eq!(shown("2026-01-15", false), "there t 2026-01-15 r1");
        assert_eq!(
            shown("2026-01-15", true),
            "publish t 2026-01-15 r2 for t 2026-01-15 r1"
        );
    }

    #[test]
    fn a_snapshot_replaces_the_newest_and_never_goes_back() {
        let history = History::for_tests(&[("2026-01-14", 0), ("2026-01-15", 0)], &[]);
        let shown = |cycle, rerun| shown(&history, SyncMode::Snapshot, cycle, rerun);
        assert_eq!(shown("2026-01-14", true), "superseded t 2026-01-15 r0");
        assert_eq!(shown("2026-01-15", false), "there t 2026-01-15 r0");
        assert_eq!(
            shown("2026-01-16", false),
            "publish t 2026-01-16 r0 for t 2026-01-15 r0"
        );
    }

    #[test]
    fn a_cycle_that_needs_republishing_is_published_again() {
        let history = History::for_tests(&[("2026-01-15", 0)], &["2026-01-15"]);
        assert_eq!(
            shown(&history, SyncMode::Incremental, "2026-01-15", false),
            "publish t 2026-01-15 r1 for t 2026-01-15 r0"
        );
        assert!(history.published().is_empty());
    }

    #[test]
    fn no_revision_comes_after_the_greatest() {
        let cycle = "2026-01-15".parse().unwrap();
        let history = History::for_tests(&[("2026-01-15", MAX_REVISION)], &[]);
        let decided = |rerun| decide(&history, SyncMode::Incremental, cycle, rerun);
        assert!(matches!(decided(false), Ok(Decision::AlreadyPublished(_))));
        let error = decided(true).unwrap_err().to_string();
        assert!(error.contains("2026-01-15.r999999999.json"), "{error}");
    }
}
