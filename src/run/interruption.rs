//! The end of a delivery by a stop, as opposed to a failure.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// The cause of an error by which a stop ended a delivery before its commit.
#[derive(Debug)]
struct Interruption;

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A part of the message, so that the chain of causes does not repeat it.
        f.write_str("interrupted")
    }
}

impl StdError for Interruption {}

/// Creates the error of a delivery that a stop has ended. A later run can deliver it.
pub(super) fn interrupted() -> Error {
    Error::unavailable("interrupted before the commit: nothing was published")
        .with_source(Interruption)
}

/// Returns true if a stop is the cause of the error.
pub(super) fn is_interruption(error: &Error) -> bool {
    StdError::source(error).is_some_and(|cause| cause.is::<Interruption>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_is_told_from_other_failures() {
        let error = interrupted().with_hint("uploads are left behind");
        assert!(is_interruption(&error));
        assert_eq!(
            error.chain(),
            "interrupted before the commit: nothing was published"
        );
        assert!(!is_interruption(&Error::unavailable("interrupted")));
    }
}
