//! Decides which tables a cycle consists of, and whether a marker still says so. The module does no I/O.

use std::collections::{BTreeMap, BTreeSet};

use crate::cycle::{Cycle, SyncMode};
use crate::cycle_marker::marks::Mark;
use crate::cycle_marker::names::{ListedRevision, MarkerNames, PublishedNames, RECENT_CYCLES};
use crate::layout::{ManifestName, TableName};
use crate::manifest::CycleMarker;

/// The tables of an export, as far as its definitions and the caller say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportTables {
    /// The tables that have a definition, whether or not the run exports them.
    pub defined: BTreeMap<TableName, SyncMode>,
    /// The tables without a definition that no cycle waits for any more.
    pub without: BTreeSet<TableName>,
    /// The other signs of a complete cycle that are written.
    pub marks: BTreeSet<Mark>,
}

/// The tables of one cycle, by the names of manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CycleTables {
    /// The manifests of the cycle itself, of every table that has one.
    pub own: Vec<ManifestName>,
    /// Manifests of later cycles, which complete this one if they are of snapshots.
    pub later: Vec<ManifestName>,
    /// The tables that the cycle waits for.
    pub missing: Vec<TableName>,
}

/// Returns the tables that make up a cycle:
///
/// - every table that has a manifest of the cycle;
/// - every table with a definition. An incremental one belongs to the cycles from the first one that
///   it was published for. A snapshot shows the current state, so one of a later cycle completes an
///   earlier cycle too, which can never be exported again;
/// - every other table with a manifest of the [`RECENT_CYCLES`] up to this one: that of another runner,
///   or a removed one. `without` leaves it out.
pub(super) fn tables_of(
    cycle: Cycle,
    names: &PublishedNames,
    export: &ExportTables,
) -> CycleTables {
    let mut tables = CycleTables::default();
    let all: BTreeSet<&TableName> = names.tables().chain(export.defined.keys()).collect();
    for table in all {
        let named = |cycle: Cycle, listed: ListedRevision| ManifestName {
            table: table.clone(),
            cycle,
            revision: listed.revision,
        };
        if let Some(listed) = names.newest_of(table, cycle) {
            tables.own.push(named(cycle, listed));
            continue;
        }
        let mode = export.defined.get(table).copied();
        if !belongs(table, mode, cycle, names, export) {
            continue;
        }
        let may_be_later = mode != Some(SyncMode::Incremental);
        let mut later = names.cycles(table).filter(|(later, _)| *later > cycle);
        match later.next().filter(|_| may_be_later) {
            Some((later, listed)) => tables.later.push(named(later, listed)),
            None => tables.missing.push(table.clone()),
        }
    }
    tables
}

/// Returns true if a cycle waits for a table that has no manifest of it.
fn belongs(
    table: &TableName,
    mode: Option<SyncMode>,
    cycle: Cycle,
    names: &PublishedNames,
    export: &ExportTables,
) -> bool {
    match mode {
        Some(SyncMode::Snapshot) => true,
        Some(SyncMode::Incremental) => {
            let first = names.cycles(table).next();
            first.is_none_or(|(first, _)| first <= cycle)
        }
        None if export.without.contains(table) => false,
        None => {
            let oldest = cycle.days_before(RECENT_CYCLES - 1).ok();
            let recent =
                |other: Cycle| oldest.is_none_or(|oldest| other >= oldest) && other < cycle;
            names.cycles(table).any(|(other, _)| recent(other))
        }
    }
}

/// The reason why a cycle is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Examination {
    /// The cycle has no marker.
    Unmarked,
    /// The cycle has a marker, which may be out of date: it has to be read.
    Marked(ListedRevision),
}

/// Returns the cycles to examine, oldest first.
///
/// These are the cycles that have a manifest and are in `touched`, the cycles that the run delivered,
/// or that an interrupted run may have left: from the oldest marker on (or in the last
/// [`RECENT_CYCLES`], which also gives a first marker to an export of an older version), those without
/// a marker, and those with a manifest that was written after it. Of the recent ones a revised marker is
/// always read, since it may be withdrawn.
pub(super) fn to_examine(
    names: &PublishedNames,
    markers: &MarkerNames,
    touched: &BTreeSet<Cycle>,
    last_closed: Cycle,
) -> BTreeMap<Cycle, Examination> {
    let recent = last_closed.days_before(RECENT_CYCLES - 1).ok();
    let oldest = markers.newest().next().map(|name| name.cycle);
    let is_recent = |cycle: Cycle| recent.is_none_or(|recent| cycle >= recent);
    let mut written: BTreeMap<Cycle, Vec<ListedRevision>> = BTreeMap::new();
    for table in names.tables() {
        for (cycle, listed) in names.cycles(table) {
            written.entry(cycle).or_default().push(listed);
        }
    }
    let mut found = BTreeMap::new();
    for (cycle, manifests) in written {
        let is_touched = touched.contains(&cycle);
        let examination = match markers.newest_of(cycle) {
            None if is_touched
                || is_recent(cycle)
                || oldest.is_some_and(|oldest| cycle > oldest) =>
            {
                Examination::Unmarked
            }
            None => continue,
            Some(marker) => {
                // Stores have times of whole seconds. A first revision is written before its marker.
                let is_after = |manifest: &ListedRevision| {
                    let is_same = manifest.written == marker.written && manifest.revision > 0;
                    manifest.written > marker.written || is_same
                };
                let is_revised = marker.revision > 0 && is_recent(cycle);
                if !is_touched && !is_revised && !manifests.iter().any(is_after) {
                    continue;
                }
                Examination::Marked(marker)
            }
        };
        found.insert(cycle, examination);
    }
    found
}

/// Returns the manifests among `own`, the newest ones of the marker's cycle, that a complete marker does
/// not name, nor a later revision of them.
///
/// Snapshots of later cycles do not count: each night would revise the markers of all earlier ones.
pub(crate) fn out_of_date<'a>(
    marker: &CycleMarker,
    own: &'a [ManifestName],
) -> Vec<&'a ManifestName> {
    let is_named = |name: &ManifestName| {
        let mut tables = marker.tables.iter();
        tables.any(|marked| {
            let is_same = marked.table == name.table && marked.cycle == name.cycle;
            is_same && marked.revision >= name.revision
        })
    };
    own.iter().filter(|name| !is_named(name)).collect()
}

/// Returns true if the newest marker of a cycle says that it is complete, and names the newest revision
/// of every table that has a manifest of the cycle.
pub(super) fn is_current(marker: &CycleMarker, own: &[ManifestName]) -> bool {
    marker.is_complete() && out_of_date(marker, own).is_empty()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::layout::CycleMarkerName;
    use crate::manifest::MarkedTable;

    fn cycle(day: u32) -> Cycle {
        format!("2026-01-{day:02}").parse().unwrap()
    }

    fn export(defined: &[(&str, SyncMode)], without: &[&str]) -> ExportTables {
        ExportTables {
            defined: defined
                .iter()
                .map(|(table, mode)| (table.parse().unwrap(), *mode))
                .collect(),
            marks: BTreeSet::new(),
            without: without.iter().map(|table| table.parse().unwrap()).collect(),
        }
    }

    /// Returns own, later and missing tables in one line.
    fn shown(day: u32, names: &PublishedNames, export: &ExportTables) -> String {
        let tables = tables_of(cycle(day), names, export);
        let own: Vec<String> = tables.own.iter().map(ToString::to_string).collect();
        let later: Vec<String> = tables.later.iter().map(ToString::to_string).collect();
        let missing: Vec<&str> = tables.missing.iter().map(TableName::as_str).collect();
        format!(
            "{} | {} | {}",
            own.join(", "),
            later.join(", "),
            missing.join(", ")
        )
    }

    use SyncMode::{Incremental, Snapshot};

    #[test]
    fn a_cycle_consists_of_the_tables_with_a_definition() {
        let both = export(&[("views", Incremental), ("sites", Snapshot)], &[]);
        let names = PublishedNames::for_tests(&[]);
        assert_eq!(shown(15, &names, &both), " |  | sites, views");
        let names = PublishedNames::for_tests(&[("views", "2026-01-15", 1)]);
        assert_eq!(shown(15, &names, &both), "views 2026-01-15 r1 |  | sites");
        // A table that was first published later does not belong to the cycle, a snapshot does.
        assert_eq!(shown(14, &names, &both), " |  | sites");
        assert_eq!(shown(16, &names, &both), " |  | sites, views");
        let names = PublishedNames::for_tests(&[
            ("views", "2026-01-15", 0),
            ("sites", "2026-01-16", 0),
            ("sites", "2026-01-17", 2),
        ]);
        assert_eq!(
            shown(15, &names, &both),
            "views 2026-01-15 r0 | sites 2026-01-16 r0 | "
        );
    }

    #[test]
    fn other_tables_belong_to_a_cycle_for_a_week() {
        let one = export(&[("views", Incremental)], &[]);
        let without = export(&[("views", Incremental)], &["old"]);
        let names = PublishedNames::for_tests(&[
            ("old", "2026-01-08", 0),
            ("views", "2026-01-08", 0),
            ("views", "2026-01-14", 0),
            ("views", "2026-01-15", 0),
        ]);
        assert_eq!(shown(14, &names, &one), "views 2026-01-14 r0 |  | old");
        assert_eq!(shown(15, &names, &one), "views 2026-01-15 r0 |  | ");
        assert_eq!(shown(14, &names, &without), "views 2026-01-14 r0 |  | ");
        // What is published of the cycle is named all the same.
        assert_eq!(
            shown(8, &names, &without),
            "old 2026-01-08 r0, views 2026-01-08 r0 |  | "
        );
    }

    fn listed(days: &[u32]) -> PublishedNames {
        let names: Vec<_> = days.iter().map(|day| cycle(*day).to_string()).collect();
        let names: Vec<_> = names.iter().map(|id| ("views", id.as_str(), 0)).collect();
        PublishedNames::for_tests(&names)
    }

    fn markers(of: &[(u32, u32, i64)]) -> MarkerNames {
        let mut names = MarkerNames::default();
        for (day, revision, seconds) in of {
            let name = CycleMarkerName {
                cycle: cycle(*day),
                revision: *revision,
            };
            names.add(name, DateTime::UNIX_EPOCH + TimeDelta::seconds(*seconds));
        }
        names
    }

    #[test]
    fn what_an_interrupted_run_may_have_left_is_examined() {
        let names = listed(&[1, 2, 20, 29, 30, 31]);
        let days = |markers: &MarkerNames, touched: &[u32]| -> Vec<String> {
            let touched = touched.iter().map(|day| cycle(*day)).collect();
            let found = to_examine(&names, markers, &touched, cycle(31));
            found
                .keys()
                .map(|cycle| cycle.to_string()[8..].to_owned())
                .collect()
        };
        // An export of an older version: the last week, and what the run touches.
        assert_eq!(days(&markers(&[]), &[]), ["29", "30", "31"]);
        assert_eq!(days(&markers(&[]), &[1]), ["01", "29", "30", "31"]);
        // From the oldest marker on, those without one.
        let some = [(2, 0, 1), (29, 0, 1), (31, 0, 1)];
        assert_eq!(days(&markers(&some), &[]), ["20", "30"]);
        // A manifest of a later time, and revised ones of the last week.
        let all = [(2, 1, 1), (20, 0, -1), (29, 1, 1), (30, 0, 0), (31, 0, 1)];
        assert_eq!(days(&markers(&all), &[]), ["20", "29"]);
        assert_eq!(days(&markers(&all), &[31]), ["20", "29", "31"]);
    }

    #[test]
    fn a_manifest_of_the_same_second_is_after_the_marker_if_it_is_a_rerun() {
        let rerun = PublishedNames::for_tests(&[("views", "2026-01-01", 1)]);
        let examined = |names: &PublishedNames| {
            !to_examine(names, &markers(&[(1, 0, 0)]), &BTreeSet::new(), cycle(31)).is_empty()
        };
        assert!(examined(&rerun));
        assert!(!examined(&listed(&[1])));
    }

    #[test]
    fn a_marker_is_current_while_it_names_the_newest_revisions() {
        let marked = |table: &str, day: u32, revision: u32| MarkedTable {
            table: table.parse().unwrap(),
            sync_mode: Incremental,
            cycle: cycle(day),
            revision,
            manifest: String::new(),
            sha256: String::new(),
            rows: 0,
            bytes: 0,
            files: 0,
        };
        let name = CycleMarkerName {
            cycle: cycle(15),
            revision: 0,
        };
        let tables = vec![marked("sites", 16, 0), marked("views", 15, 1)];
        let marker = CycleMarker::complete(name, tables, "run", DateTime::UNIX_EPOCH);
        let is_current = |marker: &CycleMarker, own: &[(&str, u32)]| {
            let named = |(table, revision): &(&str, u32)| ManifestName {
                table: table.parse().unwrap(),
                cycle: cycle(15),
                revision: *revision,
            };
            is_current(marker, &own.iter().map(named).collect::<Vec<_>>())
        };
        assert!(is_current(&marker, &[("views", 1)]));
        // Another runner was faster.
        assert!(is_current(&marker, &[("views", 0)]));
        assert!(!is_current(&marker, &[("views", 2)]));
        assert!(!is_current(&marker, &[("views", 1), ("clicks", 0)]));
        let withdrawn =
            CycleMarker::withdrawn(name, Vec::new(), Vec::new(), "run", DateTime::UNIX_EPOCH);
        assert!(!is_current(&withdrawn, &[]));
    }
}
