//! The error type of the crate. Its kind says what the operator does next, its message where to look.
//!
//! Messages are lower case, without a final stop, with literals in backticks; advice goes into
//! [`Error::hint`], never into the message. `Display` prints the message alone: [`Error::render`]
//! walks the chain once, for the one place that prints errors.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::visible::visible_line;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error with a kind, a message, and optionally a hint and a cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Cause>,
    /// Further errors of the same check.
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

    /// Creates an [`ErrorKind::Invalid`] error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Creates an [`ErrorKind::Data`] error.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// Creates an [`ErrorKind::Unavailable`] error.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Creates an [`ErrorKind::Internal`] error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Creates an [`ErrorKind::Outdated`] error.
    pub fn outdated(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Outdated, message)
    }

    /// Classifies the error of an object store that occurred while `doing` something to `what`.
    ///
    /// Refused credentials, missing buckets and names that a store cannot have need a human; every other
    /// error may be transient.
    pub fn store(doing: &str, what: impl fmt::Display, source: object_store::Error) -> Self {
        let (kind, hint) = store_fault(&source);
        let mut error = Self::new(kind, format!("cannot {doing} `{what}`")).with_source(source);
        error.hint = hint.map(str::to_owned);
        error
    }

    /// Creates the error of a source file that was listed and cannot be read. One that is gone may have
    /// been replaced: the next run finds out.
    pub(crate) fn read_fault(message: impl Into<String>, fault: &object_store::Error) -> Self {
        let (kind, hint) = match fault {
            object_store::Error::NotFound { .. } => (ErrorKind::Unavailable, None),
            fault => store_fault(fault),
        };
        let mut error = Self::new(kind, message);
        error.hint = hint.map(str::to_owned);
        error
    }

    /// Adds advice, which is printed on its own `hint:` line.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Prepends `context` to the message, so that the innermost message stays last.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Joins the errors of one check, so that all of them can be fixed in one go.
    /// Returns `Ok` if there are none.
    pub fn all(errors: Vec<Error>) -> Result<()> {
        let mut rest = errors.into_iter();
        let Some(mut first) = rest.next() else {
            return Ok(());
        };
        for next in rest {
            first.more.push(next);
        }
        Err(first)
    }

    /// Returns this error and the further errors of the same check.
    pub fn each(&self) -> Vec<&Error> {
        let more = self.more.iter().flat_map(Error::each);
        std::iter::once(self).chain(more).collect()
    }

    /// Returns a copy whose causes are part of its message.
    pub fn detached(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.chain(),
            hint: self.hint.clone(),
            source: None,
            more: self.more.iter().map(Error::detached).collect(),
        }
    }

    /// Returns the kind, which says what the operator does next.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the advice, if there is any.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the message and its causes in one line, without the hint.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let line = error.to_string();
            // Wrappers often repeat the message of the error that they wrap.
            if !text.contains(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            cause = error.source();
        }
        text
    }

    /// Renders the error as it is printed to the operator. Control characters, which may come from
    /// data or from servers, are escaped.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", visible_line(&self.chain()));
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(&visible_line(hint));
        }
        for error in &self.more {
            text.push('\n');
            text.push_str(&error.render());
        }
        text
    }
}

impl Error {
    /// Returns true if a store refused these credentials, rather than failed.
    pub(crate) fn is_forbidden(&self) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let by_store = match error.downcast_ref::<object_store::Error>() {
                Some(object_store::Error::PermissionDenied { .. }) => true,
                // The refusal of a listing.
                Some(object_store::Error::Generic { source, .. }) => {
                    says(source.as_ref(), &[FORBIDDEN])
                }
                _ => false,
            };
            let by_system = error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
            if by_store || by_system {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Returns the kind of an error of a store, and what to do about it.
fn store_fault(error: &object_store::Error) -> (ErrorKind, Option<&'static str>) {
    use object_store::Error as Store;
    match error {
        Store::PermissionDenied { .. } => (
            ErrorKind::Invalid,
            Some("the credentials are refused; check them and the bucket policy"),
        ),
        Store::Unauthenticated { .. } => (
            ErrorKind::Invalid,
            Some("check the credentials, and the trust policy of a role"),
        ),
        Store::NotFound { .. } => (ErrorKind::Invalid, None),
        Store::Generic { store, source } if *store == LOCAL => {
            file_fault(source.as_ref()).unwrap_or((ErrorKind::Unavailable, None))
        }
        Store::Generic { source, .. } if is_refusal(source.as_ref()) => (
            ErrorKind::Invalid,
            Some("check the bucket's name, the credentials and the bucket policy"),
        ),
        Store::Generic { source, .. } if is_unusable_key(source.as_ref()) => {
            (ErrorKind::Data, Some("the store cannot have such a key"))
        }
        Store::InvalidPath { .. } => (ErrorKind::Data, Some("rename it")),
        Store::NotImplemented { .. } | Store::NotSupported { .. } => (
            ErrorKind::Invalid,
            Some("this store lacks an operation that a safe export needs"),
        ),
        _ => (ErrorKind::Unavailable, None),
    }
}

/// The name of the store in errors about files of this machine.
const LOCAL: &str = "LocalFileSystem";

/// Returns the fault of a file or folder of this machine, if no retry can help.
fn file_fault(
    error: &(dyn std::error::Error + 'static),
) -> Option<(ErrorKind, Option<&'static str>)> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::PermissionDenied => Some((
                    ErrorKind::Invalid,
                    Some("check the permissions of the file and of the folders above it"),
                )),
                io::ErrorKind::ReadOnlyFilesystem => {
                    Some((ErrorKind::Invalid, Some("the disk is mounted read-only")))
                }
                io::ErrorKind::InvalidFilename => Some((
                    ErrorKind::Data,
                    Some("a name or the whole path is too long"),
                )),
                io::ErrorKind::InvalidInput => Some((
                    ErrorKind::Data,
                    Some("put a file in its place, rename it, or remove it"),
                )),
                io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::DirectoryNotEmpty
                | io::ErrorKind::AlreadyExists => Some((
                    ErrorKind::Data,
                    Some(
                        "a file is where a folder is needed, or the other way round: move it away",
                    ),
                )),
                _ if error.raw_os_error() == Some(libc::ELOOP) => {
                    Some((ErrorKind::Data, Some("remove the circle of links")))
                }
                _ => None,
            };
        }
        cause = error.source();
    }
    None
}

/// The text of the client of S3 if the credentials have no right to the call.
const FORBIDDEN: &str = "status code: 403 Forbidden";

/// Returns true if a store refused a request in a way that no retry can help.
///
/// For listings `object_store` keeps the status inside its retry error, which is not public, so it is
/// found in the text.
fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    says(
        error,
        &[
            "status code: 401 Unauthorized",
            FORBIDDEN,
            "status code: 404 Not Found",
        ],
    )
}

/// Returns true if a store cannot have an object with the key of a request. The client of S3 cuts the
/// bodies of errors to code and message.
fn is_unusable_key(error: &(dyn std::error::Error + 'static)) -> bool {
    says(
        error,
        &["400 Bad Request: KeyTooLong", "400 Bad Request: InvalidURI"],
    )
}

/// Returns true if an error or one of its causes has one of these texts.
fn says(error: &(dyn std::error::Error + 'static), texts: &[&str]) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let message = error.to_string();
        if texts.iter().any(|text| message.contains(text)) {
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
    fn permanent_faults_of_files_are_not_retried() {
        let kind = |error: io::Error| {
            let source = Box::new(error);
            let error = object_store::Error::Generic {
                store: LOCAL,
                source,
            };
            Error::store("read", "a", error).kind()
        };
        for errno in [
            libc::ENAMETOOLONG,
            libc::EINVAL,
            libc::EISDIR,
            libc::ENOTDIR,
            libc::ELOOP,
        ] {
            assert_eq!(kind(io::Error::from_raw_os_error(errno)), ErrorKind::Data);
        }
        for errno in [libc::EACCES, libc::EPERM, libc::EROFS] {
            assert_eq!(
                kind(io::Error::from_raw_os_error(errno)),
                ErrorKind::Invalid
            );
        }
        for errno in [libc::EIO, libc::ENOSPC, libc::EAGAIN, libc::ESTALE] {
            let kind = kind(io::Error::from_raw_os_error(errno));
            assert_eq!(kind, ErrorKind::Unavailable);
        }
    }

    #[test]
    fn a_rendered_error_has_no_lines_and_no_control_characters_of_data() {
        let error = Error::data("`a\u{1b}]0;x\u{7}` is odd")
            .with_source(Error::data("answer\r\nerror: forged"))
            .with_hint("rename `a\u{9b}`");
        assert_eq!(
            error.render(),
            "error: `a\\u{1b}]0;x\\u{7}` is odd: answer\\r\\nerror: forged\nhint: rename `a\\u{9b}`"
        );
    }

    #[test]
    fn a_rendered_error_names_each_cause_once_and_ends_with_the_hint() {
        let error = Error::data("cannot read `events`")
            .with_source(Error::data("line 7 is not JSON"))
            .with_hint("fix the line")
            .context("table `pageview_events`");
        assert_eq!(
            error.render(),
            "error: table `pageview_events`: cannot read `events`: line 7 is not JSON\nhint: fix the line"
        );
    }
}
