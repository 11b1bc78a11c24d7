//! The source files of a world: where they are, and which rows they have.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use super::Counts;

/// The first day of each world.
const EPOCH: &str = "2020-02-20T00:00:00Z";

/// The maximum number of days for which a file is late.
const MAX_LATE: u32 = 9;

/// The number of days back at which files are compacted, replaced and removed.
const MAX_AGE: u32 = 10;

/// Returns the start of a day, or the end of the day before.
pub(crate) fn midnight(day: u32) -> DateTime<Utc> {
    let epoch: DateTime<Utc> = EPOCH.parse().unwrap();
    epoch + TimeDelta::days(day.into())
}

/// Returns the id of a day's cycle.
pub(crate) fn cycle(day: u32) -> String {
    midnight(day).format("%Y-%m-%d").to_string()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Events,
    Notes,
}

pub(crate) const SOURCES: [Source; 2] = [Source::Events, Source::Notes];

impl Source {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Source::Events => "events",
            Source::Notes => "notes",
        }
    }
}

/// A row of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub id: u64,
    /// Of an event: 0 for a view, 1 for a click. Of a note: the id of its event.
    pub other: u64,
}

/// A file, with a number that changes whenever the file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LandedFile {
    pub rows: Vec<Row>,
    pub version: u64,
}

/// The files of one source and day, by name.
pub(crate) type Files = BTreeMap<String, LandedFile>;

/// A file that is not there yet.
struct PendingFile {
    /// The number of the morning before whose run it arrives.
    arrives: u32,
    source: Source,
    day: u32,
    rows: Vec<Row>,
}

/// All source files of a world.
pub(crate) struct Landing {
    folder: PathBuf,
    files: BTreeMap<(Source, u32), Files>,
    pending: Vec<PendingFile>,
    /// Files that were removed, which may come back.
    removed: Vec<(Source, u32, String, Vec<Row>)>,
    /// The rows of the snapshot.
    pub people: u64,
    next_id: u64,
    next_version: u64,
    next_name: u64,
}

impl Landing {
    pub(crate) fn new(folder: &Path) -> Self {
        for source in SOURCES {
            fs::create_dir_all(folder.join(source.name())).unwrap();
        }
        let mut landing = Self {
            folder: folder.to_owned(),
            files: BTreeMap::new(),
            pending: Vec::new(),
            removed: Vec::new(),
            people: 0,
            next_id: 1,
            next_version: 1,
            next_name: 1,
        };
        landing.set_people(2);
        landing
    }

    pub(crate) fn files(&self, source: Source, day: u32) -> Files {
        self.files.get(&(source, day)).cloned().unwrap_or_default()
    }

    fn path(&self, source: Source, day: u32, name: &str) -> PathBuf {
        let folder = format!("{}/date={}", source.name(), cycle(day));
        self.folder.join(folder).join(name)
    }

    fn write(&mut self, source: Source, day: u32, name: &str, rows: Vec<Row>) {
        let lines = rows.iter().map(|Row { id, other }| {
            let time =
                midnight(day) + TimeDelta::seconds(i64::try_from(id * 977 % 86_400).unwrap());
            let time = time.format("%Y-%m-%dT%H:%M:%SZ");
            match source {
                Source::Events => {
                    let kind = if *other == 0 { "view" } else { "click" };
                    format!("{{\"id\":{id},\"time\":\"{time}\",\"kind\":\"{kind}\"}}\n")
                }
                Source::Notes => format!("{{\"id\":{id},\"time\":\"{time}\",\"event\":{other}}}\n"),
            }
        });
        let text: String = lines.collect();
        let path = self.path(source, day, name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let version = self.next_version;
        self.next_version += 1;
        let files = self.files.entry((source, day)).or_default();
        files.insert(name.to_owned(), LandedFile { rows, version });
    }

    fn remove(&mut self, source: Source, day: u32, name: &str) -> Vec<Row> {
        fs::remove_file(self.path(source, day, name)).unwrap();
        let files = self.files.get_mut(&(source, day)).unwrap();
        files.remove(name).unwrap().rows
    }

    fn set_people(&mut self, people: u64) {
        self.people = people;
        let folder = self.folder.join("people");
        fs::create_dir_all(&folder).unwrap();
        let lines = (1..=people).map(|id| format!("{{\"id\":{id}}}\n"));
        fs::write(folder.join("people.json"), lines.collect::<String>()).unwrap();
    }

    fn new_name(&mut self) -> String {
        self.next_name += 1;
        format!("{:05}.json", self.next_name)
    }

    fn new_rows(&mut self, source: Source, count: u64, events: &[u64], rng: &mut Rng) -> Vec<Row> {
        let ids = self.next_id..self.next_id + count;
        self.next_id = ids.end;
        ids.map(|id| Row {
            id,
            other: match source {
                Source::Events => rng.u64(..2),
                Source::Notes => events[rng.usize(..events.len())],
            },
        })
        .collect()
    }

    /// Lets the files of a day land, and the late ones that arrive before the next run. Returns what
    /// happened.
    pub(crate) fn land(&mut self, day: u32, rng: &mut Rng, counts: &mut Counts) -> String {
        let mut events: Vec<u64> = Vec::new();
        let mut told = String::new();
        for source in SOURCES {
            for _ in 0..rng.u32(1..=3) {
                if source == Source::Notes && events.is_empty() {
                    continue;
                }
                let count = rng.u64(1..=4);
                let rows = self.new_rows(source, count, &events, rng);
                if source == Source::Events {
                    events.extend(rows.iter().map(|row| row.id));
                }
                match rng.u32(..10) {
                    0..3 => self.pending.push(PendingFile {
                        arrives: day + rng.u32(1..=MAX_LATE),
                        source,
                        day,
                        rows,
                    }),
                    _ => {
                        let name = self.new_name();
                        self.write(source, day, &name, rows);
                    }
                }
            }
        }
        let (now, later) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|file| file.arrives <= day);
        self.pending = later;
        for PendingFile {
            source, day, rows, ..
        } in now
        {
            let name = self.new_name();
            told += &format!(" late {}/{day}/{name}", source.name());
            self.write(source, day, &name, rows);
            counts.late_files += 1;
        }
        told
    }

    /// Does something to the files of a recent day. Returns what.
    pub(crate) fn disturb(&mut self, today: u32, rng: &mut Rng, counts: &mut Counts) -> String {
        if rng.u32(..8) == 0 {
            self.set_people(rng.u64(1..6));
            return format!(" people {}", self.people);
        }
        let day = rng.u32(today.saturating_sub(MAX_AGE)..=today);
        let source = SOURCES[rng.usize(..2)];
        let mut names: Vec<String> = self.files(source, day).into_keys().collect();
        if rng.u32(..10) == 0 && !self.removed.is_empty() {
            let (source, day, name, rows) =
                self.removed.swap_remove(rng.usize(..self.removed.len()));
            if self.files(source, day).contains_key(&name) {
                return String::new();
            }
            self.write(source, day, &name, rows);
            return format!(" back {}/{day}/{name}", source.name());
        }
        if names.is_empty() {
            return String::new();
        }
        rng.shuffle(&mut names);
        let place = format!("{}/{day}/{}", source.name(), names[0]);
        match rng.u32(..12) {
            0..2 => {
                let count = rng.usize(1..=names.len());
                let mut rows = Vec::new();
                for name in names.drain(..count) {
                    rows.extend(self.remove(source, day, &name));
                }
                let name = self.new_name();
                self.write(source, day, &name, rows);
                counts.compacted += 1;
                format!(" compact {place} and {} more into {name}", count - 1)
            }
            2..6 => {
                let mut rows = self.files(source, day)[&names[0]].rows.clone();
                rows.truncate(rng.usize(..=rows.len()));
                let events: Vec<u64> = self
                    .files(Source::Events, day)
                    .into_values()
                    .flat_map(|file| file.rows)
                    .map(|row| row.id)
                    .collect();
                if source == Source::Events || !events.is_empty() {
                    let count = rng.u64(..3);
                    rows.extend(self.new_rows(source, count, &events, rng));
                }
                self.write(source, day, &names[0], rows);
                counts.replaced += 1;
                format!(" replace {place}")
            }
            6..10 => {
                let rows = self.files(source, day)[&names[0]].rows.clone();
                self.write(source, day, &names[0], rows);
                counts.rewritten += 1;
                format!(" rewrite {place}")
            }
            10 => {
                let rows = self.remove(source, day, &names[0]);
                self.removed.push((source, day, names[0].clone(), rows));
                counts.vanished += 1;
                format!(" vanish {place}")
            }
            _ => {
                for name in names {
                    let rows = self.remove(source, day, &name);
                    self.removed.push((source, day, name, rows));
                    counts.vanished += 1;
                }
                format!(" vanish {}/{day}", source.name())
            }
        }
    }
}
