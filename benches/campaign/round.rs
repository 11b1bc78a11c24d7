//! One round: a destination of its own that is disturbed many times, and then finished.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tempfile::TempDir;

use crate::counts::Counts;
use crate::export::{FIRST_DAY, Raw, Reader};
use crate::faults::FaultPlan;
use crate::moments;
use crate::program::{End, Moment, Order, Run, Wire};
use crate::store::Place;

/// The exit code of a run that is to be tried again.
const TRY_AGAIN: i32 = 75;

/// A round, which ends at its first violation.
pub(crate) struct Round<'a> {
    name: String,
    place: Place<'a>,
    raw: Raw,
    random: Rng,
    counts: &'a mut Counts,
    outputs: TempDir,
    /// The duration of the last undisturbed run.
    run_time: Duration,
    /// The newest version that readers saw of each table and day.
    versions: BTreeMap<(&'static str, u32), u32>,
    violations: u64,
}

impl<'a> Round<'a> {
    /// Starts a round with a first publication, which may be disturbed.
    pub(crate) fn start(
        name: String,
        place: Place<'a>,
        random: Rng,
        counts: &'a mut Counts,
    ) -> Self {
        counts.rounds += 1;
        let mut round = Self {
            name,
            place,
            raw: Raw::new(FIRST_DAY),
            random,
            counts,
            outputs: TempDir::new().expect("a folder"),
            run_time: Duration::from_secs(1),
            versions: BTreeMap::new(),
            violations: 0,
        };
        if round.random.u32(..100) < 40 {
            round.sweep_first_publication();
        }
        round.settle();
        round
    }

    /// Kills the first publication, and sweeps its uploads. What it committed is due on later days, too.
    fn sweep_first_publication(&mut self) {
        self.killed(Order::Due, true);
        self.clear_uploads();
        self.check(false);
        if self.reader().has_commits() && self.random.bool() {
            self.raw.next_day();
        }
    }

    /// Returns true if nothing was violated yet.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations == 0
    }

    pub(crate) fn runs(&self) -> u64 {
        self.counts.runs
    }

    /// Disturbs the export in one way.
    pub(crate) fn disturb(&mut self) {
        let choice = match self.place.store.bucket() {
            None => self.random.u32(..80),
            Some(_) => self.random.u32(..100),
        };
        let (kind, disturb): (_, fn(&mut Self)) = match choice {
            0..20 => ("kill", Self::kill),
            20..40 => ("stop", Self::stop),
            40..52 => ("two-at-once", Self::two_at_once),
            52..66 => ("sweep", Self::sweep),
            66..80 => ("recoverers-at-once", Self::recoverers),
            _ => ("faults", Self::faults),
        };
        *self.counts.kinds.entry(kind).or_default() += 1;
        disturb(self);
    }

    fn kill(&mut self) {
        let order = self.prepare();
        self.killed(order, false);
        // Requests of the dead run may still be on their way when the next one starts.
        if self.random.bool() {
            self.check(false);
        }
    }

    fn stop(&mut self) {
        let order = self.prepare();
        let (moment, wire) = self.moment(false);
        let mut stopped = self.run(order, wire);
        stopped.wait_for(moment, &self.place);
        let landed = stopped.stop();
        self.counts.stops.add(landed);
        let is_swept = landed && self.random.u32(..100) < 15;
        if is_swept {
            self.clear_uploads();
        }
        // A request that is held arrives before the other run or after it.
        if let Some(proxy) = stopped.proxy.as_ref().filter(|_| self.random.bool()) {
            proxy.release(true);
        }
        self.check(false);
        let is_rerun = self.random.u32(..100) < 40;
        let (mut other, is_changed) = match is_rerun {
            true => {
                let order = self.rerun();
                (self.run(order, Wire::default()), true)
            }
            false => {
                let is_next_day = self.random.u32(..100) < 30;
                if is_next_day {
                    self.raw.next_day();
                }
                (self.run(Order::Due, Wire::default()), is_next_day)
            }
        };
        self.ends(&mut other, &[0]);
        self.check(!is_rerun);
        if let Some(proxy) = &stopped.proxy {
            proxy.release(true);
        }
        stopped.proceed();
        // Its files changed under it, or its uploads are gone.
        match is_changed || is_swept {
            true => self.ends(&mut stopped, &[0, 1, TRY_AGAIN]),
            false => self.ends(&mut stopped, &[0, TRY_AGAIN]),
        };
        self.check(false);
    }

    fn two_at_once(&mut self) {
        let order = self.prepare();
        let other_order = match self.random.bool() {
            true => order,
            false => Order::Due,
        };
        self.both(order, other_order);
    }

    fn both(&mut self, order: Order, other_order: Order) {
        let (wire, other_wire) = (self.some_faults(), self.some_faults());
        let mut run = self.run(order, wire);
        let mut other = self.run(other_order, other_wire);
        self.ends(&mut run, &[0, TRY_AGAIN]);
        self.ends(&mut other, &[0, TRY_AGAIN]);
        self.check(false);
    }

    fn faults(&mut self) {
        let order = self.prepare();
        let wire = self.with_faults();
        let mut run = self.run(order, wire);
        let code = self.ends(&mut run, &[0, TRY_AGAIN]);
        self.check(code == Some(0) && matches!(order, Order::Due));
    }

    /// After a kill, all its uploads are gone: the next run voids its commits and publishes again.
    fn sweep(&mut self) {
        let order = self.prepare();
        self.killed(order, true);
        self.clear_uploads();
        self.check(false);
        self.settle();
    }

    /// After a kill, often with its uploads gone, two runs recover at once.
    fn recoverers(&mut self) {
        let order = self.prepare();
        self.killed(order, true);
        if self.random.u32(..100) < 75 {
            self.clear_uploads();
        }
        self.both(Order::Due, Order::Due);
    }

    /// Runs the program to completion, and checks everything.
    pub(crate) fn finish(mut self) {
        if self.is_clean() {
            self.settle();
            let settled = self.reader();
            let left = self.place.uploads();
            for id in left.intersection(&settled.committed_uploads()) {
                self.violated(&format!("the committed upload `{id}` is left"));
            }
            self.counts.commits += settled.commits() as u64;
            self.counts.voids += settled.voids() as u64;
            self.counts.cycles += u64::from(self.raw.last_day() - FIRST_DAY + 1);
            let mut run = self.run(Order::Due, Wire::default());
            self.ends(&mut run, &[0]);
            if self.reader() != settled || self.place.uploads() != left {
                self.violated("another run changed something");
            }
        }
        if self.is_clean() {
            self.place.remove();
        }
    }

    /// Makes a run necessary, and returns its order.
    fn prepare(&mut self) -> Order {
        match self.random.u32(..100) {
            0..30 => {
                self.raw.next_day();
                Order::Due
            }
            30..45 => {
                self.raw.next_day();
                self.rerun()
            }
            45..90 => self.rerun(),
            _ => Order::Due,
        }
    }

    /// Changes the rows of a day.
    fn rerun(&mut self) -> Order {
        let day = self.random.u32(FIRST_DAY..=self.raw.last_day());
        self.raw.change(day);
        self.counts.reruns += 1;
        Order::Rerun(day)
    }

    /// Chooses a moment, after a commit if that is wanted.
    fn moment(&mut self, is_committed: bool) -> (Moment, Wire) {
        let is_folder = self.place.store.bucket().is_none();
        let (random, run_time) = (&mut self.random, self.run_time);
        let (moment, hold) = match is_folder {
            true => (moments::in_folder(random, run_time, is_committed), None),
            false => moments::in_bucket(random, run_time, is_committed),
        };
        let wire = Wire {
            hold,
            ..self.some_faults()
        };
        (moment, wire)
    }

    fn some_faults(&mut self) -> Wire {
        match self.random.u32(..100) {
            0..25 => self.with_faults(),
            _ => Wire::default(),
        }
    }

    fn with_faults(&mut self) -> Wire {
        if self.place.store.bucket().is_none() {
            return Wire::default();
        }
        self.counts.faulty_runs += 1;
        let percent = self.random.u8(1..=25);
        Wire {
            faults: Some(FaultPlan::new(self.random.fork(), percent)),
            hold: None,
        }
    }

    fn run(&mut self, order: Order, wire: Wire) -> Run {
        self.counts.runs += 1;
        let output = self.outputs.path().join(format!("{}", self.counts.runs));
        Run::start(&self.place, &self.raw, order, wire, output)
    }

    /// Starts a run and kills it.
    fn killed(&mut self, order: Order, is_committed: bool) {
        let (moment, wire) = self.moment(is_committed);
        let mut run = self.run(order, wire);
        run.wait_for(moment, &self.place);
        self.counts.kills.add(run.kill());
        if let Some(proxy) = &run.proxy {
            proxy.release(self.random.bool());
        }
    }

    fn clear_uploads(&mut self) {
        // Half of the time, while completions may still be on their way.
        if let Some(store) = self.place.store.bucket().filter(|_| self.random.bool()) {
            store.network.wait_until_idle();
        }
        self.counts.sweeps += 1;
        self.counts.swept_uploads += self.place.sweep();
    }

    /// Waits until a run ends, which must be with one of these exit codes.
    fn ends(&mut self, run: &mut Run, codes: &[i32]) -> Option<i32> {
        let code = match run.wait() {
            End::Exit(code) => Some(code),
            End::Signal | End::Hang => None,
        };
        match code {
            Some(code) => *self.counts.exits.entry(code).or_default() += 1,
            None => self.violated("a run hung or was killed"),
        }
        if code.is_some_and(|code| !codes.contains(&code)) {
            self.violated(&format!(
                "a run ended with {code:?}, not with one of {codes:?}"
            ));
        }
        if !self.is_clean() {
            eprintln!("{}", run.messages());
        }
        code
    }

    /// Runs the due cycles undisturbed, after which everything is published.
    fn settle(&mut self) {
        if let Some(store) = self.place.store.bucket() {
            store.network.wait_until_idle();
        }
        let started = Instant::now();
        let mut run = self.run(Order::Due, Wire::default());
        self.ends(&mut run, &[0]);
        self.run_time = started.elapsed();
        self.check(true);
    }

    fn reader(&self) -> Reader {
        Reader::new(self.place.objects())
    }

    /// Checks what readers see now.
    fn check(&mut self, is_finished: bool) {
        self.counts.checks += 1;
        let found = self.reader().check(&self.raw, is_finished);
        for problem in &found.problems {
            self.violated(problem);
        }
        for (of, version) in found.versions {
            let newest = self.versions.entry(of).or_insert(version);
            let is_older = version < *newest;
            *newest = version.max(*newest);
            if is_older {
                self.violated(&format!(
                    "older rows are back: {of:?} has version {version}"
                ));
            }
        }
    }

    fn violated(&mut self, problem: &str) {
        let (name, kinds) = (&self.name, &self.counts.kinds);
        eprintln!(
            "violation in round {name}, at {}, after {kinds:?}: {problem}",
            self.place.address()
        );
        self.violations += 1;
        self.counts.violations += 1;
    }
}
