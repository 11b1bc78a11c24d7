//! Reads the clock, randomness and the process environment; no other module does.

mod cgroup;

use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound, Utc};

use crate::error::{Error, Result};

/// The environment variable that fixes the clock to an RFC 3339 instant: `2026-01-17T03:00:00Z`.
///
/// Time then stands still and all durations are 0. For reproducing a run, and for tests.
pub const NOW: &str = "DAYPORT_NOW";

/// The clock of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The clock of the machine.
    System,
    /// A fixed time, for tests and for runs that are repeated.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// Returns the system clock, or a clock fixed to the instant in `DAYPORT_NOW`.
    ///
    /// # Errors
    /// Fails if `DAYPORT_NOW` is not an RFC 3339 instant.
    pub fn from_environment() -> Result<Self> {
        match var(NOW) {
            None => Ok(Clock::System),
            Some(text) => DateTime::parse_from_rfc3339(&text)
                .map(|instant| Clock::Fixed(instant.to_utc()))
                .map_err(|error| {
                    Error::invalid(format!("`{NOW}` is not an RFC 3339 instant: `{text}`"))
                        .with_source(error)
                }),
        }
    }

    /// Returns the current instant, truncated to microseconds.
    pub fn now(self) -> DateTime<Utc> {
        match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place that reads the clock"
            )]
            Clock::System => Utc::now().trunc_subsecs(6),
            Clock::Fixed(instant) => instant,
        }
    }
}

/// Returns the system time even if the process has a fixed [`Clock`]: for comparing clocks between
/// machines.
pub fn wall_clock() -> DateTime<Utc> {
    Clock::System.now()
}

/// Returns the value of an environment variable; `None` if it is unset, empty or not Unicode.
pub fn var(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the words of the command line after the name of the program. What is not Unicode has
/// replacement characters.
pub fn arguments() -> Vec<String> {
    let words = std::env::args_os().skip(1);
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Returns the folder for this user's disposable state: `$XDG_STATE_HOME/dayport`, or below `$HOME`.
pub fn state_folder() -> Option<PathBuf> {
    let below_home = || var("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    var("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(below_home)
        .map(|state| state.join("dayport"))
}

/// Returns twelve random hexadecimal digits.
pub fn random_suffix() -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place that is random")]
    let random = uuid::Uuid::new_v4().simple().to_string();
    random[..12].to_owned()
}

/// Returns the number of processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the memory that this process may use, in bytes: that of the machine, or less if its control
/// group has a limit. Known on Linux only; `None` on other systems.
pub fn usable_memory() -> Option<u64> {
    let limit = cgroup::memory_limit(Path::new("/"));
    machine_memory().into_iter().chain(limit).min()
}

fn machine_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Returns a random port of a range; the first one if it is empty.
pub fn random_port(range: Range<u16>) -> u16 {
    #[expect(clippy::disallowed_methods, reason = "the one place that is random")]
    let random = uuid::Uuid::new_v4().as_u64_pair().1;
    let length = u64::from(range.end.saturating_sub(range.start)).max(1);
    range.start + u16::try_from(random % length).unwrap_or_default()
}
