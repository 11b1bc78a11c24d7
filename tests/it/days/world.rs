//! A world: days with landing files and runs, and the checks after each run.

use chrono::TimeDelta;
use dayport::cycle::Cycle;
use dayport::run::{CycleSelection, RunRequest};
use fastrand::Rng;
use tempfile::TempDir;

use super::expected::{Expected, Settings};
use super::landing::{Landing, cycle, midnight};
use super::program::{Ended, Program};
use super::receiver::{Receiver, committed_by, contents};
use super::{Counts, DAYS};
use crate::faulty_store::{FaultInjector, FaultKind, FaultTiming};

/// The maximum number of deaths in a row.
const MAX_DEATHS: u32 = 3;

const WINDOW: &str = "time >= $window_start AND time < $window_end";

/// Plays the world of a seed. Returns what happened.
///
/// # Errors
/// The first thing that is wrong, and all that was done until then.
pub(crate) async fn play_world(seed: u64) -> Result<Counts, String> {
    let mut world = World::new(seed).await;
    match world.play().await {
        Ok(()) => Ok(world.counts),
        Err(problem) => Err(format!("world {seed}: {problem}\n{}", world.told)),
    }
}

struct World {
    folder: TempDir,
    program: Program,
    landing: Landing,
    expected: Expected,
    receiver: Receiver,
    settings: Settings,
    rng: Rng,
    counts: Counts,
    /// The number of calls of the last run that was counted.
    calls: usize,
    told: String,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let folder = TempDir::new().unwrap();
        let settings = Settings {
            lookback: [0, 1, 3, 5, 7, 7, 7][rng.usize(..7)],
            time_to_final: TimeDelta::hours(rng.i64(12..=24 * 8)),
        };
        let source = |name: &str, columns: &str| {
            format!(
                "CREATE EXTERNAL TABLE {name} (id BIGINT NOT NULL,
                 time TIMESTAMP(6) WITH TIME ZONE NOT NULL, {columns}, date DATE)
                 STORED AS JSON PARTITIONED BY (date) LOCATION '{name}/'
                 OPTIONS ('time_column' 'time')"
            )
        };
        let people =
            "CREATE EXTERNAL TABLE people (id BIGINT NOT NULL) STORED AS JSON LOCATION 'people/'";
        let sources = [
            ("events", source("events", "kind VARCHAR NOT NULL")),
            ("notes", source("notes", "event BIGINT NOT NULL")),
            ("people", people.to_owned()),
        ];
        let tables = [
            (
                "views",
                format!("COPY (SELECT id, time FROM events WHERE kind = 'view' AND {WINDOW}) TO 'views'"),
            ),
            (
                "clicks",
                format!(
                    "COPY (SELECT id, time, id % 3 AS bucket FROM events WHERE kind = 'click' AND {WINDOW})
                     TO 'clicks' PARTITIONED BY (bucket)"
                ),
            ),
            (
                "pairs",
                "COPY (SELECT e.id, n.id AS note, e.time FROM events e JOIN notes n ON n.event = e.id
                 WHERE e.time >= $window_start AND e.time < $window_end
                 AND n.time >= $window_start AND n.time < $window_end) TO 'pairs'"
                    .to_owned(),
            ),
            ("people", "COPY (SELECT id FROM people) TO 'people'".to_owned()),
        ];
        Self {
            program: Program::new(folder.path(), &sources, &tables).await,
            landing: Landing::new(&folder.path().join("raw")),
            expected: Expected::new(settings),
            receiver: Receiver::new(&folder.path().join("out")),
            folder,
            settings,
            rng,
            counts: Counts::default(),
            calls: 100,
            told: format!("{settings:?}\n"),
        }
    }

    async fn play(&mut self) -> Result<(), String> {
        for day in 0..DAYS {
            self.counts.days += 1;
            let told = self.landing.land(day, &mut self.rng, &mut self.counts);
            self.told += &format!("{day}:{told}");
            for _ in 0..self.rng.u32(..3) {
                let told = self.landing.disturb(day, &mut self.rng, &mut self.counts);
                self.told += &told;
            }
            if self.rng.u32(..7) == 0 {
                self.told += " no run\n";
                continue;
            }
            self.run_until_done(day, None).await?;
            if self.rng.u32(..8) == 0 {
                let rerun = self.rng.u32(day.saturating_sub(9)..=day);
                self.counts.reruns += 1;
                self.run_until_done(day, Some(rerun)).await?;
            }
            if self.rng.u32(..8) == 0 {
                self.check_idle(day).await?;
            }
            self.told += "\n";
        }
        self.run_until_done(DAYS, None).await?;
        self.check_idle(DAYS).await?;
        let mut fresh = Receiver::new(&self.folder.path().join("out"));
        fresh.follow()?;
        fresh.check(&self.expected)?;
        fresh.check_files()?;
        self.counts.rows = fresh.count()?;
        Ok(())
    }

    /// Returns the request of a run without dates, or of a rerun.
    fn request(&self, rerun: Option<u32>, jobs: usize) -> RunRequest {
        let selection = match rerun {
            None => CycleSelection::Due,
            Some(day) => {
                let cycle: Cycle = cycle(day).parse().unwrap();
                CycleSelection::Cycles(vec![cycle])
            }
        };
        RunRequest {
            selection,
            rerun: rerun.is_some(),
            jobs,
            lookback: self.settings.lookback,
            time_to_final: self.settings.time_to_final,
            ..RunRequest::default()
        }
    }

    /// Runs at three o'clock after a day. Runs that die are repeated, and some have a second one beside
    /// them.
    async fn run_until_done(&mut self, day: u32, rerun: Option<u32>) -> Result<(), String> {
        let now = midnight(day + 1) + TimeDelta::hours(3);
        for _ in 0..MAX_DEATHS {
            if self.rng.u32(..5) != 0 {
                break;
            }
            let number = self.rng.usize(1..=self.calls);
            let timing = match self.rng.bool() {
                true => FaultTiming::Before,
                false => FaultTiming::After,
            };
            let injector = FaultInjector::at(number, timing, FaultKind::Death);
            // One call at a time commits, so that what is committed is known once the run is dead.
            let request = self.request(rerun, 1);
            let ended = self.program.run(now, request, &injector).await?;
            self.counts.runs += 1;
            let Ended::Died { run_id } = ended else {
                self.told += &format!(" run (jobs 1, rerun {rerun:?})");
                return self.done(day, rerun);
            };
            self.counts.deaths += 1;
            let call = injector.injected();
            self.told += &format!(" {run_id} died {timing:?} {call:?} (rerun {rerun:?})");
            for (table, of) in committed_by(&self.folder.path().join("out"), &run_id) {
                let day = (0..=DAYS).find(|day| cycle(*day) == of).ok_or("a cycle")?;
                self.expected
                    .publish(table, day, &self.landing, &mut self.counts);
            }
        }
        let jobs = self.rng.usize(1..=4);
        self.told += &format!(" run (jobs {jobs}, rerun {rerun:?})");
        let injector = FaultInjector::counting();
        let request = self.request(rerun, jobs);
        self.counts.runs += 1;
        if rerun.is_none() && self.rng.u32(..6) == 0 {
            self.told += " beside another";
            self.counts.runs += 1;
            self.counts.pairs += 1;
            let other = FaultInjector::counting();
            let (one, other) = tokio::join!(
                self.program.run(now, request.clone(), &injector),
                self.program.run(now, request, &other)
            );
            one.and(other)?;
        } else {
            self.program.run(now, request, &injector).await?;
        }
        self.calls = injector.calls().len().max(10);
        self.done(day, rerun)
    }

    /// Applies a run that is done to what is expected, and checks the destination.
    fn done(&mut self, day: u32, rerun: Option<u32>) -> Result<(), String> {
        let now = midnight(day + 1) + TimeDelta::hours(3);
        let (landing, counts) = (&self.landing, &mut self.counts);
        match rerun {
            None => self.expected.run_due(landing, day, now, counts),
            Some(day) => self.expected.rerun(landing, day, counts),
        }
        self.receiver.follow()?;
        self.receiver.check(&self.expected)?;
        match rerun {
            None => self.receiver.check_markers(&self.expected),
            // A rerun of which a table waits withdraws the marker.
            Some(_) => Ok(()),
        }
    }

    /// Checks that another run has nothing to do. A rerun of an early day makes those after it due.
    async fn check_idle(&mut self, day: u32) -> Result<(), String> {
        self.run_until_done(day, None).await?;
        let now = midnight(day + 1) + TimeDelta::hours(3);
        let out = self.folder.path().join("out");
        let before = contents(&out);
        let request = self.request(None, 2);
        let injector = FaultInjector::counting();
        self.program.run(now, request, &injector).await?;
        self.counts.runs += 1;
        let after = contents(&out);
        match before == after {
            true => Ok(()),
            false => {
                let changed: Vec<_> = after
                    .keys()
                    .filter(|path| before.get(*path) != after.get(*path))
                    .chain(before.keys().filter(|path| !after.contains_key(*path)))
                    .collect();
                Err(format!("a run without work changed {changed:?}"))
            }
        }
    }
}
