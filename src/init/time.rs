//! Chooses the time of the rows: the column that the window of a cycle selects by.
//!
//! A column that agrees with the time of the folders goes first, then one whose name says that the server
//! wrote it: clocks of clients are off.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::init::epoch::{epoch_unit, is_named_time, unit_of_range};
use crate::init::facts::{Facts, ObjectFacts};
use crate::init::folders::TimeRange;
use crate::init::json::Json;
use crate::init::names::snake_case;
use crate::init::texts::{instant_of, whole_number};
use crate::jsonl::EpochUnit;

/// The number of levels of structs in which a time is looked for.
const MAX_DEPTH: usize = 3;

/// The maximum distance between a row and its folder that a slack makes up for.
const MAX_SLACK: TimeDelta = TimeDelta::days(2);

/// The form in which a column has times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// Strings, with or without a zone.
    Text { has_zone: bool },
    /// Numbers that count time since 1970.
    Number(EpochUnit),
    /// Strings of such numbers.
    NumberText(EpochUnit),
}

/// A column that may be the time of the rows.
#[derive(Debug, Clone)]
pub(super) struct TimeCandidate {
    pub(super) path: Vec<String>,
    pub(super) form: TimeForm,
    /// The rows that have a time.
    pub(super) values: u64,
    /// The rows by day.
    pub(super) days: BTreeMap<NaiveDate, u64>,
    /// The distance of each row from its folder, for rows in folders with a time.
    distances: Vec<TimeDelta>,
    /// The same for files that are named after a time.
    file_distances: Vec<TimeDelta>,
}

/// The agreement of a column with the time of its folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FolderFit {
    /// The slack that the folders need.
    pub(super) slack: TimeDelta,
    /// The rows that are further off than that.
    pub(super) misplaced: u64,
}

/// Returns the columns that may be the time of rows.
pub(super) fn candidates(rows: &ObjectFacts) -> Vec<TimeCandidate> {
    let mut found = Vec::new();
    push_candidates(rows, &mut Vec::new(), &mut found);
    found
}

fn push_candidates(objects: &ObjectFacts, path: &mut Vec<String>, found: &mut Vec<TimeCandidate>) {
    for (name, facts) in objects.members().filter(|(name, _)| !name.is_empty()) {
        path.push(name.to_owned());
        if let Some(form) = form_of(name, facts) {
            found.push(TimeCandidate {
                path: path.clone(),
                form,
                values: 0,
                days: BTreeMap::new(),
                distances: Vec::new(),
                file_distances: Vec::new(),
            });
        } else if path.len() < MAX_DEPTH && facts.values() == facts.objects.seen.count {
            push_candidates(&facts.objects, path, found);
        }
        path.pop();
    }
}

/// Returns the form of the times of a column, if all of its values are times.
fn form_of(name: &str, facts: &Facts) -> Option<TimeForm> {
    let (texts, numbers, values) = (&facts.texts, &facts.numbers, facts.values());
    if values == 0 {
        return None;
    }
    if texts.instants.count == values {
        return Some(TimeForm::Text { has_zone: true });
    }
    if texts.instants.count + texts.local_times.count == values {
        return Some(TimeForm::Text { has_zone: false });
    }
    if numbers.seen.count == values {
        let is_nanoseconds = |(least, greatest)| {
            is_named_time(name) && unit_of_range(least, greatest) == Some(EpochUnit::Nanosecond)
        };
        return match epoch_unit(name, numbers) {
            None if numbers.range.is_some_and(is_nanoseconds) => {
                Some(TimeForm::Number(EpochUnit::Nanosecond))
            }
            unit => unit.map(TimeForm::Number),
        };
    }
    if texts.integers.count == values && is_named_time(name) {
        let (least, greatest) = texts.integer_range?;
        return unit_of_range(least as f64, greatest as f64).map(TimeForm::NumberText);
    }
    None
}

impl TimeCandidate {
    /// Adds a row, whose folders and file may be named after a time.
    pub(super) fn add(
        &mut self,
        row: &Json<'_>,
        folder: Option<&TimeRange>,
        file: Option<&TimeRange>,
    ) {
        let Some(time) = self.time(row) else {
            return;
        };
        self.values += 1;
        *self.days.entry(time.date_naive()).or_default() += 1;
        self.distances
            .extend(folder.map(|range| distance(time, range)));
        self.file_distances
            .extend(file.map(|range| distance(time, range)));
    }

    /// Returns the time of a row.
    pub(super) fn time(&self, row: &Json<'_>) -> Option<DateTime<Utc>> {
        match (self.form, row.at(&self.path)?) {
            (TimeForm::Text { .. }, Json::Text(text)) => instant_of(text),
            (TimeForm::Number(unit), Json::Number(text)) => {
                let per_second = 10_f64.powi(i32::try_from(unit.digits()).ok()?);
                let microseconds = text.parse::<f64>().ok()? / per_second * 1e6;
                DateTime::from_timestamp_micros(microseconds.floor() as i64)
            }
            (TimeForm::NumberText(unit), Json::Text(text)) => {
                let micros =
                    i128::from(whole_number(text)?) * 1_000_000 / 10_i128.pow(unit.digits());
                DateTime::from_timestamp_micros(i64::try_from(micros).ok()?)
            }
            _ => None,
        }
    }

    /// Returns the path as messages show it.
    pub(super) fn shown(&self) -> String {
        self.path.join(".")
    }

    /// Returns the slack that the folders need, or `None` if they do not contain the time of this column.
    pub(super) fn folder_fit(&self) -> Option<FolderFit> {
        if self.distances.is_empty() {
            return None;
        }
        let near: Vec<TimeDelta> = self
            .distances
            .iter()
            .copied()
            .filter(|far| *far <= MAX_SLACK)
            .collect();
        // Nine in ten.
        if near.len() * 10 < self.distances.len() * 9 {
            return None;
        }
        Some(FolderFit {
            slack: rounded_up(near.iter().max().copied().unwrap_or_default()),
            misplaced: (self.distances.len() - near.len()) as u64,
        })
    }

    /// Returns the share of rows, in percent, that are at most ten minutes outside of their folder, or of the
    /// time that their file is named after.
    fn agreement(&self) -> usize {
        let distances = match self.distances.is_empty() {
            true => &self.file_distances,
            false => &self.distances,
        };
        let near = distances
            .iter()
            .filter(|far| **far <= TimeDelta::minutes(10))
            .count();
        near * 100 / distances.len().max(1)
    }

    /// Returns the order of the candidates: the greatest is the best.
    fn rank(&self, rows: u64) -> (bool, usize, bool, bool, u8, bool) {
        let is_top = self.path.len() == 1;
        let is_zoned = self.form != TimeForm::Text { has_zone: false };
        let is_number_text = matches!(self.form, TimeForm::NumberText(_));
        // A row without a time is in no cycle.
        let is_in_all = self.values * 1000 >= rows * 999;
        let agreement = self.agreement() / 5;
        (
            is_in_all,
            agreement,
            is_top,
            is_zoned,
            name_rank(&self.path),
            !is_number_text,
        )
    }
}

/// Returns the index of the best candidate, and those of the others, the best first.
pub(super) fn choose(candidates: &[TimeCandidate], rows: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let rank = |index: &usize| candidates.get(*index).map(|candidate| candidate.rank(rows));
    // Stable: of equals the first of the rows goes first.
    order.sort_by_key(|index| std::cmp::Reverse(rank(index)));
    order.retain(|index| {
        candidates
            .get(*index)
            .is_some_and(|candidate| candidate.values > 0)
    });
    order
}

/// Returns how well a name suits the time of a row.
fn name_rank(path: &[String]) -> u8 {
    const OF_SERVER: [&str; 12] = [
        "received_at",
        "receive_time",
        "received_time",
        "server_time",
        "server_timestamp",
        "server_received_at",
        "collector_tstamp",
        "ingested_at",
        "ingestion_time",
        "ingest_time",
        "arrival_time",
        "logged_at",
    ];
    const OF_EVENT: [&str; 16] = [
        "event_time",
        "event_timestamp",
        "timestamp",
        "time",
        "ts",
        "occurred_at",
        "event_at",
        "datetime",
        "date_time",
        "created_at",
        "created",
        "at",
        "dt",
        "event_ts",
        "derived_tstamp",
        "log_time",
    ];
    const OF_OTHERS: [&str; 20] = [
        "update", "updated", "modified", "birth", "expire", "expires", "expiry", "first", "last",
        "previous", "prev", "load", "etl", "dvce", "device", "client", "session", "start", "end",
        "sent",
    ];
    let snake = snake_case(path.last().map_or("", String::as_str));
    let has_word = |words: &[&str]| snake.split('_').any(|word| words.contains(&word));
    if OF_SERVER.contains(&snake.as_str()) {
        4
    } else if has_word(&OF_OTHERS) {
        0
    } else if OF_EVENT.contains(&snake.as_str()) {
        3
    } else {
        u8::from(is_named_time(&snake)) + 1
    }
}

/// Returns how far a time lies outside of a range.
fn distance(time: DateTime<Utc>, range: &TimeRange) -> TimeDelta {
    if time < range.start {
        range.start - time
    } else if time >= range.end {
        time - range.end + TimeDelta::microseconds(1)
    } else {
        TimeDelta::zero()
    }
}

/// Returns the next one of the usual durations.
fn rounded_up(slack: TimeDelta) -> TimeDelta {
    const MINUTES: [i64; 12] = [0, 1, 5, 10, 30, 60, 120, 180, 360, 720, 1440, 2880];
    let mut usual = MINUTES.into_iter().map(TimeDelta::minutes);
    usual.find(|usual| *usual >= slack).unwrap_or(MAX_SLACK)
}

/// Writes a duration as `time_slack` takes it.
pub(super) fn written(duration: TimeDelta) -> String {
    let minutes = duration.num_minutes();
    let (number, unit) = match minutes {
        _ if minutes % 1440 == 0 => (minutes / 1440, "day"),
        _ if minutes % 60 == 0 => (minutes / 60, "hour"),
        _ => (minutes, "minute"),
    };
    match number {
        1 => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::folders::time_of_file;
    use crate::init::place::Place;

    /// Returns the names of the candidates, the best first.
    fn order(lines: &[&str], folder: Option<&str>) -> Vec<TimeCandidate> {
        let rows: Vec<Json<'_>> = lines
            .iter()
            .map(|line| Json::parse(line).unwrap())
            .collect();
        let mut facts = Facts::default();
        for row in &rows {
            facts.add(row, Place { file: 0, line: 1 });
        }
        let mut found = candidates(&facts.objects);
        let folder = folder.and_then(time_of_file);
        for row in &rows {
            for candidate in &mut found {
                candidate.add(row, folder.as_ref(), None);
            }
        }
        let chosen = choose(&found, rows.len() as u64);
        chosen
            .into_iter()
            .map(|index| found[index].clone())
            .collect()
    }

    fn names(lines: &[&str], folder: Option<&str>) -> Vec<String> {
        order(lines, folder)
            .iter()
            .map(TimeCandidate::shown)
            .collect()
    }

    #[test]
    fn the_clock_of_the_server_goes_first() {
        let line = r#"{"updated_at":"2026-01-15T03:00:00Z","time":"2026-01-15T03:00:00Z","received_at":"2026-01-15T03:00:01Z"}"#;
        assert_eq!(names(&[line], None), ["received_at", "time", "updated_at"]);
    }

    #[test]
    fn agreement_with_the_folders_goes_before_the_name() {
        let line = r#"{"received_at":"2026-01-13T03:00:00Z","stored":"2026-01-15T03:10:00Z"}"#;
        assert_eq!(
            names(&[line], Some("2026-01-15-03")),
            ["stored", "received_at"]
        );
        assert_eq!(names(&[line], None), ["received_at", "stored"]);
    }

    #[test]
    fn a_time_that_rows_lack_comes_last() {
        let lines = [
            r#"{"received_at":"2026-01-15T03:00:00Z","meta":{"dt":"2026-01-15T03:00:00Z"}}"#,
            r#"{"meta":{"dt":"2026-01-15T03:00:00Z"}}"#,
        ];
        assert_eq!(names(&lines, None), ["meta.dt", "received_at"]);
    }

    #[test]
    fn numbers_and_their_strings_are_times_if_their_name_says_so() {
        let line = r#"{"event_timestamp":"1768471200123456","ts":1768471200,"id":1768471200,"t_ns":1768471200123456789,"time_ns":1768471200123456789}"#;
        let found = order(&[line], None);
        let shown: Vec<String> = found.iter().map(TimeCandidate::shown).collect();
        assert_eq!(shown, ["ts", "event_timestamp", "time_ns"]);
        let row = Json::parse(line).unwrap();
        assert_eq!(
            found[0].time(&row).unwrap().to_rfc3339(),
            "2026-01-15T10:00:00+00:00"
        );
        assert_eq!(
            found[1].time(&row).unwrap().to_rfc3339(),
            "2026-01-15T10:00:00.123456+00:00"
        );
        assert_eq!(
            found[2].time(&row).unwrap().to_rfc3339(),
            "2026-01-15T10:00:00.123456+00:00"
        );
    }

    #[test]
    fn the_slack_is_the_observed_distance_rounded_up() {
        let fit = |time: &str, folder: &str| {
            let line = format!("{{\"time\":\"{time}\"}}");
            let found = order(&[&line], Some(folder));
            found[0].folder_fit().map(|fit| written(fit.slack))
        };
        let shown = |text: &str| Some(text.to_owned());
        assert_eq!(
            fit("2026-01-15T03:30:00Z", "2026-01-15-03"),
            shown("0 days")
        );
        assert_eq!(
            fit("2026-01-15T04:00:00Z", "2026-01-15-03"),
            shown("1 minute")
        );
        assert_eq!(
            fit("2026-01-15T02:53:00Z", "2026-01-15-03"),
            shown("10 minutes")
        );
        assert_eq!(
            fit("2026-01-14T02:00:00Z", "2026-01-15-03"),
            shown("2 days")
        );
        assert_eq!(fit("2025-01-14T02:00:00Z", "2026-01-15-03"), None);
    }
}
