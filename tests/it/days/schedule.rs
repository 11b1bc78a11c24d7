//! Landing schedules: the files of one day land at random times, and runs look often. By the rules of its
//! sources, the day must not be published before their last file, and must be in the end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use dayport::run::{CycleSelection, RunRequest, TableOutcome};
use fastrand::Rng;
use tempfile::TempDir;

use super::landing::{cycle, midnight};
use super::program::{Ended, Program};
use crate::faulty_store::FaultInjector;

/// The rules of a source, each with what its writer keeps to.
pub(crate) const RULES: [&[Rule]; 7] = [
    &[Rule::NextFolder],
    &[Rule::Quiet],
    &[Rule::Folders],
    &[Rule::Object],
    &[Rule::NextFolder, Rule::Quiet],
    &[Rule::Folders, Rule::Object],
    &[Rule::Quiet, Rule::Object, Rule::NextFolder],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The writer begins the next day when this one is complete.
    NextFolder,
    /// The writer is never silent for as long as the rule says, from the end of the day on until it is
    /// complete.
    Quiet,
    /// The writer puts one file into each folder.
    Folders,
    /// The writer puts an object when the day is complete.
    Object,
}

/// A file of a schedule: when it lands, and where.
#[derive(Debug, Clone)]
struct Arrival {
    minute: i64,
    path: String,
    text: String,
}

/// The sources of a schedule: rows come from `events`, and `notes` are joined to them by a left join.
const SOURCES: [&str; 2] = ["events", "notes"];

/// The day that is exported.
const DAY: u32 = 5;

/// The maximum time between two runs, in minutes.
const MAX_PAUSE: i64 = 90;

/// Plays the schedule of a seed. Returns the number of runs.
///
/// # Errors
/// What is wrong, with the schedule.
pub(crate) async fn play_schedule(seed: u64, rules: &[Rule]) -> Result<u64, String> {
    let mut rng = Rng::with_seed(seed);
    let folder = TempDir::new().unwrap();
    let quiet = rng.i64(10..=90);
    let folders = rng.u32(1..=24);
    let has_notes = rng.bool();
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut last = 0;
    let mut ids = 0;
    for source in SOURCES.iter().take(1 + usize::from(has_notes)) {
        let of_source = schedule(source, rules, quiet, folders, &mut ids, &mut rng);
        let own = of_source
            .iter()
            .filter(|arrival| arrival.path.contains(&folder_of(source, DAY)));
        last = own.map(|arrival| arrival.minute).max().unwrap().max(last);
        arrivals.extend(of_source);
    }
    arrivals.sort_by_key(|arrival| arrival.minute);
    let text =
        format!("schedule {seed}, {rules:?}, quiet {quiet}, folders {folders}: {arrivals:#?}");
    let program = program(folder.path(), rules, quiet, folders, has_notes).await;
    // One run at least looks when everything has landed and is quiet.
    let end = arrivals.last().unwrap().minute.max(24 * 60) + quiet + MAX_PAUSE;
    let mut minute = 24 * 60 + rng.i64(0..20);
    let mut landed = arrivals.iter().peekable();
    let mut runs = 0;
    let mut times: BTreeMap<String, i64> = BTreeMap::new();
    let mut published_at = None;
    while published_at.is_none() && minute <= end {
        while let Some(arrival) = landed.next_if(|arrival| arrival.minute <= minute) {
            let path = folder.path().join("raw").join(&arrival.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &arrival.text).unwrap();
            times.insert(arrival.path.clone(), arrival.minute);
        }
        shift_times(folder.path(), &times, minute);
        let now: DateTime<Utc> = midnight(DAY) + TimeDelta::minutes(minute);
        let injector = FaultInjector::counting();
        let request = RunRequest {
            selection: CycleSelection::Cycles(vec![cycle(DAY).parse().unwrap()]),
            ..RunRequest::default()
        };
        let ended = program.run(now, request, &injector).await;
        let Ended::Done(report) = ended.map_err(|error| format!("{error}\n{text}"))? else {
            return Err("it died".to_owned());
        };
        runs += 1;
        let is_published =
            |outcome: &TableOutcome| matches!(outcome, TableOutcome::Published { .. });
        if report
            .tables
            .iter()
            .any(|table| is_published(&table.outcome))
        {
            published_at = Some(minute);
        }
        minute += rng.i64(5..=MAX_PAUSE);
    }
    match published_at {
        None => Err(format!("never published\n{text}")),
        Some(minute) if minute < last => Err(format!(
            "published at {minute}, before the last file at {last}\n{text}"
        )),
        Some(_) => Ok(runs),
    }
}

fn folder_of(source: &str, day: u32) -> String {
    format!("{source}/date={}", cycle(day))
}

/// Returns the arrivals of one source, in minutes since the start of the day.
fn schedule(
    source: &str,
    rules: &[Rule],
    quiet: i64,
    folders: u32,
    ids: &mut u64,
    rng: &mut Rng,
) -> Vec<Arrival> {
    let mut line = |hour: u32, day: u32| {
        *ids += 1;
        let time = midnight(day) + TimeDelta::hours(hour.into());
        let time = time.format("%Y-%m-%dT%H:%M:%SZ");
        format!("{{\"id\":{ids},\"event\":1,\"time\":\"{time}\"}}\n")
    };
    let has = |rule| rules.contains(&rule);
    let mut hours: Vec<u32> = (0..24).collect();
    rng.shuffle(&mut hours);
    let mut places: Vec<u32> = match has(Rule::Folders) {
        true => hours.into_iter().take(folders as usize).collect(),
        false => (0..rng.u32(1..12)).map(|_| rng.u32(..24)).collect(),
    };
    rng.shuffle(&mut places);
    let mut minute = rng.i64(0..24 * 60);
    let mut arrivals = Vec::new();
    let mut is_first = true;
    for (number, hour) in places.into_iter().enumerate() {
        let step = match has(Rule::Quiet) {
            // Silence in the course of the day does no harm: runs look at its end.
            true => rng.i64(0..quiet),
            false => rng.i64(0..200),
        };
        minute = match is_first {
            true if has(Rule::Quiet) => minute.min(24 * 60 + quiet - 1),
            true => minute + rng.i64(0..600),
            false => minute + step,
        };
        is_first = false;
        arrivals.push(Arrival {
            minute,
            path: format!("{}/hour={hour}/{number}.json", folder_of(source, DAY)),
            text: line(hour, DAY),
        });
    }
    if has(Rule::Object) {
        arrivals.push(Arrival {
            minute: minute + rng.i64(0..100),
            path: format!("{source}/_done/{}", cycle(DAY)),
            text: String::new(),
        });
    }
    let next = match has(Rule::NextFolder) {
        true => minute.max(24 * 60) + rng.i64(0..300),
        // Without the rule, files of the next day may come at any time.
        false => 24 * 60 + rng.i64(0..60),
    };
    arrivals.push(Arrival {
        minute: next,
        path: format!("{}/hour=0/next.json", folder_of(source, DAY + 1)),
        text: line(0, DAY + 1),
    });
    arrivals
}

async fn program(
    folder: &Path,
    rules: &[Rule],
    quiet: i64,
    folders: u32,
    has_notes: bool,
) -> Program {
    let source = |name: &str| {
        let rules: Vec<String> = rules
            .iter()
            .map(|rule| match rule {
                Rule::NextFolder => "next folder".to_owned(),
                Rule::Quiet => format!("quiet {quiet} minutes"),
                Rule::Folders => format!("folders {folders}"),
                Rule::Object => format!("object {name}/_done/{{date}}"),
            })
            .collect();
        format!(
            "CREATE EXTERNAL TABLE {name} (id BIGINT NOT NULL, event BIGINT,
             time TIMESTAMP(6) WITH TIME ZONE NOT NULL, date DATE, hour INT)
             STORED AS JSON PARTITIONED BY (date, hour) LOCATION '{name}/'
             OPTIONS ('time_column' 'time', 'ready' '{}')",
            rules.join(", ")
        )
    };
    let window =
        |alias: &str| format!("{alias}.time >= $window_start AND {alias}.time < $window_end");
    let table = match has_notes {
        true => format!(
            "COPY (SELECT e.id, n.id AS note, e.time FROM events e
             LEFT JOIN (SELECT id, event FROM notes n WHERE {}) n ON n.event = e.id WHERE {}) TO 'joined'",
            window("n"),
            window("e")
        ),
        false => format!("COPY (SELECT e.id, e.time FROM events e WHERE {}) TO 'joined'", window("e")),
    };
    let sources: Vec<(&str, String)> = SOURCES.iter().map(|name| (*name, source(name))).collect();
    for name in SOURCES {
        fs::create_dir_all(folder.join("raw").join(name)).unwrap();
    }
    Program::new(folder, &sources, &[("joined", table)]).await
}

/// Gives each file the age that it has at the simulated time: stores tell ages by the real clock.
fn shift_times(folder: &Path, times: &BTreeMap<String, i64>, minute: i64) {
    #[expect(clippy::disallowed_methods, reason = "the times of files are real")]
    let now = SystemTime::now();
    for (path, landed) in times {
        let age = TimeDelta::minutes(minute - landed).to_std().unwrap();
        let file = File::options()
            .write(true)
            .open(folder.join("raw").join(path))
            .unwrap();
        file.set_modified(now - age).unwrap();
    }
}
