//! The counts that a campaign prints.

use std::collections::BTreeMap;
use std::fmt;

/// The counts of a campaign.
#[derive(Default)]
pub(crate) struct Counts {
    pub rounds: u64,
    /// Processes of the program.
    pub runs: u64,
    /// Disturbances by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    pub kills: Landed,
    pub stops: Landed,
    /// Runs with faults on the wire.
    pub faulty_runs: u64,
    pub sweeps: u64,
    pub swept_uploads: u64,
    pub reruns: u64,
    pub cycles: u64,
    pub commits: u64,
    pub voids: u64,
    pub checks: u64,
    /// Exit codes of the runs that were not killed.
    pub exits: BTreeMap<i32, u64>,
    pub violations: u64,
}

/// Signals, and how many of them reached a process that lived.
#[derive(Default)]
pub(crate) struct Landed {
    sent: u64,
    landed: u64,
}

impl Landed {
    pub(crate) fn add(&mut self, landed: bool) {
        self.sent += 1;
        self.landed += u64::from(landed);
    }
}

impl fmt::Display for Landed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} of a living process)", self.sent, self.landed)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rounds,
            runs,
            kills,
            stops,
            ..
        } = self;
        writeln!(
            f,
            "{runs} runs in {rounds} rounds; kills {kills}; stops {stops}"
        )?;
        write!(f, "disturbances:")?;
        for (kind, number) in &self.kinds {
            write!(f, " {kind} {number}")?;
        }
        writeln!(
            f,
            "\n{} runs with faults; {} sweeps of {} uploads; {} voided commits",
            self.faulty_runs, self.sweeps, self.swept_uploads, self.voids
        )?;
        write!(
            f,
            "{} commits of {} cycles, {} reruns; exit codes",
            self.commits, self.cycles, self.reruns
        )?;
        for (code, number) in &self.exits {
            write!(f, " {code}: {number}")?;
        }
        write!(
            f,
            "; {} checks, {} violations",
            self.checks, self.violations
        )
    }
}
