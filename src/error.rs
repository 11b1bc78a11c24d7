//! The error type of the crate. Its kind says what the operator does next, its message where to look.
//!
//! Messages are lower case, without a final stop, with literals in backticks; advice goes into
//! [`Error::hint`], never into the message. `Display` prints the message alone: [`Error::render`]
//! walks the chain once, for the one place that prints errors.

mod causes;
mod kind;
mod store_fault;

pub(crate) use causes::causes;
pub use kind::{ErrorKind, ExitCode};

use std::fmt;
use std::io;

use crate::error::store_fault::StoreFault;
use crate::visible::visible_line;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
        let StoreFault { kind, hint } =
            own_fault(&source).unwrap_or_else(|| StoreFault::of(&source));
        let mut error = Self::new(kind, format!("cannot {doing} `{what}`")).with_source(source);
        error.hint = hint;
        error
    }

    /// Creates the error of a source file that was listed and cannot be read. One that is gone may have
    /// been replaced: the next run finds out.
    pub(crate) fn read_fault(message: impl Into<String>, fault: &object_store::Error) -> Self {
        let StoreFault { kind, hint } = match fault {
            object_store::Error::NotFound { .. } => StoreFault::from(ErrorKind::Unavailable),
            fault => own_fault(fault).unwrap_or_else(|| StoreFault::of(fault)),
        };
        let mut error = Self::new(kind, message);
        error.hint = hint;
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
            // The sources and the destination may have the same fault, such as a wrong endpoint.
            if next.more.is_empty() && first.each().iter().any(|told| told.says_as(&next)) {
                continue;
            }
            first.more.push(next);
        }
        Err(first)
    }

    fn says_as(&self, other: &Error) -> bool {
        self.chain() == other.chain() && self.hint == other.hint
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
        causes(self).any(|cause| {
            let by_store = cause
                .downcast_ref::<object_store::Error>()
                .is_some_and(store_fault::is_forbidden);
            let by_system = cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
            by_store || by_system
        })
    }
}

/// Returns the fault that a client of this program found and has advice for, such as a certificate that
/// is not accepted.
fn own_fault(error: &object_store::Error) -> Option<StoreFault> {
    let own = causes(error).find_map(|cause| cause.downcast_ref::<Error>())?;
    let hint = own.hint()?;
    Some(StoreFault::new(own.kind(), hint))
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
    fn errors_of_one_check_are_told_together_and_each_once() {
        let error = |text: &str| Error::invalid(text).with_hint("mend it");
        let all = vec![error("a"), error("b"), error("a"), Error::invalid("a")];
        let text = Error::all(all).unwrap_err().render();
        assert_eq!(
            text,
            "error: a\nhint: mend it\nerror: b\nhint: mend it\nerror: a"
        );
    }

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
    fn what_a_client_advises_is_kept() {
        let fault = |error: Error| {
            let source = Box::new(error);
            let store = "S3";
            Error::store("read", "a", object_store::Error::Generic { store, source })
        };
        let wrong = fault(Error::invalid("a certificate").with_hint("mend it"));
        assert_eq!(
            (wrong.kind(), wrong.hint()),
            (ErrorKind::Invalid, Some("mend it"))
        );
        let damaged = fault(Error::data("damaged on the way"));
        assert_eq!(
            (damaged.kind(), damaged.hint()),
            (ErrorKind::Unavailable, None)
        );
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
