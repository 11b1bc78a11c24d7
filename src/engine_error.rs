//! Converts errors to those of DataFusion and back.

mod message;

use std::error::Error as StdError;

use datafusion::common::DataFusionError;

use crate::error::Error;

pub(crate) use message::{line_in_dump, unplanned, without_dumps};

impl From<Error> for DataFusionError {
    /// Wraps the error whole, so that [`own`] returns it unchanged.
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// Returns the error of ours that DataFusion carries, however deep, if it carries one.
///
/// It is a copy without its sources: operators share one error between their outputs.
pub(crate) fn own(error: &DataFusionError) -> Option<Error> {
    match error.find_root() {
        DataFusionError::External(inner) => {
            let inner: &(dyn StdError + 'static) = inner.as_ref();
            inner.downcast_ref::<Error>().map(Error::detached)
        }
        _ => None,
    }
}

/// Converts the error of a plan that was made or ran. Errors of our own are returned unchanged.
pub(crate) fn from_datafusion(error: DataFusionError) -> Error {
    if let Some(ours) = own(&error) {
        return ours;
    }
    let message = error.strip_backtrace();
    if let Some((what, hint)) = unplanned(&message) {
        return Error::invalid(what).with_hint(hint);
    }
    let shown = without_dumps(&message);
    match error.find_root() {
        DataFusionError::ObjectStore(fault) => {
            let failed = Error::read_fault("cannot read a source", fault);
            failed.with_source(error)
        }
        DataFusionError::ResourcesExhausted(text) => {
            Error::invalid(format!("the memory limit is too small: {text}"))
                .with_hint("raise it with --memory-limit")
        }
        DataFusionError::Internal(text) => Error::internal(without_dumps(text)),
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(_, _)
        | DataFusionError::SQL(_, _)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_) => Error::invalid(shown),
        _ => Error::data(shown),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::error::ArrowError;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn our_errors_survive_every_wrapping() {
        let ours = || DataFusionError::from(Error::unavailable("slow down").with_hint("wait"));
        let shared = Arc::new(ours());
        let wrapped = [
            ours(),
            ours().context("scan"),
            DataFusionError::ArrowError(
                Box::new(ArrowError::ExternalError(Box::new(ours()))),
                None,
            ),
            DataFusionError::Shared(Arc::clone(&shared)),
        ];
        for error in wrapped {
            let error = from_datafusion(error);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.render(), "error: slow down\nhint: wait");
        }
    }
}
