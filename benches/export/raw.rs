//! Three small tables: their SQL, their raw files, and the expected contents of each cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{Days, NaiveDate};
use fastrand::Rng;
use tempfile::TempDir;

/// The first day. It is years ago, so that files which were just staged are never older than the
/// clock and removed as leftovers.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a date");

/// Returns the id of the cycle of a day.
pub(crate) fn date(day: u32) -> String {
    (EPOCH + Days::new(day.into())).to_string()
}

/// The raw data, and the clock.
pub(crate) struct Raw {
    folder: TempDir,
    /// The last closed day.
    last_day: u32,
    /// The number of changes of the rows of each day.
    versions: BTreeMap<u32, u32>,
}

impl Raw {
    pub(crate) fn new(first_day: u32) -> Self {
        let folder = TempDir::new().expect("a folder");
        let sources = folder.path().join("sql/sources");
        std::fs::create_dir_all(&sources).expect("a folder");
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).expect("write a file");
        for table in ["visits", "clicks", "names"] {
            std::fs::create_dir(folder.path().join(table)).expect("a folder");
            let source = format!(
                "CREATE EXTERNAL TABLE raw_{table} (id BIGINT NOT NULL, received TIMESTAMP(6) WITH \
                 TIME ZONE NOT NULL, text VARCHAR NOT NULL, day BIGINT NOT NULL) \
                 STORED AS JSON LOCATION '{table}/'"
            );
            write(sources.join(format!("raw_{table}.sql")), &source);
            let window = "WHERE received >= $window_start AND received < $window_end";
            let copy = match table {
                "visits" => format!(
                    "COPY (SELECT * FROM raw_visits {window}) TO 'visits' PARTITIONED BY (day)"
                ),
                "clicks" => {
                    format!("COPY (SELECT id, received, text FROM raw_clicks {window}) TO 'clicks'")
                }
                _ => "COPY (SELECT id, text FROM raw_names) TO 'names'".to_owned(),
            };
            write(folder.path().join(format!("sql/{table}.sql")), &copy);
        }
        let raw = Self {
            folder,
            last_day: first_day,
            versions: BTreeMap::new(),
        };
        raw.write(first_day);
        raw
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn sql(&self) -> PathBuf {
        self.folder.path().join("sql")
    }

    pub(crate) fn last_day(&self) -> u32 {
        self.last_day
    }

    /// Returns the clock: three in the morning after the last closed day.
    pub(crate) fn now(&self) -> String {
        format!("{}T03:00:00Z", date(self.last_day + 1))
    }

    pub(crate) fn next_day(&mut self) {
        self.last_day += 1;
        self.write(self.last_day);
    }

    /// Changes the texts of the visits and clicks of a day.
    pub(crate) fn change(&mut self, day: u32) {
        *self.versions.entry(day).or_default() += 1;
        self.write(day);
    }

    /// Returns the version with which the texts of a day begin.
    pub(crate) fn version(&self, day: u32) -> u32 {
        self.versions.get(&day).copied().unwrap_or_default()
    }

    /// Returns the expected ids of a cycle.
    pub(crate) fn ids(&self, table: &str, day: u32) -> BTreeSet<u64> {
        match table {
            "names" => (0..10 * names_files(day)).collect(),
            _ => (0..6).map(|number| u64::from(day) * 100 + number).collect(),
        }
    }

    /// Returns the partition of a visit: some visits are late, and a change moves one of them.
    pub(crate) fn partition(id: u64, version: u32) -> u64 {
        // Only visits are partitioned; names have small ids.
        let day = (id / 100).max(4);
        match id % 100 {
            0 => day - 3 - u64::from(version % 2),
            1 => day - 1,
            _ => day,
        }
    }

    fn write(&self, day: u32) {
        let version = self.version(day);
        let mut random = Rng::with_seed(u64::from(day) << 32 | u64::from(version));
        let received = format!("{}T12:00:00Z", date(day));
        let mut line = |id: u64, length: usize| {
            let text = format!("{version}-{}", hexadecimal(&mut random, length));
            let day = Self::partition(id, version);
            format!(
                "{{\"id\":{id},\"received\":\"{received}\",\"text\":\"{text}\",\"day\":{day}}}\n"
            )
        };
        for table in ["visits", "clicks"] {
            let lines: String = self
                .ids(table, day)
                .into_iter()
                .map(|id| line(id, 20))
                .collect();
            self.replace(&format!("{table}/{}.json", date(day)), Some(&lines));
        }
        if day != self.last_day {
            return;
        }
        // Each file is larger than a shard.
        for file in 0..4 {
            let ids = 10 * file..10 * (file + 1);
            let lines: String = ids.map(|id| line(id, 5_000)).collect();
            let content = (file < names_files(day)).then_some(lines.as_str());
            self.replace(&format!("names/{file}.json"), content);
        }
    }

    fn replace(&self, file: &str, lines: Option<&str>) {
        let path = self.folder.path().join(file);
        match lines {
            Some(lines) => std::fs::write(path, lines).expect("write a file"),
            None if path.exists() => std::fs::remove_file(path).expect("remove a file"),
            None => {}
        }
    }
}

/// Returns random hexadecimal digits, which no compressor makes much smaller.
fn hexadecimal(random: &mut Rng, length: usize) -> String {
    (0..length).map(|_| random.digit(16)).collect()
}

/// Returns the number of files that the snapshot of a day has.
fn names_files(day: u32) -> u64 {
    1 + u64::from(day) % 4
}
