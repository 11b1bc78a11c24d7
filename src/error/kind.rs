//! What an error means for the operator, and the exit codes.

use serde::{Deserialize, Serialize};

/// The kind of an error, which says what the operator does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Fix the command line, the configuration or a definition; the same call can never succeed.
    Invalid,
    /// Inspect the data: a source or the destination holds something that must not be published.
    Data,
    /// Retry: a store did not respond, or a concurrent run committed first.
    Unavailable,
    /// Report it: dayport broke a promise of its own.
    Internal,
    /// Use a newer version: the destination holds what a newer dayport wrote.
    Outdated,
}

impl ErrorKind {
    /// Returns the exit code of a run that failed with this kind before any table was attempted.
    pub fn exit_code(self) -> ExitCode {
        match self {
            ErrorKind::Invalid | ErrorKind::Outdated => ExitCode::Invalid,
            ErrorKind::Data | ErrorKind::Internal => ExitCode::Failed,
            ErrorKind::Unavailable => ExitCode::TryAgain,
        }
    }
}

/// The process's exit codes. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Everything requested is done.
    Done,
    /// A table failed, or a check found something.
    Failed,
    /// The command, configuration or a definition is wrong, or this version is too old for what the
    /// destination holds; nothing was attempted.
    Invalid,
    /// A source or the destination is unavailable, or another run holds the table.
    TryAgain,
}

impl ExitCode {
    /// Returns the number that is passed to the operating system.
    pub fn code(self) -> u8 {
        match self {
            ExitCode::Done => 0,
            ExitCode::Failed => 1,
            ExitCode::Invalid => 2,
            ExitCode::TryAgain => 75,
        }
    }
}
