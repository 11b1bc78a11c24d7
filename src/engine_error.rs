//! Errors on their way across the border with DataFusion, both ways.

use std::error::Error as StdError;
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use crate::error::Error;

impl From<Error> for DataFusionError {
    /// Kept whole, so that it comes back as it went in.
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// What went wrong while a plan was made or ran. Errors of our own come back as they went in.
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => from_external(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            from_datafusion(*inner)
        }
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(inner) => from_datafusion(inner),
            Err(shared) => Error::data(shared.strip_backtrace()),
        },
        DataFusionError::ArrowError(inner, backtrace) => match *inner {
            ArrowError::ExternalError(inner) => from_external(inner),
            other => Error::data(
                DataFusionError::ArrowError(Box::new(other), backtrace).strip_backtrace(),
            ),
        },
        DataFusionError::ObjectStore(inner) => Error::store("read", "the sources", *inner),
        DataFusionError::ResourcesExhausted(text) => {
            Error::invalid(format!("the memory limit is too small: {text}"))
                .with_hint("raise it with --memory-limit")
        }
        DataFusionError::Internal(text) => Error::internal(text),
        other @ (DataFusionError::Plan(_)
        | DataFusionError::SchemaError(_, _)
        | DataFusionError::SQL(_, _)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)) => Error::invalid(other.strip_backtrace()),
        other => Error::data(other.strip_backtrace()),
    }
}

fn from_external(inner: Box<dyn StdError + Send + Sync>) -> Error {
    let inner = match inner.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(other) => other,
    };
    match inner.downcast::<DataFusionError>() {
        Ok(nested) => from_datafusion(*nested),
        Err(other) => Error::data("the query failed").with_source(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn our_errors_survive_every_wrapping() {
        let ours = || DataFusionError::from(Error::unavailable("slow down").with_hint("wait"));
        let wrapped = [
            ours(),
            ours().context("scan"),
            DataFusionError::ArrowError(
                Box::new(ArrowError::ExternalError(Box::new(ours()))),
                None,
            ),
            DataFusionError::Shared(Arc::new(ours())),
        ];
        for error in wrapped {
            let error = from_datafusion(error);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.render(), "error: slow down\nhint: wait");
        }
    }
}
