//! One error type. Its kind says what the operator does next, its message says where to look.
//!
//! Messages are lower case, without a final stop, with literals in backticks; advice goes into
//! [`Error::hint`], never into the message. `Display` prints the message alone: [`Error::render`]
//! walks the chain once, for the one place that prints errors.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the operator does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Mend the command line, the configuration or a definition; the same call can never succeed.
    Invalid,
    /// Look at the data: a source or the destination holds something that must not be published.
    Data,
    /// Try again: a store did not answer, or another run was faster.
    Unavailable,
    /// Report it: dayport broke a promise of its own.
    Internal,
}

impl ErrorKind {
    /// The exit code of a run that ended with an error of this kind before any table was attempted.
    pub fn exit_code(self) -> ExitCode {
        match self {
            ErrorKind::Invalid => ExitCode::Invalid,
            ErrorKind::Data | ErrorKind::Internal => ExitCode::Failed,
            ErrorKind::Unavailable => ExitCode::TryAgain,
        }
    }
}

/// The process's exit codes. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Everything asked for is done.
    Done,
    /// A table failed, or a check found something.
    Failed,
    /// The command, configuration or a definition is wrong; nothing was attempted.
    Invalid,
    /// A source or the destination is unavailable, or another run holds the table.
    TryAgain,
}

impl ExitCode {
    /// The number given to the operating system.
    pub fn code(self) -> u8 {
        match self {
            ExitCode::Done => 0,
            ExitCode::Failed => 1,
            ExitCode::Invalid => 2,
            ExitCode::TryAgain => 75,
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error with a kind, a message, and optionally a hint and a cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Source>,
    /// Complaints of the same check, after this one.
    more: Vec<Error>,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            source: None,
            more: Vec::new(),
        }
    }

    /// An [`ErrorKind::Invalid`] error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// An [`ErrorKind::Data`] error.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// An [`ErrorKind::Unavailable`] error.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// An [`ErrorKind::Internal`] error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Classifies what an object store answered, while `doing` something to `what`.
    ///
    /// Refused credentials and missing buckets need a human; everything else may pass by itself.
    pub fn store(doing: &str, what: impl fmt::Display, source: object_store::Error) -> Self {
        use object_store::Error as Store;
        let (kind, hint) = match &source {
            Store::PermissionDenied { .. } => (
                ErrorKind::Invalid,
                Some("the credentials are refused; check them and the bucket policy"),
            ),
            Store::Unauthenticated { .. } => (
                ErrorKind::Invalid,
                Some("check the credentials, and the trust policy of a role"),
            ),
            Store::NotFound { .. } => (ErrorKind::Invalid, None),
            Store::Generic { source, .. } if refuses(source.as_ref()) => (
                ErrorKind::Invalid,
                Some("check the bucket's name, the credentials and the bucket policy"),
            ),
            Store::NotImplemented { .. } | Store::NotSupported { .. } => (
                ErrorKind::Invalid,
                Some("this store lacks an operation that a safe export needs"),
            ),
            _ => (ErrorKind::Unavailable, None),
        };
        let mut error = Self::new(kind, format!("cannot {doing} `{what}`")).with_source(source);
        error.hint = hint.map(str::to_owned);
        error
    }

    /// Adds advice, printed on its own `hint:` line.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts `context` in front of the message: the innermost message stays last.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Joins complaints that were collected so that they can be mended in one go.
    /// Fine if there are none.
    pub fn all(complaints: Vec<Error>) -> Result<()> {
        let mut complaints = complaints.into_iter();
        let Some(mut first) = complaints.next() else {
            return Ok(());
        };
        for next in complaints {
            first.more.push(next);
        }
        Err(first)
    }

    /// This complaint and those of the same check after it.
    pub fn each(&self) -> Vec<&Error> {
        let more = self.more.iter().flat_map(Error::each);
        std::iter::once(self).chain(more).collect()
    }

    /// A copy whose causes are part of its message.
    pub fn detached(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.chain(),
            hint: self.hint.clone(),
            source: None,
            more: self.more.iter().map(Error::detached).collect(),
        }
    }

    /// What the operator does next.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Advice, where there is some.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message and its causes in one line, without the hint.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let line = error.to_string();
            // Wrappers often repeat the text of what they wrap.
            if !text.contains(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            cause = error.source();
        }
        text
    }

    /// The text printed to the operator.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", self.chain());
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        for error in &self.more {
            text.push('\n');
            text.push_str(&error.render());
        }
        text
    }
}

/// Whether a store answered with a refusal that no retry can mend.
///
/// For listings `object_store` keeps the status inside its retry error, which is not public: only
/// its text tells.
fn refuses(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        let refusals = ["401 Unauthorized", "403 Forbidden", "404 Not Found"];
        if refusals.iter().any(|status| text.contains(status)) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_published_numbers() {
        let numbers = [
            ExitCode::Done,
            ExitCode::Failed,
            ExitCode::Invalid,
            ExitCode::TryAgain,
        ]
        .map(ExitCode::code);
        assert_eq!(numbers, [0, 1, 2, 75]);
    }

    #[test]
    fn a_rendered_error_names_each_cause_once_and_ends_with_the_hint() {
        let error = Error::data("cannot read `events`")
            .with_source(Error::data("line 7 is not JSON"))
            .with_hint("mend the line")
            .context("table `pageview_events`");
        assert_eq!(
            error.render(),
            "error: table `pageview_events`: cannot read `events`: line 7 is not JSON\nhint: mend the line"
        );
    }
}
