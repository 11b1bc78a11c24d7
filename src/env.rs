//! The clock, randomness and the process environment: nothing else in the crate reads them.

use std::path::PathBuf;

use chrono::{DateTime, SubsecRound, Utc};

use crate::error::{Error, Result};

/// Fixes the clock, as RFC 3339: `2026-01-17T03:00:00Z`; time stands still then, and durations are 0.
/// For reproducing a run and for tests.
pub const NOW: &str = "DAYPORT_NOW";

/// The one clock of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    System,
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The system clock, or the instant in `DAYPORT_NOW`.
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

    /// The current instant, to the microsecond.
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

/// The real time, whatever [`Clock`] the process has: for comparing clocks between machines.
pub fn wall_clock() -> DateTime<Utc> {
    Clock::System.now()
}

/// An environment variable; unset, empty and non-Unicode are all `None`.
pub fn var(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where this user's programs keep what may be lost: `$XDG_STATE_HOME/dayport`, or below `$HOME`.
pub fn state_folder() -> Option<PathBuf> {
    let state = var("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    state.map(|state| state.join("dayport"))
}

/// Twelve random hexadecimal digits.
pub fn random_suffix() -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place that is random")]
    let random = uuid::Uuid::new_v4().simple().to_string();
    random[..12].to_owned()
}

/// The processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine's memory in bytes, as Linux tells it; `None` elsewhere.
pub fn machine_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
