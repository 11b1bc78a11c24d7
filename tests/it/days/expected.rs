//! What has to be published: the rules of late files, without dayport.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::Counts;
use super::landing::{Landing, Row, Source, midnight};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Views,
    Clicks,
    Pairs,
    /// The snapshot.
    People,
}

pub(crate) const TABLES: [Table; 4] = [Table::Views, Table::Clicks, Table::Pairs, Table::People];

impl Table {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Views => "views",
            Table::Clicks => "clicks",
            Table::Pairs => "pairs",
            Table::People => "people",
        }
    }

    fn sources(self) -> &'static [Source] {
        match self {
            Table::Views | Table::Clicks => &[Source::Events],
            Table::Pairs => &[Source::Events, Source::Notes],
            Table::People => &[],
        }
    }
}

/// An exported row: its id, and that of the note, or 0.
pub(crate) type Exported = (u64, u64);

/// The files that a publication was read from, with their versions.
type Base = BTreeMap<(Source, String), u64>;

/// A published cycle.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub rows: Vec<Exported>,
    pub revision: u32,
    base: Base,
}

/// What a cycle with late files has to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    Due,
    Final,
    Gone,
}

/// The settings of a world's runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub lookback: u32,
    pub time_to_final: TimeDelta,
}

/// What has to be published.
pub(crate) struct Expected {
    settings: Settings,
    pub published: BTreeMap<(Table, u32), Published>,
    /// The days of which a rerun left out a published table, for want of files: their markers may be
    /// withdrawn.
    pub half_done: BTreeSet<u32>,
}

impl Expected {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            published: BTreeMap::new(),
            half_done: BTreeSet::new(),
        }
    }

    fn days(&self, table: Table) -> BTreeSet<u32> {
        let published = self.published.keys();
        published
            .filter(|(of, _)| *of == table)
            .map(|(_, day)| *day)
            .collect()
    }

    /// Applies a run without dates, after the day `last`.
    pub(crate) fn run_due(
        &mut self,
        landing: &Landing,
        last: u32,
        now: DateTime<Utc>,
        counts: &mut Counts,
    ) {
        for table in [Table::Views, Table::Clicks, Table::Pairs] {
            let published = self.days(table);
            let first = published.first().copied().unwrap_or(last);
            let late: Vec<(u32, Late)> = published
                .iter()
                .filter_map(|day| Some((*day, self.late(table, *day, landing, last, now)?)))
                .collect();
            for day in (first..=last).filter(|day| !published.contains(day)) {
                self.publish(table, day, landing, counts);
            }
            for (day, late) in late {
                match late {
                    Late::Final => counts.late_after_final += 1,
                    Late::Gone => counts.gone += 1,
                    Late::Due => {
                        let rows = exported(table, day, landing);
                        if self.published[&(table, day)].rows == rows {
                            counts.same_rows += 1;
                        } else {
                            counts.late_revisions += 1;
                            self.publish(table, day, landing, counts);
                        }
                    }
                }
            }
        }
        if !self.published.contains_key(&(Table::People, last)) {
            self.publish(Table::People, last, landing, counts);
        }
    }

    /// Applies a rerun of one day.
    pub(crate) fn rerun(&mut self, landing: &Landing, day: u32, counts: &mut Counts) {
        for table in TABLES {
            let newest = self.days(table).last().copied();
            if table == Table::People && newest.is_some_and(|newest| newest > day) {
                continue;
            }
            let is_published = self.published.contains_key(&(table, day));
            if !self.publish(table, day, landing, counts) && is_published {
                self.half_done.insert(day);
            }
        }
    }

    /// Publishes a cycle. Returns false if it waits for files.
    pub(crate) fn publish(
        &mut self,
        table: Table,
        day: u32,
        landing: &Landing,
        counts: &mut Counts,
    ) -> bool {
        let mut sources = table.sources().iter();
        if sources.any(|source| landing.files(*source, day).is_empty()) {
            return false;
        }
        let key = (table, day);
        let revision = self.published.get(&key).map_or(0, |old| old.revision + 1);
        let rows = exported(table, day, landing);
        let base = base(table, day, landing);
        let published = Published {
            rows,
            revision,
            base,
        };
        self.published.insert(key, published);
        counts.publications += 1;
        true
    }

    fn late(
        &self,
        table: Table,
        day: u32,
        landing: &Landing,
        last: u32,
        now: DateTime<Utc>,
    ) -> Option<Late> {
        let Settings {
            lookback,
            time_to_final,
        } = self.settings;
        if last - day >= lookback {
            return None;
        }
        let then = &self.published[&(table, day)].base;
        let files = base(table, day, landing);
        let is_late = files
            .iter()
            .any(|(file, version)| then.get(file) != Some(version));
        let is_gone = then.keys().any(|file| !files.contains_key(file));
        let is_final =
            now >= midnight(day + 1) + time_to_final.min(TimeDelta::days(lookback.into()));
        match (is_late, is_gone, is_final) {
            (false, _, _) => None,
            (true, true, _) => Some(Late::Gone),
            (true, false, true) => Some(Late::Final),
            (true, false, false) => Some(Late::Due),
        }
    }
}

fn base(table: Table, day: u32, landing: &Landing) -> Base {
    let mut base = Base::new();
    for source in table.sources() {
        for (name, file) in landing.files(*source, day) {
            base.insert((*source, name), file.version);
        }
    }
    base
}

/// Returns the sorted rows that a cycle has to have from the files that are there.
fn exported(table: Table, day: u32, landing: &Landing) -> Vec<Exported> {
    let rows = |source| -> Vec<Row> {
        let files = landing.files(source, day).into_values();
        files.flat_map(|file| file.rows).collect()
    };
    let of_kind = |kind: u64| -> Vec<Exported> {
        let events = rows(Source::Events).into_iter();
        events
            .filter(|row| row.other == kind)
            .map(|row| (row.id, 0))
            .collect()
    };
    let mut exported: Vec<Exported> = match table {
        Table::Views => of_kind(0),
        Table::Clicks => of_kind(1),
        Table::Pairs => {
            let notes = rows(Source::Notes);
            let events = rows(Source::Events);
            let pairs = events.iter().flat_map(|event| {
                let notes = notes.iter().filter(|note| note.other == event.id);
                notes.map(|note| (event.id, note.id))
            });
            pairs.collect()
        }
        Table::People => (1..=landing.people).map(|id| (id, 0)).collect(),
    };
    exported.sort_unstable();
    exported
}
