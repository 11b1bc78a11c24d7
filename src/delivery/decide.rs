//! Whether a cycle is to be published, and as what. Pure.

use crate::cycle::{Cycle, SyncMode};
use crate::delivery::History;
use crate::layout::ManifestName;

/// What to do about one cycle of one table.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Publish(Publication),
    /// It is there; only a rerun replaces it.
    AlreadyPublished(ManifestName),
    /// A snapshot of a later cycle is there: this one would put older data in its place.
    Superseded(ManifestName),
}

/// A publication to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    pub name: ManifestName,
    /// The manifest whose files it replaces.
    pub replaces: Option<ManifestName>,
}

/// Decides from the table's history; nothing is read or written.
pub fn decide(history: &History, mode: SyncMode, cycle: Cycle, rerun: bool) -> Decision {
    let earlier = history.newest_of(cycle);
    let newest = history.newest();
    if mode == SyncMode::Snapshot
        && let Some(later) = newest.clone().filter(|newest| newest.cycle > cycle)
    {
        return Decision::Superseded(later);
    }
    let damaged = history.memory.damaged.contains(&cycle);
    if let Some(earlier) = &earlier
        && !rerun
        && !damaged
    {
        return Decision::AlreadyPublished(earlier.clone());
    }
    Decision::Publish(Publication {
        name: ManifestName {
            table: history.table.clone(),
            cycle,
            revision: earlier.as_ref().map_or(0, |earlier| earlier.revision + 1),
        },
        replaces: match mode {
            SyncMode::Incremental => earlier,
            SyncMode::Snapshot => newest,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(history: &History, mode: SyncMode, cycle: &str, rerun: bool) -> String {
        match decide(history, mode, cycle.parse().unwrap(), rerun) {
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
    fn a_damaged_cycle_is_published_again() {
        let history = History::for_tests(&[("2026-01-15", 0)], &["2026-01-15"]);
        assert_eq!(
            shown(&history, SyncMode::Incremental, "2026-01-15", false),
            "publish t 2026-01-15 r1 for t 2026-01-15 r0"
        );
        assert!(history.published().is_empty());
    }
}
